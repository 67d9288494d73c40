//! One run of a sweep, as a process of its own.

use std::{
    fs::{self, File},
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use journal::escape::visible;
use studies::grid::Cell;

/// How much of what a run says is kept, in characters.
const KEPT: usize = 600;

/// What every run is started with.
pub(super) struct Start {
    /// Who observes, as `belljar run --observer` takes it.
    pub(super) observer: String,
    /// The signing key.
    pub(super) key: PathBuf,
}

impl Start {
    /// Starts the run of a cell. What it says on standard error goes to `said`.
    pub(super) fn start(&self, cell: &Cell, out: &Path, said: &Path) -> io::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["run", "--quiet", "--json", "--no-metrics", "--observer", &self.observer])
            .arg("--key")
            .arg(&self.key)
            .arg("--out")
            .arg(out)
            .args(&cell.words);
        if !cell.command.is_empty() {
            command.arg("--").args(&cell.command);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(said)?)
            // Ctrl-C is for the sweep, which lets its runs end.
            .process_group(0)
            .spawn()
    }
}

/// How it ended and what it said, for a person.
pub(super) fn told(status: ExitStatus, said: &Path) -> String {
    let ending = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    // What a wrapped command wrote is in there as well.
    let text = String::from_utf8_lossy(&fs::read(said).unwrap_or_default()).into_owned();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let skipped = words.chars().count().saturating_sub(KEPT);
    let tail: String = words.chars().skip(skipped).collect();
    if tail.is_empty() { ending } else { format!("{ending}: {}", visible(&tail)) }
}
