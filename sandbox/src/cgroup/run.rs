//! The cgroup of a run, owned by the process that supervises it.

use std::{fs, io, path::Path, time::Duration};

use super::{
    Belljar, Cgroup, CgroupError, CgroupMount, Limits, LimitsAchieved, check_name, limits,
};
use crate::lock::OwnerLock;

/// How long a run that is dropped without [`RunCgroup::remove`] may take to empty.
const PATIENCE_ON_DROP: Duration = Duration::from_secs(5);

/// The cgroup of a run. Dropping it kills what is in it and removes it, without a report.
#[derive(Debug)]
pub struct RunCgroup {
    cgroup: Cgroup,
    name: String,
    belljar: Belljar,
    is_removed: bool,
    // Held for the whole run: who finds a run's cgroup and can take this lock knows that the run
    // is nobody's.
    _owner: OwnerLock,
}

impl RunCgroup {
    /// Makes `<mount>/belljar/<name>` and owns it. `name` is the run's.
    ///
    /// # Errors
    ///
    /// [`CgroupError`].
    pub fn create(mount: &CgroupMount, name: &str) -> Result<Self, CgroupError> {
        Belljar::new(mount.clone()).create_run(name)
    }

    /// The run's own cgroup, with all its leaves below.
    #[must_use]
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.cgroup.path()
    }

    /// The run's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many ancestors it has in the whole hierarchy: 2 where the mount shows the hierarchy's
    /// root. `None` inside a container's cgroup namespace, which hides it.
    #[must_use]
    pub fn level(&self) -> Option<u32> {
        self.belljar.mount().level(self.path())
    }

    /// Makes a leaf, for a call or a component.
    ///
    /// # Errors
    ///
    /// [`CgroupError`]; [`CgroupError::Exists`] when there is one of that name.
    pub fn leaf(&self, name: &str) -> Result<Cgroup, CgroupError> {
        check_name(name)?;
        Cgroup::create(self.path().join(name))
    }

    /// Limits the run as a whole where the hierarchy has the controllers, and says what else is to
    /// be done per process. Best before the first leaf is made.
    #[must_use]
    pub fn limit(&self, limits: &Limits) -> LimitsAchieved {
        limits::apply(self.belljar.mount().path(), self.belljar.path(), &self.cgroup, limits)
    }

    /// Kills what is in it, waits until it is empty, removes it with all its leaves, and Belljar's
    /// own directory when nothing else is in that. Doing it again does nothing.
    ///
    /// # Errors
    ///
    /// [`CgroupError`]; [`CgroupError::Deadline`] names the processes that did not end in time.
    pub fn remove(&mut self, patience: Duration) -> Result<(), CgroupError> {
        if self.is_removed {
            return Ok(());
        }
        // Somebody with the right to do so may have removed it by hand.
        if self.path().exists() {
            self.cgroup.kill_and_wait(patience)?;
            self.cgroup.remove_directories()?;
        }
        self.is_removed = true;
        self.belljar.remove_runtime_files(&self.name);
        self.belljar.remove_when_empty();
        Ok(())
    }

    pub(crate) fn belljar(&self) -> &Belljar {
        &self.belljar
    }
}

impl Drop for RunCgroup {
    fn drop(&mut self) {
        if let Err(error) = self.remove(PATIENCE_ON_DROP) {
            tracing::error!(run = self.name, %error, "the run's cgroup could not be removed");
        }
    }
}

/// A name that is taken. The kernel lets it go when its owner dies.
#[derive(Debug)]
pub struct Claim {
    _lock: OwnerLock,
}

impl Belljar {
    /// Makes a run's cgroup and owns it: see [`RunCgroup::create`].
    ///
    /// # Errors
    ///
    /// [`CgroupError`].
    pub fn create_run(&self, name: &str) -> Result<RunCgroup, CgroupError> {
        check_name(name)?;
        if name == super::OVERSIGHT_NAME {
            return Err(CgroupError::Name { name: name.to_owned() });
        }
        // The lock comes first: a run's cgroup without a lock is a dead run's.
        let owner = self.own(name)?.ok_or_else(|| CgroupError::Owned { run: name.to_owned() })?;
        let cgroup = self.make(name)?;
        Ok(RunCgroup {
            cgroup,
            name: name.to_owned(),
            belljar: self.clone(),
            is_removed: false,
            _owner: owner,
        })
    }

    /// Takes a name that has no cgroup, so that nobody else takes it as long as the claim lives; none
    /// where somebody has it.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Lock`].
    pub fn claim(&self, name: &str) -> Result<Option<Claim>, CgroupError> {
        Ok(self.own(name)?.map(|lock| Claim { _lock: lock }))
    }

    /// The names that nobody owns any more and that have no cgroup, each as a claim. Dropping one
    /// takes the name away.
    #[must_use]
    pub fn dead_claims(&self) -> Vec<(String, Claim)> {
        let entries = fs::read_dir(&self.locks).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| {
            Some(entry.file_name().to_str()?.strip_suffix(".lock")?.to_owned())
        });
        names
            .filter(|name| !self.path().join(name).exists())
            .filter_map(|name| Some((name.clone(), self.claim(&name).ok()??)))
            .collect()
    }

    pub(crate) fn own(&self, run: &str) -> Result<Option<OwnerLock>, CgroupError> {
        OwnerLock::take(&self.lock_path(run))
            .map_err(|source| CgroupError::Lock { run: run.to_owned(), source })
    }

    /// Makes a cgroup in Belljar's directory, and that too.
    pub(crate) fn make(&self, name: &str) -> Result<Cgroup, CgroupError> {
        let mut attempts_left = 10;
        loop {
            attempts_left -= 1;
            match fs::create_dir(self.path()) {
                Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(CgroupError::Create { path: self.path().to_owned(), source });
                }
                _ => {}
            }
            match Cgroup::create(self.path().join(name)) {
                // Another run that ended has removed the directory, which was empty.
                Err(CgroupError::Create { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && attempts_left > 0 => {}
                made => return made,
            }
        }
    }

    /// Removes `<mount>/belljar`; the kernel refuses while another run or oversight is below.
    pub(crate) fn remove_when_empty(&self) {
        let _ = fs::remove_dir(self.path());
    }
}
