//! Where the workers live: in a run that is watched, and in a cgroup of the same shape that is not.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use sandbox::{Belljar, CgroupMount, OversightCgroup, RunCgroup};
use tests::cgroup;

/// The cgroups of a benchmark. Dropping them ends what is in them.
pub(crate) struct Places {
    /// The run that is watched.
    pub(crate) run: RunCgroup,
    /// A leaf of it.
    pub(crate) subject: sandbox::Cgroup,
    /// A cgroup as deep that has nothing to do with any run.
    pub(crate) bystander: PathBuf,
    /// Where the benchmark's own process is meanwhile, as an observer would be.
    pub(crate) oversight: OversightCgroup,
    /// Level of the run in the hierarchy.
    pub(crate) level: u32,
    _outside: cgroup::Cgroup,
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
        let outside = cgroup::Cgroup::new();
        let bystander = outside.path().join("as").join("deep");
        std::fs::create_dir_all(&bystander).context("cannot make the bystander's cgroup")?;
        let level = run.level().context("the hierarchy's depth is hidden in this container")?;
        Ok(Self {
            subject: run.leaf("call-1")?,
            bystander,
            oversight: Belljar::new(mount).enter_oversight()?,
            level,
            run,
            _outside: outside,
        })
    }
}
