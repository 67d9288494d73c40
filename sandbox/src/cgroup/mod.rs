//! Cgroups: `<cgroup v2 mount>/belljar/<run>/{call-N, component-NAME}`, and `oversight` beside the runs.
//!
//! Who did something is told from the cgroup it was done in, so a process is born in its leaf and
//! cannot leave it: the files below are root's, and the sandbox has no capability.

mod control;
mod limits;
mod live;
mod members;
mod mount;
mod oversight;
mod run;
mod stale;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub use control::Cgroup;
pub use limits::{Limits, LimitsAchieved, Rlimits};
pub use live::{Leaf, LeafOwner, LiveRun};
pub use mount::{CgroupMount, FindError};
pub use oversight::OversightCgroup;
pub use run::{Claim, RunCgroup};
pub use stale::StaleRun;

use crate::lock::LockError;

/// The directory of everything of Belljar's, below the mount.
pub(crate) const ROOT_NAME: &str = "belljar";
/// The cgroup of the processes that watch, below [`ROOT_NAME`].
pub(crate) const OVERSIGHT_NAME: &str = "oversight";

/// Belljar's part of the cgroup hierarchy.
#[derive(Clone, Debug)]
pub struct Belljar {
    mount: CgroupMount,
    path: PathBuf,
    locks: PathBuf,
}

impl Belljar {
    /// Belljar's part below this mount. Makes nothing yet.
    #[must_use]
    pub fn new(mount: CgroupMount) -> Self {
        let path = mount.path().join(ROOT_NAME);
        Self { mount, path, locks: PathBuf::from(crate::lock::RUNTIME_DIRECTORY) }
    }

    /// Its directory, `<mount>/belljar`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The mount it lies below.
    #[must_use]
    pub fn mount(&self) -> &CgroupMount {
        &self.mount
    }

    /// The cgroups of all runs, by name. Names with a dot are no runs', but of what stands beside one.
    pub(crate) fn runs(&self) -> Result<Vec<(String, PathBuf)>, CgroupError> {
        let mut runs = cgroups_in(&self.path)?;
        runs.retain(|(name, _)| name != OVERSIGHT_NAME && !name.contains('.'));
        runs.sort();
        Ok(runs)
    }

    fn lock_path(&self, run: &str) -> PathBuf {
        self.locks.join(format!("{run}.lock"))
    }
}

/// An act on a cgroup failed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A name that cannot be a cgroup's here.
    #[error(
        "{name:?} cannot name a cgroup: use letters, digits, '.', '_' and '-', not beginning with '.'"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// There is one already.
    #[error("the cgroup {} exists already", path.display())]
    Exists {
        /// Its directory.
        path: PathBuf,
    },
    /// Another process is running it.
    #[error("run {run} belongs to another process that is alive")]
    Owned {
        /// The run.
        run: String,
    },
    /// Its owner's lock.
    #[error("cannot own run {run}")]
    Lock {
        /// The run.
        run: String,
        /// Why not.
        source: LockError,
    },
    /// A file beside its lock could not be written or removed.
    #[error("cannot change {}", path.display())]
    Hold {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The directory could not be made.
    #[error("cannot make the cgroup {}: this needs root and a cgroup v2 mount that is writable", path.display())]
    Create {
        /// Its directory.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A file of it could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A file of it could not be written.
    #[error("cannot write {value:?} to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was to be written.
        value: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The directory could not be removed.
    #[error("cannot remove the cgroup {}", path.display())]
    Remove {
        /// Its directory.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// It did not come to a state in time.
    #[error("the cgroup {} is not {state} after {seconds} s; processes in it: {tgids:?}", path.display())]
    Deadline {
        /// Its directory.
        path: PathBuf,
        /// `empty` or `frozen`.
        state: &'static str,
        /// How long was waited.
        seconds: f32,
        /// Who is in it, by thread group.
        tgids: Vec<u32>,
    },
}

/// The cgroups directly below a directory, with their names. One that is gone has none.
pub(crate) fn cgroups_in(directory: &Path) -> Result<Vec<(String, PathBuf)>, CgroupError> {
    let entries = match fs::read_dir(directory) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => {
            entries.map_err(|source| CgroupError::Read { path: directory.to_owned(), source })?
        }
    };
    Ok(entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        // What is not named like ours was not made here.
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect())
}

/// Checks that a name can be a directory of ours, and nothing but one.
pub(crate) fn check_name(name: &str) -> Result<(), CgroupError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_good = !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && name.chars().all(is_plain);
    if is_good { Ok(()) } else { Err(CgroupError::Name { name: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_directory_or_name_a_kernel_file_are_refused() {
        for bad in ["", ".", "..", "a/b", ".hidden", "a b", "a\0", "ä"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        for good in ["call-3", "component-store", "20261124T042835Z-1f"] {
            assert!(check_name(good).is_ok(), "{good:?}");
        }
    }
}
