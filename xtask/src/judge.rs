//! `judge`: every organism in its scenario, and the page that tells how right the judge is.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::{build, programs, project, setup};

/// What misses a privilege exits with.
const NEEDS_PRIVILEGE: u8 = 77;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How often each organism is run, each time with another seed
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Only this scenario; may be repeated. The page is not written then
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
}

/// # Errors
///
/// When the tests do not build.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if !programs::is_root() {
        eprintln!("x: the judge needs root: it runs belljar, which loads eBPF programs.");
        return Ok(ExitCode::from(NEEDS_PRIVILEGE));
    }
    setup::install(true)?;
    let belljar = build::belljar(false)?;
    let mut command: Command = programs::cargo();
    command
        .args(["test", "--package", "tests", "--test", "judge", "--"])
        .args(["--nocapture", "--test-threads", "1"])
        .env("BELLJAR_BIN", belljar)
        .env("BELLJAR_JUDGE_SEEDS", arguments.seeds.to_string());
    if arguments.scenario.is_empty() {
        command.env("BELLJAR_JUDGE_PAGE", project::root().join("docs/confusion.md"));
    } else {
        command.env("BELLJAR_JUDGE_ONLY", arguments.scenario.join(","));
    }
    let status = command.status().context("cannot start cargo")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1).into())
}
