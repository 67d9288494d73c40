//! How a spawner is started and what it answers.

use std::{ffi::OsString, path::PathBuf};

use policy::{landlock::LandlockPlan, seccomp::SeccompPlan};
use serde::{Deserialize, Serialize};

use crate::{cgroup::Rlimits, landlock::LandlockAchieved};

/// What all jobs of a spawner share.
#[derive(Clone, Debug)]
pub struct SpawnerConfig {
    /// What to execute as the spawner.
    pub program: SpawnerProgram,
    /// The run's user id; never 0.
    pub uid: u32,
    /// The run's group id; never 0.
    pub gid: u32,
    /// Supplementary groups. Usually none.
    pub groups: Vec<u32>,
    /// Limits of each process, as [`crate::RunCgroup::limit`] says.
    pub rlimits: Rlimits,
    /// The domain of the run; `None` to enter none, as in mode `observe`.
    pub landlock: Option<LandlockPlan>,
    /// The filter of each job; `None` to install none, as for components.
    pub seccomp: Option<SeccompPlan>,
    /// The namespaces of the run's own.
    pub namespaces: Namespaces,
    /// Directories of the run's own that stand in for others, with [`Namespaces::mount`]: the path in
    /// the sandbox, which exists, and the directory on the host.
    pub binds: Vec<(PathBuf, PathBuf)>,
    /// The host's name as the run sees it, with [`Namespaces::uts`]. Neutral, so that it tells
    /// nothing of the observation.
    pub hostname: String,
    /// The run's cgroup directory. It is killed when the client dies without a word.
    pub run_cgroup: Option<PathBuf>,
    /// The oversight cgroup's directory, which the spawner enters; `None` to stay where the client
    /// is.
    pub oversight: Option<PathBuf>,
}

impl SpawnerConfig {
    /// All namespaces, no limits, neither Landlock nor seccomp.
    #[must_use]
    pub fn new(uid: u32, gid: u32) -> Self {
        Self {
            program: SpawnerProgram::default(),
            uid,
            gid,
            groups: Vec::new(),
            rlimits: Rlimits::default(),
            landlock: None,
            seccomp: None,
            namespaces: Namespaces::default(),
            binds: Vec::new(),
            hostname: "host".to_owned(),
            run_cgroup: None,
            oversight: None,
        }
    }
}

/// What to execute as the spawner: a program that calls [`super::serve`] first thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnerProgram {
    /// The program.
    pub program: PathBuf,
    /// Its arguments. Everybody on the host can read them.
    pub arguments: Vec<OsString>,
}

impl Default for SpawnerProgram {
    /// This program again, with the argument `spawner`.
    fn default() -> Self {
        Self { program: "/proc/self/exe".into(), arguments: vec!["spawner".into()] }
    }
}

/// Namespaces of a run's own. The host's pid and network namespaces stay visible: there is something
/// to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// Mounts, private: none goes in or out.
    pub mount: bool,
    /// System V and POSIX message queues, semaphores, shared memory.
    pub ipc: bool,
    /// The host's name.
    pub uts: bool,
    /// Cgroups: each job sees its own as `/`. Entered by each job and not by the spawner, because
    /// with `nsdelegate` a process cannot be born in a cgroup outside its parent's namespace
    /// (cgroups, Documentation/admin-guide/cgroup-v2.rst, Linux 6.12).
    pub cgroup: bool,
}

impl Default for Namespaces {
    /// All of them.
    fn default() -> Self {
        Self { mount: true, ipc: true, uts: true, cgroup: true }
    }
}

/// What a spawner achieved before any job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The spawner's own thread group.
    pub tgid: u32,
    /// What Landlock does.
    pub landlock: LandlockAchieved,
    /// Whether jobs get a seccomp filter.
    pub has_seccomp: bool,
    /// System calls of the seccomp plan that this architecture does not have.
    pub seccomp_left_out: Vec<String>,
    /// The namespaces of the run's own.
    pub namespaces: Namespaces,
}
