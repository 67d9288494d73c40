//! The sweep's directory: runs, the ledger of what is done, and a lock.
//!
//! | name | holds |
//! | --- | --- |
//! | `grid.toml` | the grid as it was given last |
//! | `ledger.json` | which cells are done |
//! | `runs/CELL` | a run directory for each cell |

use std::{
    collections::{BTreeSet, HashSet},
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use journal::{RunDir, escape::visible, verify::verify};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use studies::{
    grid::Cell,
    ledger::{Entry, FORMAT, Ledger, Outcome},
};

use super::VERSION;
use crate::{
    exit::{Exit, Failure, OrExit as _},
    run::{INTERRUPTED, Interrupt},
};

const GRID: &str = "grid.toml";
const LEDGER: &str = "ledger.json";
const LOCK: &str = ".lock";
const RUNS: &str = "runs";
/// For so long a start that was killed may hold the lock: a process that it has just forked lets it go when
/// it becomes `belljar run`.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked whether a run of an earlier start has ended.
const LOOK: Duration = Duration::from_millis(100);

/// A sweep's directory, which this process alone works in.
pub(super) struct SweepDir {
    path: PathBuf,
    ledger: Ledger,
    _lock: Flock<File>,
}

/// What a run directory holds.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// There is none.
    Nothing,
    /// A run that was carried to its end, signed and judged.
    Finished {
        /// How long it took, seconds, by its manifest.
        seconds: f64,
    },
    /// Anything else, with the reason why it is not a finished run.
    Half(String),
}

impl SweepDir {
    /// Opens or makes it, and takes the lock.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        for directory in [path.to_owned(), path.join(RUNS)] {
            // As run directories: others can pass through and neither list nor read.
            DirBuilder::new()
                .recursive(true)
                .mode(0o711)
                .create(&directory)
                .with_context(|| format!("cannot create {}", directory.display()))
                .or_exit(Exit::CannotCreate)?;
        }
        let path = fs::canonicalize(path).or_exit(Exit::CannotCreate)?;
        let lock = lock(&path.join(LOCK))?;
        let ledger = read_ledger(&path.join(LEDGER))?;
        Ok(Self { path, ledger, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What was done when it was opened.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What is done now.
    pub(super) fn read_again(&self) -> Result<Ledger, Failure> {
        read_ledger(&self.path.join(LEDGER))
    }

    /// The run directory of a cell.
    pub(super) fn run(&self, cell: &str) -> PathBuf {
        self.path.join(RUNS).join(cell)
    }

    /// Names of run directories that belong to none of these cells.
    pub(super) fn strangers(&self, cells: &[Cell]) -> usize {
        let known: HashSet<&str> = cells.iter().map(|cell| cell.name.as_str()).collect();
        let entries = fs::read_dir(self.path.join(RUNS)).into_iter().flatten().flatten();
        let is_stranger = |name: &OsStr| name.to_str().is_none_or(|name| !known.contains(name));
        entries.filter(|entry| is_stranger(&entry.file_name())).count()
    }

    /// Keeps the grid's text beside the runs.
    pub(super) fn keep_grid(&self, source: &str) -> Result<(), Failure> {
        self.replace(GRID, source.as_bytes())
    }

    /// Replaces a file whole: whoever reads it, also after a crash, finds the old or the new one.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        replace(&self.path, name, bytes)
            .with_context(|| format!("cannot write {}", self.path.join(name).display()))
            .or_exit(Exit::Io)
    }

    /// Puts down that a cell was carried out. From here on it is not carried out again.
    pub(super) fn enter(
        &self,
        ledger: &mut Ledger,
        cell: &str,
        entry: Entry,
    ) -> Result<(), Failure> {
        ledger.runs.insert(cell.to_owned(), entry);
        let text = serde_json::to_vec_pretty(ledger).or_exit(Exit::Software)?;
        self.replace(LEDGER, &text)
    }

    /// The cells that processes carry out right now, whoever started them: the command line says it from the
    /// moment on at which a process lets go the lock of who started it.
    fn carried_out(&self) -> BTreeSet<OsString> {
        let runs = self.path.join(RUNS);
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        let cells = lines.filter_map(|line| {
            let mut words = line.split(|byte| *byte == 0);
            words.by_ref().find(|word| *word == b"--out")?;
            let out = Path::new(OsStr::from_bytes(words.next()?));
            Some(out.strip_prefix(&runs).ok()?.as_os_str().to_owned())
        });
        cells.collect()
    }

    /// What the directory of a cell holds.
    pub(super) fn look(&self, cell: &str) -> Found {
        look(&self.run(cell))
    }

    /// Removes what a run has left that was not carried to its end.
    pub(super) fn remove(&self, cell: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.run(cell)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes up what an earlier start has left: runs that still go on are waited for, finished ones that
    /// the ledger does not know are entered, and those that it knows and are gone are carried out anew.
    pub(super) fn adopt(
        &mut self,
        cells: &[Cell],
        interrupt: &Interrupt,
        quiet: bool,
    ) -> Result<(), Failure> {
        let mut ledger = std::mem::replace(&mut self.ledger, Ledger::new(VERSION));
        ledger.belljar = VERSION.to_owned();
        let carried_out = self.carried_out();
        for cell in cells {
            let name = cell.name.as_str();
            if ledger.is_finished(name) {
                if self.look(name) == Found::Nothing {
                    eprintln!("belljar: the run of {} is gone: once more", visible(name));
                    ledger.runs.remove(name);
                }
                continue;
            }
            // Looked at once for all, it is looked at again only for those that were there.
            if carried_out.contains(OsStr::new(name)) && !self.wait_for(name, interrupt, quiet) {
                break;
            }
            if let Found::Finished { seconds } = self.look(name) {
                let entry = Entry {
                    outcome: Outcome::Finished,
                    exit: None,
                    seconds,
                    shared: None,
                    message: String::new(),
                };
                self.enter(&mut ledger, name, entry)?;
            }
        }
        self.ledger = ledger;
        Ok(())
    }

    /// Waits for a run that an earlier start began. False if the sweep is to end meanwhile.
    fn wait_for(&self, cell: &str, interrupt: &Interrupt, quiet: bool) -> bool {
        let is_there = || self.carried_out().contains(OsStr::new(cell));
        if is_there() && !quiet {
            eprintln!("{} still goes on since an earlier start: waiting for it", visible(cell));
        }
        while is_there() {
            if interrupt.happened() {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }
}

fn lock(path: &Path) -> Result<Flock<File>, Failure> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
        .or_exit(Exit::CannotCreate)?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    let mut file = file;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((file, Errno::EWOULDBLOCK)) if Instant::now() < deadline => file,
            Err((_, Errno::EWOULDBLOCK)) => {
                let directory = path.parent().unwrap_or(path).display();
                let message = format!(
                    "another `belljar sweep` works in {directory}: wait for it, or name another directory with --out"
                );
                return Err(Failure::new(Exit::Unavailable, anyhow!(message)));
            }
            Err((_, errno)) => {
                let error = anyhow!(errno).context(format!("cannot lock {}", path.display()));
                return Err(Failure::new(Exit::Os, error));
            }
        };
        std::thread::sleep(LOOK);
    }
}

