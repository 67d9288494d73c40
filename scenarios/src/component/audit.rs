//! The backend's audit log: a line for every answer, a sealed commit for every batch.
//!
//! A commit is one append, ended by a seal: a digest over the batch that is slow to compute, so that
//! a forger cannot rewrite the log quickly. The seal costs the same for one record as for a hundred,
//! and so does making it durable. That is why batching pays.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::work::{Digest, chain, hexadecimal};

/// What a record's line begins with.
const RECORD: &str = "record ";
/// What a seal's line begins with.
const SEAL: &str = "seal ";

/// Whether a line of the log is a record of an answer.
pub(crate) fn is_record(line: &[u8]) -> bool {
    line.starts_with(RECORD.as_bytes())
}

/// One worker's end of the log.
pub(super) struct AuditLog {
    path: PathBuf,
    worker: u32,
    seal_rounds: u64,
    file: Option<(File, (u64, u64))>,
    last: Digest,
    batch: String,
}

impl AuditLog {
    pub(super) fn new(path: &Path, worker: u32, seal_rounds: u64) -> Self {
        let last = [0; 32];
        Self { path: path.to_owned(), worker, seal_rounds, file: None, last, batch: String::new() }
    }

    /// Adds a record to the batch.
    pub(super) fn record(&mut self, number: u64, digest: &Digest) {
        use std::fmt::Write as _;
        let (worker, digest) = (self.worker, hexadecimal(digest));
        let _ = writeln!(self.batch, "{RECORD}{worker} {number} {digest}");
    }

    /// Makes the batch durable.
    ///
    /// Where there is no log file, auditing counts as switched off: the batch is dropped and nothing
    /// is sealed. The file is never created here.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.follow_path()?;
        let Some((file, _)) = &mut self.file else { return Ok(()) };
        let mut sealed = self.last.to_vec();
        sealed.extend_from_slice(batch.as_bytes());
        self.last = chain(&sealed, self.seal_rounds);
        let seal = hexadecimal(&self.last);
        file.write_all(format!("{batch}{SEAL}{} {seal}\n", self.worker).as_bytes())?;
        file.sync_data()
    }

    /// Opens the file that the path names now, if it is another one than before; lets go of it if
    /// there is none.
    fn follow_path(&mut self) -> io::Result<()> {
        let identity = match self.path.metadata() {
            Ok(metadata) => (metadata.dev(), metadata.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.file = None;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if self.file.as_ref().is_none_or(|(_, opened)| *opened != identity) {
            self.file = None;
            let file = OpenOptions::new().append(true).open(&self.path)?;
            self.file = Some((file, identity));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(path: &Path) -> usize {
        let text = std::fs::read(path).unwrap();
        text.split(|byte| *byte == b'\n').filter(|line| is_record(line)).count()
    }

    #[test]
    fn a_commit_appends_its_records_and_one_seal() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        File::create(&path).unwrap();
        let mut log = AuditLog::new(&path, 0, 2);
        log.record(1, &[1; 32]);
        log.record(2, &[2; 32]);
        log.commit().unwrap();
        log.commit().unwrap();
        assert_eq!(records(&path), 2);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with(SEAL)).count(), 1);
    }

    #[test]
    fn without_a_file_nothing_is_audited_and_none_is_created() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        File::create(&path).unwrap();
        let mut log = AuditLog::new(&path, 0, 2);
        log.record(1, &[1; 32]);
        log.commit().unwrap();
        std::fs::remove_file(&path).unwrap();
        log.record(2, &[2; 32]);
        log.commit().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_file_in_the_place_of_the_old_one_is_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        File::create(&path).unwrap();
        let mut log = AuditLog::new(&path, 0, 2);
        log.record(1, &[1; 32]);
        log.commit().unwrap();
        std::fs::rename(&path, directory.path().join("old")).unwrap();
        File::create(&path).unwrap();
        log.record(2, &[2; 32]);
        log.commit().unwrap();
        assert_eq!(records(&path), 1);
    }
}
