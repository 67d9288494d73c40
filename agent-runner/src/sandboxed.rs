//! The hands that a run has: the sandbox's spawner, and a leaf of the run's cgroup for each call.

use std::{collections::BTreeMap, ffi::OsString, os::fd::OwnedFd, path::PathBuf};

use sandbox::{Action, Cgroup, CgroupError, Job, RunCgroup, SpawnError, Spawner, spawner::Step};

use crate::{
    frozen::Frozen,
    hands::{Hands, HandsError, Running, Work},
    session::DEATH_LIMIT,
};

/// A run's sandbox, for calls.
pub struct Sandboxed<'a> {
    spawner: &'a Spawner,
    cgroup: &'a RunCgroup,
    directory: PathBuf,
    environment: Vec<(OsString, OsString)>,
    leaves: BTreeMap<u64, Cgroup>,
}

impl<'a> Sandboxed<'a> {
    /// Calls begin in `directory`, which the run's user must be allowed to enter, with this
    /// environment and nothing else in it. Leaves are `call-1`, `call-2` and so on; they stay when
    /// a call has ended, with what it left running, until the run's cgroup is removed.
    #[must_use]
    pub fn new(
        spawner: &'a Spawner,
        cgroup: &'a RunCgroup,
        directory: PathBuf,
        environment: Vec<(OsString, OsString)>,
    ) -> Self {
        Self { spawner, cgroup, directory, environment, leaves: BTreeMap::new() }
    }

    fn leaf(&self, call: u64) -> &Cgroup {
        self.leaves.get(&call).expect("a call's leaf is made before anything else is done to it")
    }
}

impl Hands for Sandboxed<'_> {
    fn make_leaf(&mut self, call: u64) -> Result<u64, HandsError> {
        let leaf = self
            .cgroup
            .leaf(&format!("call-{call}"))
            .map_err(|source| HandsError::Leaf { call, source: source.into() })?;
        let id = leaf.id();
        self.leaves.insert(call, leaf);
        Ok(id)
    }

    fn start(&mut self, call: u64, work: Work, stdio: [OwnedFd; 3]) -> Result<Running, HandsError> {
        let action = match work {
            Work::Program { program, arguments } => {
                Action::Exec { program, arg0: None, args: arguments }
            }
            Work::Task { payload } => Action::Task { payload },
        };
        let job = Job {
            leaf: self.leaf(call).path().to_owned(),
            action,
            env: self.environment.clone(),
            cwd: self.directory.clone(),
        };
        let started = self.spawner.spawn(&job, &stdio).map_err(|error| match error {
            SpawnError::NotExecutable { program, errno } => {
                HandsError::NotExecutable { program, errno }
            }
            SpawnError::Step { step: Step::Directory, errno } => {
                HandsError::Directory { directory: job.cwd.clone(), errno }
            }
            SpawnError::Text => HandsError::Text,
            error => HandsError::Start { call, source: error.into() },
        })?;
        Running::new(call, move || started.wait().map_err(Into::into))
    }

    fn is_held(&self) -> bool {
        self.cgroup.is_held()
    }

    fn frozen(&self, call: u64) -> Result<Frozen, HandsError> {
        let look = || -> Result<Frozen, CgroupError> {
            if self.cgroup.cgroup().is_frozen()? {
                return Ok(Frozen::Run);
            }
            Ok(match (self.leaf(call).is_frozen()?, self.cgroup.is_held()) {
                (false, _) => Frozen::No,
                (true, false) => Frozen::Call,
                (true, true) => Frozen::Run,
            })
        };
        look().map_err(|source| HandsError::Look { call, source: source.into() })
    }

    fn kill(&mut self, call: u64) -> Result<(), HandsError> {
        let killed = self.leaf(call).kill_and_wait(DEATH_LIMIT);
        killed.map_err(|source| HandsError::Kill { call, source: source.into() })
    }
}