fn read_ledger(path: &Path) -> Result<Ledger, Failure> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ledger::new(VERSION)),
        text => {
            text.with_context(|| format!("cannot read {}", path.display())).or_exit(Exit::Io)?
        }
    };
    let ledger: Ledger = serde_json::from_str(&text)
        .with_context(|| format!("{} is no ledger of a sweep", path.display()))
        .or_exit(Exit::Data)?;
    if ledger.format != FORMAT {
        let message = format!(
            "{} has format {}, and this version of Belljar knows {FORMAT}",
            path.display(),
            ledger.format
        );
        return Err(Failure::new(Exit::Data, anyhow!(message)));
    }
    Ok(ledger)
}

fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = directory.join(format!(".{name}.new"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, directory.join(name))?;
    File::open(directory)?.sync_all()
}

fn look(path: &Path) -> Found {
    if !path.exists() {
        return Found::Nothing;
    }
    let half = |why: &str| Found::Half(why.to_owned());
    let Ok(directory) = RunDir::open(path) else { return half("the directory cannot be read") };
    let Ok(manifest) = directory.manifest() else { return half("it has no manifest") };
    if !directory.has(journal::files::name::REPORT_JSON) || manifest.end.is_none() {
        return half("it was not carried to its end");
    }
    if manifest.invalid.iter().any(|why| why == INTERRUPTED) {
        return half("it was interrupted");
    }
    let verification = verify(&directory, None);
    if let Some(problem) = verification.problems.first() {
        return half(&problem.to_string());
    }
    Found::Finished { seconds: seconds(&manifest).unwrap_or(0.0) }
}

fn seconds(manifest: &journal::Manifest) -> Option<f64> {
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};
    let at = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let took = at(manifest.end.as_deref()?)? - at(&manifest.start)?;
    Some(took.as_seconds_f64().max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> SweepDir {
        SweepDir::open(path).unwrap_or_else(|failure| panic!("{failure}"))
    }

    fn entry() -> Entry {
        Entry {
            outcome: Outcome::Finished,
            exit: Some(0),
            seconds: 1.0,
            shared: None,
            message: String::new(),
        }
    }

    #[test]
    fn what_is_entered_is_known_to_the_next_start_and_two_do_not_work_at_once() {
        let home = tempfile::tempdir().unwrap();
        let sweep = open(home.path());
        let mut ledger = sweep.ledger().clone();
        assert!(sweep.enter(&mut ledger, "a", entry()).is_ok());
        let failure = SweepDir::open(home.path()).err().expect("it is locked");
        assert!(failure.to_string().contains("another `belljar sweep`"), "{failure}");
        drop(sweep);
        assert!(open(home.path()).ledger().is_finished("a"));
    }

    #[test]
    fn a_write_that_was_cut_short_does_no_harm_and_a_damaged_ledger_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let sweep = open(home.path());
        let mut ledger = sweep.ledger().clone();
        assert!(sweep.enter(&mut ledger, "a", entry()).is_ok());
        drop(sweep);
        fs::write(home.path().join(".ledger.json.new"), "{\"format\":").unwrap();
        assert!(open(home.path()).ledger().is_finished("a"));
        fs::write(home.path().join(LEDGER), "{\"format\":").unwrap();
        let failure = SweepDir::open(home.path()).err().expect("it is no ledger");
        assert_eq!(failure.exit, Exit::Data);
    }

    #[test]
    fn a_directory_without_a_report_is_half_a_run() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(look(&home.path().join("none")), Found::Nothing);
        assert_eq!(look(home.path()), Found::Half("it has no manifest".to_owned()));
    }

    #[test]
    fn a_cell_is_carried_out_by_whoever_writes_its_directory() {
        let home = tempfile::tempdir().unwrap();
        let sweep = open(home.path());
        assert!(sweep.carried_out().is_empty());
        let mut other = std::process::Command::new("sh")
            .args(["-c", "read -r end", "belljar", "--out"])
            .arg(sweep.run("a"))
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // A program that has only just been started has no words yet.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !sweep.carried_out().contains(OsStr::new("a")) {
            assert!(Instant::now() < deadline, "nobody carries the cell out");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(other.stdin.take());
        other.wait().unwrap();
        assert!(sweep.carried_out().is_empty());
    }
}
