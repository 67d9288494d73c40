//! Static builds of the binary and the system tests: one build serves the host and every machine.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{programs, project};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Static programs that the system layers need.
pub(crate) struct Statics {
    pub(crate) belljar: PathBuf,
    /// Name of each layer and its test executable, in order of name.
    pub(crate) layers: Vec<(String, PathBuf)>,
}

/// What is read of cargo's messages.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds `belljar` and the test targets of crate `tests`.
///
/// # Errors
///
/// When something does not build, or there is no system layer at all.
pub(crate) fn build() -> Result<Statics> {
    let belljar = executables(cargo("build").args(["--package", "belljar", "--bin", "belljar"]))?
        .pop()
        .map(|(_, path)| path)
        .context("cargo named no binary `belljar`")?;
    let mut layers =
        executables(cargo("test").args(["--package", "tests", "--test", "*", "--no-run"]))?;
    layers.sort();
    if layers.is_empty() {
        bail!("there are no system layers: tests/tests/ has no test target");
    }
    Ok(Statics { belljar, layers })
}

/// Cargo for static programs, with debug information left out: machines load them at each boot.
fn cargo(subcommand: &str) -> Command {
    let mut command = programs::cargo();
    command
        .arg(subcommand)
        .args(["--target", TARGET, "--message-format", "json-render-diagnostics"])
        .args(["--config", "profile.dev.strip=\"debuginfo\"", "--target-dir"])
        .arg(project::target().join("vm/build"))
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static");
    command
}

/// Runs cargo and returns the executables it names: binaries and test targets.
fn executables(command: &mut Command) -> Result<Vec<(String, PathBuf)>> {
    let messages = programs::output(command.stdin(Stdio::null()))?;
    let mut found = Vec::new();
    for line in messages.lines() {
        let message: Message = serde_json::from_str(line)
            .with_context(|| format!("not a message of cargo: {line}"))?;
        if let (Some(target), Some(path)) = (message.target, message.executable)
            && target.kind.iter().any(|kind| kind == "bin" || kind == "test")
        {
            found.push((target.name, path));
        }
    }
    Ok(found)
}
