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
    /// The program that acts in the tests; on the host they find it beside themselves.
    pub(crate) actor: PathBuf,
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
        .take("belljar")?;
    let mut built =
        executables(cargo("test").args(["--package", "tests", "--test", "*", "--no-run"]))?;
    let actor = built.take("actor")?;
    built.tests.sort();
    if built.tests.is_empty() {
        bail!("there are no system layers: tests/tests/ has no test target");
    }
    Ok(Statics { belljar, actor, layers: built.tests })
}

/// Builds the benchmark of crate `tests`, optimised as what is shipped.
///
/// # Errors
///
/// When it does not build.
pub(crate) fn bench() -> Result<PathBuf> {
    executables(cargo("bench").args([
        "--package",
        "tests",
        "--features",
        "bench",
        "--bench",
        "effects",
        "--no-run",
    ]))?
    .take("effects")
}

/// Cargo for static programs, with debug information left out: machines load them at each boot.
fn cargo(subcommand: &str) -> Command {
    let mut command = programs::cargo();
    command
        .arg(subcommand)
        .args(["--target", TARGET, "--message-format", "json-render-diagnostics"])
        .args(["--config", "profile.dev.strip=\"debuginfo\""])
        .args(["--config", "profile.release.strip=\"debuginfo\"", "--target-dir"])
        .arg(project::target().join("vm/build"))
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static");
    command
}

/// Names and paths of what cargo has built.
#[derive(Default)]
struct Executables {
    binaries: Vec<(String, PathBuf)>,
    tests: Vec<(String, PathBuf)>,
}

impl Executables {
    fn take(&mut self, binary: &str) -> Result<PathBuf> {
        let index = self.binaries.iter().position(|(name, _)| name == binary);
        let index = index.with_context(|| format!("cargo named no binary `{binary}`"))?;
        Ok(self.binaries.swap_remove(index).1)
    }
}

/// Runs cargo and returns the executables it names: binaries and test targets.
fn executables(command: &mut Command) -> Result<Executables> {
    let messages = programs::output(command.stdin(Stdio::null()))?;
    let mut found = Executables::default();
    for line in messages.lines() {
        let message: Message = serde_json::from_str(line)
            .with_context(|| format!("not a message of cargo: {line}"))?;
        let (Some(target), Some(path)) = (message.target, message.executable) else { continue };
        match target.kind.first().map(String::as_str) {
            Some("bin" | "bench") => found.binaries.push((target.name, path)),
            Some("test") => found.tests.push((target.name, path)),
            _ => {}
        }
    }
    Ok(found)
}
