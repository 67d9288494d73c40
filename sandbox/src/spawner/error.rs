//! Why no spawner, or no job, was started.

use std::{ffi::OsString, io, path::PathBuf};

use nix::errno::Errno;

use super::{ChannelError, SetupStep, Step};
use crate::seccomp::SeccompError;

/// No spawner could be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration names root.
    #[error("a run must not be root: its user and group ids are {uid} and {gid}")]
    Root {
        /// The user id.
        uid: u32,
        /// The group id.
        gid: u32,
    },
    /// The seccomp plan.
    #[error("cannot make the run's seccomp filter")]
    Seccomp(#[from] SeccompError),
    /// The run's cgroup.
    #[error("cannot open {}", path.display())]
    RunCgroup {
        /// Its `cgroup.kill`.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The program.
    #[error("cannot execute {} as the spawner", program.display())]
    Execute {
        /// The program.
        program: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The spawner could not set itself up.
    #[error("the spawner cannot {step}: {reason}")]
    Setup {
        /// Which part.
        step: SetupStep,
        /// Why not.
        reason: String,
    },
    /// It ended, or did not answer in time.
    #[error("the spawner did not come up")]
    Silent,
    /// It could not be talked to.
    #[error("cannot talk to the spawner")]
    Channel(#[from] ChannelError),
    /// The thread that hears its answers.
    #[error("cannot make a thread for the spawner's answers")]
    Thread(#[source] io::Error),
}

/// A job was not started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program cannot be executed.
    #[error("cannot execute {}: {}", program.display(), errno.desc())]
    NotExecutable {
        /// The program, as the job names it.
        program: OsString,
        /// The kernel's reason.
        errno: Errno,
    },
    /// Its process could not become the run's.
    #[error("the call's process cannot {step}: {}", errno.desc())]
    Step {
        /// What it could not do.
        step: Step,
        /// The kernel's reason.
        errno: Errno,
    },
    /// It could not be forked into its leaf.
    #[error("cannot fork into the cgroup {}: {}", leaf.display(), errno.desc())]
    Fork {
        /// The leaf's directory.
        leaf: PathBuf,
        /// The kernel's reason.
        errno: Errno,
    },
    /// Its leaf could not be opened.
    #[error("cannot open the cgroup {}", leaf.display())]
    Leaf {
        /// The leaf's directory.
        leaf: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The job holds a text that no process can be given.
    #[error(
        "the call's program, arguments or environment hold a NUL byte, or a variable without a proper name"
    )]
    Text,
    /// [`Spawner::go`] was not called yet.
    #[error("no call may start before the run is watched")]
    Held,
    /// The order could not be sent.
    #[error("cannot talk to the spawner")]
    Channel(#[from] ChannelError),
    /// The spawner has ended.
    #[error(transparent)]
    Gone(#[from] SpawnerGone),
}

/// The domain of later jobs could not be tightened.
#[derive(Debug, thiserror::Error)]
pub enum TightenError {
    /// Landlock refused; in words, because they come from another process.
    #[error("Landlock refused: {0}")]
    Landlock(String),
    /// The order could not be sent.
    #[error("cannot talk to the spawner")]
    Channel(#[from] ChannelError),
    /// The spawner has ended.
    #[error(transparent)]
    Gone(#[from] SpawnerGone),
}

impl SpawnError {
    /// What a shell exits with when it meets this: 127 for a program that is not there, else 126.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::NotExecutable { errno: Errno::ENOENT, .. } => 127,
            _ => 126,
        }
    }
}

/// The spawner has ended, so nothing more is known of its jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the spawner has ended before the call did")]
pub struct SpawnerGone;
