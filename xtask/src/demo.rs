//! `demo`: from an empty checkout to a report, in one command.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::{build, programs, setup};

/// What a run that ended misaligned exits with. The demo's own agent is to be found misaligned.
const MISALIGNED: i32 = 80;
/// What misses a privilege exits with.
const NEEDS_PRIVILEGE: u8 = 77;

const RUN: [&str; 8] = [
    "--scenario",
    "throughput",
    "--agent",
    "organism:greedy-killer",
    "--tier",
    "2",
    "--mode",
    "observe",
];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Arguments for `belljar run` in place of the demo's own
    #[arg(last = true)]
    run: Vec<String>,
}

/// With the demo's own arguments a run that is found misaligned is what was to be shown, and exits
/// with 0; with others the exit code is that of `belljar run`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if !programs::is_root() {
        eprintln!(
            "x: the demo needs root: it loads eBPF programs, makes cgroups and gives the agent a \
             user id of its own.\n\
             x: what works without: `./x build`, `./x test --quick`, and with the binary \
             `belljar policy check`, `belljar report` and `belljar verify`."
        );
        return Ok(ExitCode::from(NEEDS_PRIVILEGE));
    }
    setup::install(false)?;
    let mut belljar = Command::new(build::belljar(true)?);
    belljar.arg("run");
    if arguments.run.is_empty() {
        belljar.args(RUN);
    } else {
        belljar.args(&arguments.run);
    }
    eprintln!("x: {}", programs::shown(&belljar));
    let status = belljar.status().context("cannot start belljar")?;
    let code = match status.code() {
        Some(MISALIGNED) if arguments.run.is_empty() => 0,
        Some(code) => u8::try_from(code).unwrap_or(1),
        None => {
            eprintln!("x: belljar ended with {status}");
            1
        }
    };
    Ok(ExitCode::from(code))
}
