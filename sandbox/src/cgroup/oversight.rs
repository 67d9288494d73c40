//! The cgroup of the processes that watch, apart from every run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Belljar, Cgroup, CgroupError, OVERSIGHT_NAME};

/// Membership of the calling process in `<mount>/belljar/oversight`. Its children inherit it.
/// Dropping it moves the process back where it was, and removes the cgroup when it is empty then:
/// children that inherited it must have ended.
#[derive(Debug)]
pub struct OversightCgroup {
    cgroup: Cgroup,
    before: Option<PathBuf>,
    belljar: Belljar,
}

impl OversightCgroup {
    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.cgroup.path()
    }

    /// Its id: what is in it, is oversight's.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.cgroup.id()
    }
}

impl Belljar {
    /// Moves the calling process, with all its threads, into the oversight cgroup.
    ///
    /// # Errors
    ///
    /// [`CgroupError`].
    pub fn enter_oversight(&self) -> Result<OversightCgroup, CgroupError> {
        let own = PathBuf::from("/proc/self/cgroup");
        let text =
            fs::read_to_string(&own).map_err(|source| CgroupError::Read { path: own, source })?;
        let path = self.path().join(OVERSIGHT_NAME);
        let before = self.mount().directory_of(&text).filter(|before| *before != path);
        let mut attempts_left = 10;
        let cgroup = loop {
            attempts_left -= 1;
            let entered = match self.make(OVERSIGHT_NAME) {
                Err(CgroupError::Exists { .. }) => Cgroup::open(path.clone()),
                made => made,
            }
            .and_then(|cgroup| cgroup.write("cgroup.procs", "0").map(|()| cgroup));
            match entered {
                // Another process that left has removed it, empty as it was.
                Err(_) if attempts_left > 0 && !path.exists() => {}
                entered => break entered?,
            }
        };
        Ok(OversightCgroup { cgroup, before, belljar: self.clone() })
    }
}

impl Drop for OversightCgroup {
    fn drop(&mut self) {
        if let Some(before) = self.before.take()
            && let Ok(before) = Cgroup::open(before)
        {
            // The cgroup of before may not take processes any more; then the process stays here,
            // and the directory with it.
            let _ = before.write("cgroup.procs", "0");
        }
        // Refused while another run's oversight is in it.
        let _ = fs::remove_dir(self.path());
        self.belljar.remove_when_empty();
    }
}
