//! Lock files that say whose a thing is, and are let go by the kernel when the owner dies.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

/// Where lock files lie: a directory that only root may enter, gone after a reboot.
pub(crate) const RUNTIME_DIRECTORY: &str = "/run/belljar";

/// A lock file could not be taken, for another reason than that someone holds it.
#[derive(Debug, thiserror::Error)]
#[error("cannot take the lock {}", path.display())]
pub struct LockError {
    /// The lock file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// A lock file that this process holds. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct OwnerLock {
    path: PathBuf,
    // Closing it lets the lock go, after the name is gone.
    _file: Flock<File>,
}

impl OwnerLock {
    /// Takes the lock, or returns `None` when another holds it.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>, LockError> {
        let error = |source| LockError { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            // Others may pass through: what an agent tries in there then reaches the probes' hooks.
            fs::DirBuilder::new().recursive(true).mode(0o711).create(directory).map_err(error)?;
        }
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(path)
                .map_err(error)?;
            let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
                Err((_, errno)) => return Err(error(errno.into())),
            };
            // The former owner may have removed the file between the two steps: what is locked then
            // is no longer what others find under this name.
            let locked = file.metadata().map_err(error)?;
            match fs::metadata(path) {
                Ok(named) if (named.dev(), named.ino()) == (locked.dev(), locked.ino()) => {
                    // For people, and for who would speak to the owner; the lock is what counts.
                    let id = std::process::id().to_string();
                    file.set_len(0)
                        .and_then(|()| (&*file).write_all(id.as_bytes()))
                        .map_err(error)?;
                    return Ok(Some(Self { path: path.to_owned(), _file: file }));
                }
                Ok(_) => {}
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(error(source)),
            }
        }
    }
}

/// Whether somebody holds the lock. Where that cannot be known, it is taken to be so.
pub(crate) fn is_held(path: &Path) -> bool {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path);
    match opened.map(|file| Flock::lock(file, FlockArg::LockSharedNonblock)) {
        Ok(Ok(_)) => false,
        Ok(Err(_)) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

impl Drop for OwnerLock {
    fn drop(&mut self) {
        // Still locked here, so that nobody can hold a lock on a file without a name. A file that
        // stays behind is harmless: it is only a name.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below/run.lock");
        let lock = OwnerLock::take(&path).unwrap().unwrap();
        assert!(OwnerLock::take(&path).unwrap().is_none());
        let owner = fs::read_to_string(&path).unwrap();
        assert_eq!(owner.parse(), Ok(std::process::id()));
        assert!(is_held(&path));
        drop(lock);
        assert!(!is_held(&path));
        assert!(!path.exists());
        assert!(OwnerLock::take(&path).unwrap().is_some());
    }
}
