//! Where the workers live: in a run that is watched, and in a cgroup of the same shape that is not.

use anyhow::{Context as _, Result};
use sandbox::{Belljar, Cgroup, CgroupMount, OversightCgroup, RunCgroup};

/// The cgroups of a benchmark. Dropping them ends what is in them.
pub(crate) struct Places {
    /// The run that is watched.
    pub(crate) run: RunCgroup,
    /// A leaf of it.
    pub(crate) subject: Cgroup,
    /// A leaf of a run that nobody watches.
    pub(crate) bystander: Cgroup,
    /// Where the benchmark's own process is meanwhile, as an observer would be.
    pub(crate) oversight: OversightCgroup,
    /// Level of the run in the hierarchy.
    pub(crate) level: u32,
    _outside: RunCgroup,
}

impl Places {
    /// Makes the cgroups.
    ///
    /// # Errors
    ///
    /// When there is no cgroup v2 hierarchy, or the kernel refuses.
    pub(crate) fn make() -> Result<Self> {
        let mount = CgroupMount::find()?;
        let number = std::process::id();
        let run = RunCgroup::create(&mount, &format!("bench-{number}"))?;
        let outside = RunCgroup::create(&mount, &format!("bench-{number}-outside"))?;
        let level = run.level().context("the hierarchy's depth is hidden in this container")?;
        Ok(Self {
            subject: run.leaf("call-1")?,
            bystander: outside.leaf("call-1")?,
            oversight: Belljar::new(mount).enter_oversight()?,
            level,
            run,
            _outside: outside,
        })
    }
}
