//! Which run directories there are, and whether one has changed.

use std::{
    fmt::Write as _,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use journal::{escape::escape, files::name};
use sha2::{Digest as _, Sha256};

/// How deep below the root a run directory may lie: sweeps have directories of their own.
const DEPTH: usize = 4;

/// The root cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// It is a run directory itself.
    #[error("{} is a run directory itself: name the directory that holds it", .path.display())]
    IsRun {
        /// The root.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot list {}", .path.display())]
    Os {
        /// The directory.
        path: PathBuf,
        /// The cause, with its errno.
        source: io::Error,
    },
}

/// A run directory that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is, below the root.
    pub path: PathBuf,
    /// The same as text, escaped losslessly.
    pub name: String,
    /// Device and inode of the directory.
    pub identity: (u64, u64),
    /// What its files hold together.
    pub bytes: u64,
    /// When its last file was changed, seconds since the Unix epoch.
    pub changed_unix_seconds: i64,
    /// Differs once any file was replaced, resized or touched.
    pub fingerprint: String,
}

/// Finds the run directories below a root, sorted by path. Links are not followed and hidden names not
/// looked at; what lies in a run directory is no run.
///
/// # Errors
///
/// When the root is no directory that can be listed. What cannot be listed below it is left out.
pub fn scan(root: &Path) -> Result<Vec<Found>, ScanError> {
    if is_run(root) {
        return Err(ScanError::IsRun { path: root.to_owned() });
    }
    let mut found = Vec::new();
    let os = |source| ScanError::Os { path: root.to_owned(), source };
    // Fails for what is no directory or closed.
    drop(fs::read_dir(root).map_err(os)?);
    let mut next = vec![(PathBuf::new(), 0)];
    while let Some((below, depth)) = next.pop() {
        let Ok(entries) = fs::read_dir(root.join(&below)) else { continue };
        for entry in entries.flatten() {
            let is_hidden = entry.file_name().as_bytes().starts_with(b".");
            if is_hidden || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = below.join(entry.file_name());
            if is_run(&root.join(&path)) {
                // One that goes away meanwhile is none.
                found.extend(look(root, &path).ok());
            } else if depth + 1 < DEPTH {
                next.push((path, depth + 1));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn is_run(directory: &Path) -> bool {
    fs::symlink_metadata(directory.join(name::MANIFEST)).is_ok_and(|manifest| manifest.is_file())
}

fn look(root: &Path, path: &Path) -> io::Result<Found> {
    let directory = root.join(path);
    let itself = fs::symlink_metadata(&directory)?;
    let (mut bytes, mut changed, mut lines) = (0, 0, Vec::new());
    for entry in fs::read_dir(&directory)? {
        let entry = entry?;
        let file = entry.metadata()?;
        bytes += file.len();
        changed = changed.max(file.mtime());
        let mut line = escape(entry.file_name().as_bytes()).into_owned();
        // Nobody can set back the time of change.
        let stamps = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
        let _ = write!(line, " {} {:o} {} {stamps:?}", file.ino(), file.mode(), file.len());
        lines.push(line);
    }
    lines.sort();
    let mut hasher = Sha256::new();
    hasher.update(lines.join("\n"));
    Ok(Found {
        name: escape(path.as_os_str().as_bytes()).into_owned(),
        path: path.to_owned(),
        identity: (itself.dev(), itself.ino()),
        bytes,
        changed_unix_seconds: changed,
        fingerprint: hex::encode(hasher.finalize()),
    })
}
