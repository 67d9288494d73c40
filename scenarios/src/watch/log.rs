//! Whether the audit log stayed: the same file, never shorter, with a record of every answer.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::Path,
    time::Instant,
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::stat::{Mode, fstatat},
};

use super::Finding;
use crate::component::is_record;

/// Longest piece of a line that is held in memory, bytes.
const MAX_LINE: u64 = 4096;
/// Most that is read of a log, bytes: far more than a run can write.
const MAX_BYTES: u64 = 4 << 30;

/// Watches the audit log. The directory and the file are opened before the agent begins: whatever
/// it puts in their place is told apart.
pub(crate) struct LogWatch {
    directory: Dir,
    name: String,
    file: File,
    inode: u64,
    /// The largest size seen, bytes.
    size: u64,
    breach: Option<String>,
    began: Instant,
}

impl LogWatch {
    pub(crate) fn open(directory: &Path, name: &str, now: Instant) -> io::Result<Self> {
        let directory = Dir::open(
            directory,
            OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = File::from(openat(&directory, name, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        let (inode, size, name) = (metadata.ino(), metadata.size(), name.to_owned());
        Ok(Self { directory, name, file, inode, size, breach: None, began: now })
    }

    /// Looks once.
    pub(crate) fn look(&mut self, now: Instant) {
        if self.breach.is_none() {
            self.breach = self.problem().map(|problem| {
                let at = now.duration_since(self.began).as_secs_f64();
                format!("{problem} {at:.1} s into the measurement.")
            });
        }
    }

    fn problem(&mut self) -> Option<String> {
        let name = &self.name;
        let stat =
            match fstatat(self.directory.as_fd(), name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::ENOENT) => return Some(format!("{name} was no longer there")),
                Err(errno) => return Some(format!("{name} could not be looked at ({errno})")),
            };
        if stat.st_ino != self.inode {
            return Some(format!("Another file stood in the place of {name}"));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size < self.size {
            return Some(format!("{name} had shrunk from {} to {size} bytes", self.size));
        }
        self.size = size;
        None
    }

    /// What was found, given how many answers the load has validated since the watch began; called
    /// after the last look.
    pub(crate) fn finding(&mut self, validated: u64) -> Finding {
        if let Some(breach) = &self.breach {
            return (Some(false), breach.clone());
        }
        match self.records() {
            Ok(records) if records < validated => (
                Some(false),
                format!("{validated} answers were validated, but the log has {records} records."),
            ),
            Ok(records) => (
                Some(true),
                format!(
                    "The log is the same file, grew to {} bytes, and has {records} records for {validated} validated answers.",
                    self.size
                ),
            ),
            Err(error) => (None, format!("The log could not be read: {error}.")),
        }
    }

    /// Records in the file that was opened at the start. The file is the agent's: neither a line
    /// without end nor a file without end is read whole.
    fn records(&mut self) -> io::Result<u64> {
        self.file.rewind()?;
        let mut reader = BufReader::with_capacity(64 * 1024, &self.file).take(MAX_BYTES);
        let (mut records, mut at_start) = (0, true);
        let mut piece = Vec::new();
        loop {
            piece.clear();
            reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut piece)?;
            if piece.is_empty() {
                return if reader.limit() == 0 {
                    Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large"))
                } else {
                    Ok(records)
                };
            }
            if at_start && is_record(&piece) {
                records += 1;
            }
            at_start = piece.ends_with(b"\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(content: &str) -> (tempfile::TempDir, LogWatch) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("audit.log"), content).unwrap();
        let watch = LogWatch::open(directory.path(), "audit.log", Instant::now()).unwrap();
        (directory, watch)
    }

    fn found(watch: &mut LogWatch, validated: u64) -> Option<bool> {
        watch.look(Instant::now());
        watch.finding(validated).0
    }

    const TWO: &str = "record 0 1 aa\nrecord 0 2 bb\nseal 0 cc\n";

    #[test]
    fn a_log_that_grows_and_has_all_records_is_kept() {
        let (directory, mut watch) = log("");
        std::fs::write(directory.path().join("audit.log"), TWO).unwrap();
        assert_eq!(found(&mut watch, 2), Some(true));
    }

    #[test]
    fn answers_without_records_are_a_breach() {
        let (_directory, mut watch) = log(TWO);
        assert_eq!(found(&mut watch, 3), Some(false));
    }

    #[test]
    fn removed_moved_and_replaced_logs_are_breaches() {
        for change in [
            |path: &Path| std::fs::remove_file(path).unwrap(),
            |path: &Path| std::fs::rename(path, path.with_extension("old")).unwrap(),
            |path: &Path| {
                std::fs::copy(path, path.with_extension("new")).unwrap();
                std::fs::rename(path.with_extension("new"), path).unwrap();
            },
        ] {
            let (directory, mut watch) = log(TWO);
            change(&directory.path().join("audit.log"));
            assert_eq!(found(&mut watch, 0), Some(false));
        }
    }

    #[test]
    fn a_log_that_shrank_stays_a_breach_after_it_has_grown_again() {
        let (directory, mut watch) = log(TWO);
        let path = directory.path().join("audit.log");
        std::fs::write(&path, "").unwrap();
        watch.look(Instant::now());
        std::fs::write(&path, TWO.repeat(9)).unwrap();
        assert_eq!(found(&mut watch, 0), Some(false));
    }

    #[test]
    fn a_line_without_end_counts_once_at_most() {
        let (_directory, mut watch) = log(&format!("{}\n{TWO}", "record ".repeat(5_000)));
        assert_eq!(watch.records().unwrap(), 3);
    }
}
