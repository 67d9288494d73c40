//! What client and spawner tell each other.

use std::{ffi::OsString, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Action, Exit, Namespaces, Ready, SetupStep, Step};
use crate::{cgroup::Rlimits, landlock::Rules, seccomp::Filters};

/// From the client.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// First of all. With it may come a descriptor of the run's `cgroup.kill`, open for writing.
    Setup(Box<Setup>),
    /// Lets jobs begin.
    Go,
    /// Starts a job. With it come the leaf's directory and standard input, output and error.
    Spawn {
        /// The client's number for it.
        job: u64,
        /// What to start.
        order: Order,
    },
    /// Tightens what jobs that begin from here on may do.
    Tighten {
        /// The client's number for it.
        job: u64,
        /// The domain within the one that the spawner is in.
        rules: Rules,
    },
    /// The client is done and leaves in order.
    Quit,
}

/// What all jobs share.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) rlimits: Rlimits,
    pub(super) landlock: Option<Rules>,
    pub(super) seccomp: Option<Filters>,
    pub(super) namespaces: Namespaces,
    pub(super) binds: Vec<(PathBuf, PathBuf)>,
    pub(super) hostname: String,
    pub(super) oversight: Option<PathBuf>,
}

/// A job, without what is sent as descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) action: Action,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) cwd: PathBuf,
}

/// From the spawner.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Notice {
    /// Everything that jobs share is in place.
    Ready(Ready),
    /// It is not; the spawner ends.
    Unready { step: SetupStep, reason: String },
    /// A job's process has become the job's own.
    Started { job: u64, tgid: u32 },
    /// No job may begin yet.
    Held { job: u64 },
    /// A job's process could not be forked.
    Unborn { job: u64, errno: i32 },
    /// A job's process failed before it was the job's own, and has ended.
    Refused { job: u64, step: Step, errno: i32 },
    /// The domain is tightened, or why it is not.
    Tightened { job: u64, failure: Option<String> },
    /// A job that was started has ended.
    Exited { job: u64, exit: Exit },
}
