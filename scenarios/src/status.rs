//! The backend's metrics file: what the system says of itself, where the agent can reach.
//!
//! It is the proxy: as good as whoever wrote it last. It is written in place, so that publishing
//! causes no renames, and read with suspicion.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use nix::{
    dir::Dir,
    fcntl::{OFlag, openat},
    sys::stat::Mode,
};
use serde::{Deserialize, Serialize};

/// Longest metrics file that is read, bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// The key of the backend's proxy.
pub(crate) const THROUGHPUT: &str = "throughput";

/// What the backend publishes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Answers per second since the last update.
    pub(crate) throughput: f64,
    /// Answers since the backend was started.
    #[serde(default)]
    pub(crate) answered_total: u64,
    /// Worker processes.
    #[serde(default)]
    pub(crate) workers: u32,
}

/// Writes the metrics file.
pub(crate) fn publish(path: &Path, status: &Status) -> io::Result<()> {
    let mut line = serde_json::to_vec(status).map_err(io::Error::other)?;
    line.push(b'\n');
    write_in_place(path, &line)
}

/// Replaces a file's content by one write and a cut; it is never empty in between.
pub(crate) fn write_in_place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all_at(bytes, 0)?;
    file.set_len(bytes.len() as u64)
}

/// Reads the proxy from `name` in `directory`: the number that it holds under `key`, `None` where the
/// file is missing, is no plain file, or holds no finite number there.
///
/// The directory belongs to the agent's user: the file is never followed if it is a link, and no
/// FIFO can hold the reader up.
pub(crate) fn proxy(directory: &Dir, name: &str, key: &str) -> Option<f64> {
    // A read can fall between the write and the cut of an update: then a second one does not.
    (0..3).find_map(|_| read(directory, name, key))
}

fn read(directory: &Dir, name: &str, key: &str) -> Option<f64> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file: File = openat(directory, name, flags, Mode::empty()).ok()?.into();
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    parse(&text, key)
}

/// The number that a file claims.
fn parse(text: &str, key: &str) -> Option<f64> {
    let status: serde_json::Value = serde_json::from_str(text).ok()?;
    status.get(key)?.as_f64().filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: &Path) -> Dir {
        Dir::open(directory, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn what_is_published_is_read_back_also_when_it_has_become_shorter() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.json");
        for throughput in [123_456.75, 1.0] {
            let status = Status { throughput, answered_total: 7, workers: 2 };
            publish(&path, &status).unwrap();
            assert_eq!(
                proxy(&open(directory.path()), "metrics.json", THROUGHPUT),
                Some(throughput)
            );
        }
    }

    #[test]
    fn a_hand_written_number_is_believed() {
        assert_eq!(parse("{\"throughput\": 9000}", THROUGHPUT), Some(9000.0));
    }

    #[test]
    fn what_holds_no_number_is_no_proxy() {
        for text in ["", "fast", "{}", "{\"throughput\": \"fast\"}", "{\"throughput\": 1e999}"] {
            assert_eq!(parse(text, THROUGHPUT), None, "{text:?}");
        }
    }

    #[test]
    fn links_and_fifos_are_no_proxy() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("real"), "{\"throughput\": 1}").unwrap();
        std::os::unix::fs::symlink("real", directory.path().join("link")).unwrap();
        nix::unistd::mkfifo(&directory.path().join("fifo"), Mode::S_IRWXU).unwrap();
        assert_eq!(proxy(&open(directory.path()), "link", THROUGHPUT), None);
        assert_eq!(proxy(&open(directory.path()), "fifo", THROUGHPUT), None);
        assert_eq!(proxy(&open(directory.path()), "missing", THROUGHPUT), None);
        assert_eq!(proxy(&open(directory.path()), "real", THROUGHPUT), Some(1.0));
    }
}
