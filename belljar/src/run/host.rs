//! What a run needs of this host: its cgroups, its user, a place for its files, pins.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use nix::time::{ClockId, clock_gettime};
use sandbox::{
    Belljar, CgroupMount, Limits, LimitsAchieved, OversightCgroup, RunCgroup, RunUser, Stages,
    stages,
};

use super::pins::{self, pins_of, remove_pins};
use crate::exit::{Exit, Failure, OrExit as _};

/// How long the sandbox of a run may take to empty.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The host's part of a run. Dropping it removes what is left.
pub(crate) struct Host {
    pub(crate) run: String,
    pub(crate) user: RunUser,
    pub(crate) limits: LimitsAchieved,
    pub(crate) level: u32,
    pub(crate) pins: Option<PathBuf>,
    pub(crate) stage: PathBuf,
    /// What stands in for directories of the host in the sandbox: the path there, and the directory.
    pub(crate) binds: Vec<(PathBuf, PathBuf)>,
    stages: Stages,
    /// Where the cgroups of all runs are.
    pub(crate) hierarchy: Belljar,
    // Fields drop in this order: the run's processes, then the cgroup of those who watch.
    pub(crate) cgroup: RunCgroup,
    pub(crate) oversight: OversightCgroup,
}

impl Host {
    /// Makes all of it.
    pub(crate) fn prepare() -> Result<Self, Failure> {
        sandbox::host::check_privilege().or_exit(Exit::Privilege)?;
        let mount = CgroupMount::find().or_exit(Exit::Unavailable)?;
        let belljar = Belljar::new(mount.clone());
        reap_stale(&belljar);
        let stages = Stages::open().or_exit(Exit::CannotCreate)?;
        let run = new_name()?;
        let cgroup = belljar.create_run(&run).or_exit(Exit::Os)?;
        let level = cgroup.level().ok_or_else(|| {
            let message = "the depth of cgroups is hidden here: run outside the container, or with the host's cgroup namespace";
            Failure::new(Exit::Unavailable, anyhow!(message))
        })?;
        let limits = cgroup.limit(&Limits::default());
        let oversight = belljar.enter_oversight().or_exit(Exit::Os)?;
        let user = RunUser::allocate().or_exit(Exit::Os)?;
        Ok(Self {
            pins: pins_of(&run),
            binds: binds(&stages.stage(&run)),
            stage: stages.stage(&run),
            stages,
            hierarchy: belljar,
            run,
            user,
            limits,
            level,
            cgroup,
            oversight,
        })
    }

    /// The directory of the socket at which a wrapped command is offered the tools.
    pub(crate) fn tools(&self) -> PathBuf {
        self.stage.join("tools")
    }

    /// Removes what is left of the run: processes, cgroups, pins, files of the stage.
    pub(crate) fn remove(&mut self) -> anyhow::Result<()> {
        self.cgroup.remove(PATIENCE)?;
        remove_pins(&self.run);
        self.stages
            .remove(&self.run)
            .with_context(|| format!("cannot remove {}", self.stage.display()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(%error, "something of the run is left");
        }
    }
}

/// Shared memory and POSIX semaphores live in a directory that all users share; a run has one of its
/// own. A host without it has nothing to keep apart.
fn binds(stage: &Path) -> Vec<(PathBuf, PathBuf)> {
    let shared = fs::canonicalize("/dev/shm").into_iter().filter(|path| path.is_dir());
    shared.map(|path| (path, stage.join("shm"))).collect()
}

/// Ends what runs have left whose supervisor died, and removes it.
pub(crate) fn reap_stale(belljar: &Belljar) -> Vec<String> {
    let mut reaped = BTreeSet::new();
    for stale in belljar.stale_runs().unwrap_or_default() {
        let name = stale.name().to_owned();
        match stale.reap(PATIENCE) {
            Ok(()) => {
                remove_pins(&name);
                reaped.insert(name);
            }
            Err(error) => tracing::warn!(run = name, %error, "cannot remove what a run has left"),
        }
    }
    belljar.remove_leftovers();
    // Also of runs whose cgroup is gone: the host may have been started anew since.
    let removed = Stages::open().and_then(|stages| {
        for stage in stages.stale()? {
            let name = stage.name().to_owned();
            // What lives on may still use its files.
            if belljar.path().join(&name).exists() {
                continue;
            }
            match stage.reap() {
                Ok(()) => {
                    remove_pins(&name);
                    reaped.insert(name);
                }
                Err(error) => tracing::warn!(run = name, %error, "cannot remove a run's files"),
            }
        }
        Ok(())
    });
    if let Err(error) = removed {
        tracing::warn!(%error, "cannot look for files that runs have left");
    }
    pins::remove_stale(belljar);
    for run in &reaped {
        tracing::info!(run, "removed what a run had left whose supervisor died");
    }
    reaped.into_iter().collect()
}

/// A run's name: letters and digits, neutral, since the agent can see it.
pub(crate) fn new_name() -> Result<String, Failure> {
    let mut bytes = [0_u8; stages::NAME_LENGTH];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| std::io::Read::read_exact(&mut random, &mut bytes))
        .context("cannot find random bytes")
        .or_exit(Exit::Os)?;
    let letters = stages::NAME_LETTERS;
    Ok(bytes.iter().map(|byte| char::from(letters[usize::from(byte % 32)])).collect())
}

/// Wall-clock time of CLOCK_BOOTTIME 0, nanoseconds since the Unix epoch.
pub(crate) fn boot_time_unix_ns() -> anyhow::Result<i128> {
    let nanoseconds = |clock| -> anyhow::Result<i128> {
        let now = clock_gettime(clock).context("cannot read a clock")?;
        Ok(i128::from(now.tv_sec()) * 1_000_000_000 + i128::from(now.tv_nsec()))
    };
    Ok(nanoseconds(ClockId::CLOCK_REALTIME)? - nanoseconds(ClockId::CLOCK_BOOTTIME)?)
}
