//! Runs whose owner died without tidying up.

use std::{fs, io, time::Duration};

use super::{Belljar, Cgroup, CgroupError, OVERSIGHT_NAME};
use crate::lock::OwnerLock;

/// A run that is nobody's any more. While this lives, nobody else can reap it.
#[derive(Debug)]
pub struct StaleRun {
    name: String,
    cgroup: Cgroup,
    belljar: Belljar,
    _owner: OwnerLock,
}

impl StaleRun {
    /// The run's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its cgroup.
    #[must_use]
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Kills what is left of it and removes its cgroups.
    ///
    /// # Errors
    ///
    /// [`CgroupError`].
    pub fn reap(self, patience: Duration) -> Result<(), CgroupError> {
        self.cgroup.kill_and_wait(patience)?;
        self.cgroup.remove_directories()?;
        self.belljar.remove_runtime_files(&self.name);
        self.belljar.remove_when_empty();
        Ok(())
    }
}

impl Belljar {
    /// Whether any run has a cgroup, whoever owns it.
    #[must_use]
    pub fn has_runs(&self) -> bool {
        let entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
        let mut runs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        runs.any(|run| run.file_name() != OVERSIGHT_NAME)
    }

    /// The runs whose owner is gone, sorted by name.
    ///
    /// # Errors
    ///
    /// [`CgroupError`].
    pub fn stale_runs(&self) -> Result<Vec<StaleRun>, CgroupError> {
        let read = |source| CgroupError::Read { path: self.path().to_owned(), source };
        let entries = match fs::read_dir(self.path()) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(read)?,
        };
        let mut stale = Vec::new();
        for entry in entries {
            let entry = entry.map_err(read)?;
            // What is not named like a run was not made here.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name == OVERSIGHT_NAME || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let Some(owner) = self.own(&name)? else { continue };
            // A run may have ended in order between the listing and the lock.
            let Ok(cgroup) = Cgroup::open(entry.path()) else { continue };
            stale.push(StaleRun { name, cgroup, belljar: self.clone(), _owner: owner });
        }
        stale.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(stale)
    }
}
