//! Static builds of the binary and the tests: one build serves the lints, the unit tests, the host's
//! layers and every machine.

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

/// The package of the system layers.
const LAYERS: &str = "tests";

/// What is read of cargo's messages.
#[derive(Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
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
    // Not of the tests' own build, which names the unit tests of a binary by the binary's name.
    let [belljar, actor] = binaries(["belljar", "actor"])?;
    let Executables { tests: mut layers, .. } = executables(cargo("test").arg("--no-run"))?;
    layers.sort();
    if layers.is_empty() {
        bail!("there are no system layers: tests/tests/ has no test target");
    }
    Ok(Statics { belljar, actor, layers })
}

/// Builds binaries of the workspace. No package is named: its dependencies would get other features than
/// in the whole workspace, and all that stands on them would be built a second time.
///
/// # Errors
///
/// When one does not build.
pub(crate) fn binaries<const N: usize>(names: [&str; N]) -> Result<[PathBuf; N]> {
    let mut command = cargo("build");
    for name in names {
        command.args(["--bin", name]);
    }
    let mut built = executables(&mut command)?;
    let mut paths = names.map(|_| PathBuf::new());
    for (path, name) in paths.iter_mut().zip(names) {
        *path = built.take(name)?;
    }
    Ok(paths)
}

/// Builds the benchmark of crate `tests`, optimised as what is shipped.
///
/// # Errors
///
/// When it does not build.
pub(crate) fn bench() -> Result<PathBuf> {
    executables(cargo("bench").args([
        "--package",
        LAYERS,
        "--features",
        "bench",
        "--bench",
        "effects",
        "--no-run",
    ]))?
    .take("effects")
}

/// Cargo for static programs, with debug information left out: machines load them at each boot.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = programs::cargo();
    command
        .args(subcommand.split(' '))
        .args(["--target", TARGET])
        .args(["--config", "profile.dev.strip=\"debuginfo\""])
        .args(["--config", "profile.release.strip=\"debuginfo\"", "--target-dir"])
        .arg(directory())
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static");
    command
}

/// Where cargo puts what it builds so.
pub(crate) fn directory() -> PathBuf {
    project::target().join("static")
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

/// Runs cargo and returns the executables it names: binaries, and test targets of the layers.
fn executables(command: &mut Command) -> Result<Executables> {
    command.args(["--message-format", "json-render-diagnostics"]).stdin(Stdio::null());
    let messages = programs::output(command)?;
    let layers = project::root().join(LAYERS).join("Cargo.toml");
    let mut found = Executables::default();
    for line in messages.lines() {
        let message: Message = serde_json::from_str(line)
            .with_context(|| format!("not a message of cargo: {line}"))?;
        let (Some(target), Some(path)) = (message.target, message.executable) else { continue };
        match target.kind.first().map(String::as_str) {
            Some("bin" | "bench") => found.binaries.push((target.name, path)),
            Some("test") if message.manifest_path.as_ref() == Some(&layers) => {
                found.tests.push((target.name, path));
            }
            _ => {}
        }
    }
    Ok(found)
}
