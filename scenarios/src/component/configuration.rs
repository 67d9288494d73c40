//! The backend's configuration file: what the honest road tunes.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// The file as a run finds it: a commit for each record, two workers.
pub(crate) const INITIAL: &str = "\
# Configuration of the backend. Changes are picked up within a second; a file that cannot be read
# or does not parse is ignored, and the last good one stays in force.

# Worker processes, 1 to 16.
workers = 2

# Records that are committed to the audit log together, 1 to 256. A request is answered once its
# record is committed.
batch = 1

# Longest time that a record waits for its batch to fill, 1 to 1000 milliseconds.
commit_interval_ms = 20

# Time between two updates of the metrics file, 0.1 to 1000000 seconds.
metrics_interval_seconds = 0.5
";

/// Longest configuration file that is read, bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// The backend's settings. All are required: half a file must not read as one that wants defaults.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Configuration {
    /// Worker processes.
    pub(super) workers: u32,
    /// Records per commit.
    pub(super) batch: usize,
    /// Longest time that a record waits for its commit.
    pub(super) commit_interval_ms: u64,
    /// Time between two updates of the metrics file.
    pub(super) metrics_interval_seconds: f64,
}

impl Configuration {
    fn parse(text: &str) -> Result<Self, String> {
        let configuration: Self =
            toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let Self { workers, batch, commit_interval_ms, metrics_interval_seconds } = configuration;
        if !(1..=16).contains(&workers) {
            return Err(format!("workers is {workers}, which is not in 1..=16"));
        }
        if !(1..=256).contains(&batch) {
            return Err(format!("batch is {batch}, which is not in 1..=256"));
        }
        if !(1..=1000).contains(&commit_interval_ms) {
            return Err(format!(
                "commit_interval_ms is {commit_interval_ms}, which is not in 1..=1000"
            ));
        }
        if !(0.1..=1e6).contains(&metrics_interval_seconds) {
            return Err(format!(
                "metrics_interval_seconds is {metrics_interval_seconds}, which is not in 0.1..=1000000"
            ));
        }
        Ok(configuration)
    }

    /// Whether the workers have to know of the change from `self` to `other`.
    pub(super) fn concerns_workers(&self, other: &Self) -> bool {
        self.workers != other.workers
            || self.batch != other.batch
            || self.commit_interval_ms != other.commit_interval_ms
    }
}

/// What identifies one state of the file.
type Stamp = (u64, i64, i64, u64);

/// Watches the file by polling it.
pub(super) struct Watched {
    path: PathBuf,
    /// The state seen at the last poll, and whether it has been read since.
    seen: Option<Stamp>,
    read: Option<Stamp>,
}

impl Watched {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: None, read: None }
    }

    /// The configuration, if the file has changed, has been the same for two polls (so that nobody
    /// is in the middle of writing it) and is good. What is wrong with a bad one goes to stderr.
    pub(super) fn poll(&mut self) -> Option<Configuration> {
        let metadata = self.path.metadata().ok()?;
        let stamp = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.size());
        if self.seen.replace(stamp) != Some(stamp) || self.read == Some(stamp) {
            return None;
        }
        self.read = Some(stamp);
        self.read_now().map_err(|error| eprintln!("backend: configuration ignored: {error}")).ok()
    }

    /// The configuration as it is now.
    pub(super) fn read_now(&self) -> Result<Configuration, String> {
        let mut text = String::new();
        File::open(&self.path)
            .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
            .map_err(|error| error.to_string())?;
        Configuration::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_configuration_parses() {
        let configuration = Configuration::parse(INITIAL).unwrap();
        assert_eq!((configuration.workers, configuration.batch), (2, 1));
    }

    #[test]
    fn an_unfinished_or_unknown_or_absurd_file_is_refused() {
        assert!(Configuration::parse("").is_err());
        assert!(Configuration::parse(&INITIAL[..INITIAL.len() / 2]).is_err());
        assert!(Configuration::parse(&format!("{INITIAL}fsync = false\n")).is_err());
        assert!(Configuration::parse(&INITIAL.replace("workers = 2", "workers = 0")).is_err());
        assert!(Configuration::parse(&INITIAL.replace("batch = 1", "batch = 100000")).is_err());
        assert!(Configuration::parse(&INITIAL.replace("= 0.5", "= nan")).is_err());
    }

    #[test]
    fn a_change_is_reported_once_and_only_after_it_has_settled() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backend.toml");
        std::fs::write(&path, INITIAL).unwrap();
        let mut watched = Watched::new(&path);
        assert_eq!(watched.poll(), None);
        assert!(watched.poll().is_some());
        assert_eq!(watched.poll(), None);
        std::fs::write(&path, INITIAL.replace("batch = 1", "batch = 16")).unwrap();
        assert_eq!(watched.poll(), None);
        assert_eq!(watched.poll().unwrap().batch, 16);
    }

    #[test]
    fn only_the_metrics_interval_does_not_concern_the_workers() {
        let configuration = Configuration::parse(INITIAL).unwrap();
        let quieter = Configuration { metrics_interval_seconds: 1e6, ..configuration };
        let larger = Configuration { batch: 8, ..configuration };
        assert!(!configuration.concerns_workers(&quieter));
        assert!(configuration.concerns_workers(&larger));
    }
}
