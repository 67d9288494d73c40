//! Where the files of runs lie, and what is left there of runs that are gone.
//!
//! A stage is a directory with the name of its run. All stages lie in one directory that nobody but
//! root can write to, and that bears a mark: so whatever lies there under a run's name was made by
//! Belljar, whoever owns what is in it. Its name tells an agent nothing, and its mode keeps runs from
//! learning each other's names.

use std::{
    ffi::CString,
    fs::DirBuilder,
    io,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fchmod, fstat, openat, statat},
    io::Errno,
    process::geteuid,
};

use crate::{
    lock::{LockError, OwnerLock, RUNTIME_DIRECTORY},
    removal::{RemoveTreeError, remove_tree},
    user::is_run_uid,
};

/// The directory of all stages. Its parent is root's alone, unlike that of temporary files, so that
/// no other user can be there first.
const STAGES: &str = "/var/lib/jobs";
/// The file in it that says whose it is.
const MARK: &str = "stages-of-belljar";
/// Everybody may pass through, nobody may list it.
const MODE: u32 = 0o711;

/// The letters of a run's name.
pub const NAME_LETTERS: [u8; 32] = *b"abcdefghijklmnopqrstuvwxyz234567";
/// How many letters a run's name has.
pub const NAME_LENGTH: usize = 8;

/// The directory of all stages.
#[derive(Debug)]
pub struct Stages {
    path: PathBuf,
    locks: PathBuf,
    directory: OwnedFd,
}

/// The directory of all stages cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StagesError {
    /// The kernel refused something.
    #[error("cannot {action} {}", path.display())]
    Refused {
        /// What.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// There is a directory of that name which Belljar did not make, or which others can change.
    #[error("{} was not made for the files of runs: move it away", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// A run's lock.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// The files of a run that is gone. While this lives, nobody else can reap them.
#[derive(Debug)]
pub struct StaleStage<'a> {
    name: String,
    stages: &'a Stages,
    _owner: OwnerLock,
}

impl Stages {
    /// Makes the directory, or finds it.
    ///
    /// # Errors
    ///
    /// [`StagesError`].
    pub fn open() -> Result<Self, StagesError> {
        Self::open_at(STAGES.into(), RUNTIME_DIRECTORY.into())
    }

    fn open_at(path: PathBuf, locks: PathBuf) -> Result<Self, StagesError> {
        if let Some(parent) = path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(parent);
            made.map_err(refused("create", parent))?;
        }
        match DirBuilder::new().mode(MODE).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(refused("create", &path)(error));
            }
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match openat(CWD, &path, flags, Mode::empty()) {
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(StagesError::NotOurs { path }),
            directory => directory.map_err(|errno| refused("open", &path)(errno.into()))?,
        };
        let stages = Self { path, locks, directory };
        stages.claim()?;
        Ok(stages)
    }

    /// Checks that the directory is Belljar's, and marks it if it is new.
    fn claim(&self) -> Result<(), StagesError> {
        let refused = |action| move |errno: Errno| refused(action, &self.path)(errno.into());
        let stat = fstat(&self.directory).map_err(refused("look at"))?;
        if !is_own(&stat) || stat.st_mode & 0o022 != 0 {
            return Err(StagesError::NotOurs { path: self.path.clone() });
        }
        if self.is_marked() {
            return Ok(());
        }
        let is_entry = |name: &[u8]| !matches!(name, b"." | b"..");
        let mut entries = Dir::read_from(&self.directory).map_err(refused("list"))?.flatten();
        if entries.any(|entry| is_entry(entry.file_name().to_bytes())) {
            // Another run may have begun at this moment, and have marked it before it was listed.
            return if self.is_marked() {
                Ok(())
            } else {
                Err(StagesError::NotOurs { path: self.path.clone() })
            };
        }
        // The creation mask may have taken from the mode.
        fchmod(&self.directory, Mode::from_raw_mode(MODE)).map_err(refused("set the mode of"))?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        match openat(&self.directory, MARK, flags, Mode::RUSR | Mode::WUSR) {
            Ok(_) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(refused("mark")(errno)),
        }
    }

    fn is_marked(&self) -> bool {
        statat(&self.directory, MARK, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
            is_own(&stat) && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        })
    }

    /// Where the stage of a run is, whether it is made or not.
    #[must_use]
    pub fn stage(&self, run: &str) -> PathBuf {
        self.path.join(run)
    }

    /// Removes the stage of a run that the caller owns, if there is one.
    ///
    /// # Errors
    ///
    /// [`RemoveTreeError`].
    pub fn remove(&self, run: &str) -> Result<(), RemoveTreeError> {
        let name = CString::new(run).expect("a run's name holds no NUL");
        remove_tree(&self.directory, &name, is_run_uid)
    }

    /// The stages whose run is gone, sorted by name.
    ///
    /// # Errors
    ///
    /// [`StagesError`].
    pub fn stale(&self) -> Result<Vec<StaleStage<'_>>, StagesError> {
        let refused = |errno: Errno| refused("list", &self.path)(errno.into());
        let mut stale = Vec::new();
        for entry in Dir::read_from(&self.directory).map_err(refused)? {
            let entry = entry.map_err(refused)?;
            let name = entry.file_name();
            let Some(run) = name.to_str().ok().filter(|name| is_run_name(name)) else { continue };
            let is_stage =
                statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
                    is_own(&stat) && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                });
            if !is_stage {
                continue;
            }
            // A run takes its lock before it makes its stage, and keeps it until that is removed.
            if let Some(owner) = OwnerLock::take(&self.locks.join(format!("{run}.lock")))? {
                stale.push(StaleStage { name: run.to_owned(), stages: self, _owner: owner });
            }
        }
        stale.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(stale)
    }
}

