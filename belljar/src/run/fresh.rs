//! A run directory whose run has not started yet.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Removes a run directory unless it is kept: what lies there must not be taken for a run's that was
/// refused its start.
pub(crate) struct Fresh {
    path: PathBuf,
    was_there: bool,
    is_kept: bool,
}

impl Fresh {
    /// For a directory that was just made, or found empty.
    pub(crate) fn new(path: &Path, was_there: bool) -> Self {
        Self { path: path.to_owned(), was_there, is_kept: false }
    }

    /// The run has started.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }

    fn remove(&self) -> io::Result<()> {
        if !self.was_there {
            return fs::remove_dir_all(&self.path);
        }
        // Somebody's empty directory stays one.
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let Err(error) = self.remove() {
            tracing::warn!(%error, path = %self.path.display(), "a run that did not start is left");
        }
    }
}
