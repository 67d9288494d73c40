//! Runs whose owner died without tidying up.

use std::{fs, path::Path, time::Duration};

use super::{Belljar, Cgroup, CgroupError, cgroups_in};
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
        self.runs().is_ok_and(|runs| !runs.is_empty())
    }

    /// The runs whose owner is gone, sorted by name.
    ///
    /// # Errors
    ///
    /// [`CgroupError`].
    pub fn stale_runs(&self) -> Result<Vec<StaleRun>, CgroupError> {
        let mut stale = Vec::new();
        for (name, path) in self.runs()? {
            let Some(owner) = self.own(&name)? else { continue };
            // A run may have ended in order between the listing and the lock.
            let Ok(cgroup) = Cgroup::open(path) else { continue };
            stale.push(StaleRun { name, cgroup, belljar: self.clone(), _owner: owner });
        }
        Ok(stale)
    }

    /// Removes what stands beside runs and observers that are gone: the files beside a run's lock, a
    /// canary's cgroup and file.
    pub fn remove_leftovers(&self) {
        for (name, path) in cgroups_in(&self.path).unwrap_or_default() {
            if is_dead_canarys(&name) {
                // Refused while it still holds a process, which is about to end.
                let _ = fs::remove_dir(path);
            }
        }
        for entry in fs::read_dir(&self.locks).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            match name.split_once('.') {
                Some((run, "directory" | "hold")) if !self.is_live(run) => {
                    self.remove_runtime_files(run);
                }
                _ if is_dead_canarys(&name) => {
                    let _ = fs::remove_file(entry.path());
                }
                _ => {}
            }
        }
        self.remove_when_empty();
    }
}

/// Whether a name is that of a canary whose observer, whose process id it begins with, is gone.
fn is_dead_canarys(name: &str) -> bool {
    let Some((observer, "canary" | "gone")) = name.split_once('.') else { return false };
    let is_id = observer.parse::<u32>().is_ok();
    is_id && !Path::new("/proc").join(observer).exists()
}