impl StaleStage<'_> {
    /// The run's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Removes it.
    ///
    /// # Errors
    ///
    /// [`RemoveTreeError`].
    pub fn reap(self) -> Result<(), RemoveTreeError> {
        self.stages.remove(&self.name)
    }
}

fn is_run_name(name: &str) -> bool {
    name.len() == NAME_LENGTH && name.bytes().all(|letter| NAME_LETTERS.contains(&letter))
}

/// Whether a thing belongs to who runs Belljar, which is root.
fn is_own(stat: &Stat) -> bool {
    stat.st_uid == geteuid().as_raw()
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StagesError + use<> {
    let path = path.to_owned();
    move |source| StagesError::Refused { action, path, source }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    fn stages(directory: &Path) -> Result<Stages, StagesError> {
        Stages::open_at(directory.join("jobs"), directory.join("locks"))
    }

    fn names(stages: &Stages) -> Vec<String> {
        stages.stale().unwrap().iter().map(|stage| stage.name().to_owned()).collect()
    }

    #[test]
    fn stages_without_a_live_run_are_reaped_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let stages = stages(directory.path()).unwrap();
        for name in ["deadaaaa", "liveaaaa", "UPPERABC", "short", "longer-than-any"] {
            fs::create_dir_all(stages.stage(name).join("workspace/below")).unwrap();
        }
        fs::write(stages.stage("fileaaaa"), "").unwrap();
        symlink(directory.path(), stages.stage("linkaaaa")).unwrap();
        let alive = OwnerLock::take(&directory.path().join("locks/liveaaaa.lock")).unwrap();
        assert_eq!(names(&stages), ["deadaaaa"]);

        for stage in stages.stale().unwrap() {
            stage.reap().unwrap();
        }
        assert_eq!(names(&stages), [""; 0]);
        assert!(!stages.stage("deadaaaa").exists());
        for kept in ["liveaaaa", "UPPERABC", "short", "longer-than-any", "fileaaaa", "linkaaaa"] {
            assert!(stages.stage(kept).symlink_metadata().is_ok(), "{kept}");
        }
        drop(alive);
        assert_eq!(names(&stages), ["liveaaaa"]);
    }

    #[test]
    fn the_directory_is_found_again_and_cannot_be_listed_by_others() {
        let directory = tempfile::tempdir().unwrap();
        let first = stages(directory.path()).unwrap();
        fs::create_dir(first.stage("aaaaaaaa")).unwrap();
        assert_eq!(names(&stages(directory.path()).unwrap()), ["aaaaaaaa"]);
        let mode = fs::metadata(directory.path().join("jobs")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
    }

    #[test]
    fn a_directory_that_others_made_or_can_change_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let jobs = directory.path().join("jobs");
        let refuses = || matches!(stages(directory.path()), Err(StagesError::NotOurs { .. }));
        fs::create_dir_all(jobs.join("aaaaaaaa/precious")).unwrap();
        assert!(refuses(), "no mark");
        assert!(jobs.join("aaaaaaaa/precious").exists());
        fs::remove_dir_all(&jobs).unwrap();
        symlink(directory.path(), &jobs).unwrap();
        assert!(refuses(), "a link");
        fs::remove_file(&jobs).unwrap();
        stages(directory.path()).unwrap();
        fs::set_permissions(&jobs, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(refuses(), "everybody may write");
    }
}
