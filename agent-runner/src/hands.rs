//! What the runner needs of a sandbox: to start a call's process and to end it.

use std::{
    error::Error,
    ffi::OsString,
    io::{self, PipeReader},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::resume_unwind,
    path::PathBuf,
    thread::{self, JoinHandle},
};

use nix::{errno::Errno, sys::signal::Signal};
use sandbox::Exit;

use crate::frozen::Frozen;

/// What a call's process does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// It executes a program.
    Program {
        /// A path where it holds a `/`, else a name to look up in the sandbox's `PATH`. It is also
        /// the program's own name.
        program: OsString,
        /// Its arguments.
        arguments: Vec<OsString>,
    },
    /// It stays a fork of the spawner and performs [`crate::tools::perform_task`].
    Task {
        /// The call, as [`crate::tools::payload`] writes it.
        payload: String,
    },
}

/// A signal's name, or its number where it has none.
#[must_use]
pub fn signal_name(signal: i32) -> String {
    Signal::try_from(signal)
        .map_or_else(|_| signal.to_string(), |signal| signal.as_str().to_owned())
}

/// The sandbox, as far as calls need it.
pub trait Hands: Send {
    /// Makes the leaf cgroup of a call and returns its id.
    ///
    /// # Errors
    ///
    /// [`HandsError::Leaf`].
    fn make_leaf(&mut self, call: u64) -> Result<u64, HandsError>;

    /// Starts a call's process in its leaf, which was made before, with these as its standard input,
    /// output and error.
    ///
    /// # Errors
    ///
    /// [`HandsError::NotExecutable`], [`HandsError::Directory`] and [`HandsError::Text`] where the
    /// program cannot be executed as asked, [`HandsError::Start`] for anything else.
    fn start(&mut self, call: u64, work: Work, stdio: [OwnedFd; 3]) -> Result<Running, HandsError>;

    /// Whether no call may begin, because a person has frozen the run.
    fn is_held(&self) -> bool;

    /// Whether a call stands still.
    ///
    /// # Errors
    ///
    /// [`HandsError::Look`].
    fn frozen(&self, call: u64) -> Result<Frozen, HandsError>;

    /// Kills everything in a call's leaf, frozen processes included, and returns when it is empty.
    ///
    /// # Errors
    ///
    /// [`HandsError::Kill`].
    fn kill(&mut self, call: u64) -> Result<(), HandsError>;
}

/// A call's main process. It polls as readable once the process has ended.
///
/// Whoever started the process reaps it, perhaps at once, so its number says nothing: the end is
/// waited for by a thread.
#[derive(Debug)]
pub struct Running {
    /// Closed at the other end when the thread is done; nothing is ever written.
    ended: PipeReader,
    waiting: JoinHandle<Result<Exit, HandsError>>,
}

impl Running {
    /// Waits for the end of a process of `call`, in a thread, by calling `wait`.
    ///
    /// # Errors
    ///
    /// [`HandsError::Wait`] where there are no descriptors or threads left.
    pub fn new(
        call: u64,
        wait: impl FnOnce() -> Result<Exit, Box<dyn Error + Send + Sync>> + Send + 'static,
    ) -> Result<Self, HandsError> {
        let failed = move |source: io::Error| HandsError::Wait { call, source: source.into() };
        let (ended, end) = io::pipe().map_err(failed)?;
        let waiting = thread::Builder::new()
            .name(format!("call-{call}"))
            .spawn(move || {
                let exit = wait().map_err(|source| HandsError::Wait { call, source });
                drop(end);
                exit
            })
            .map_err(failed)?;
        Ok(Self { ended, waiting })
    }

    /// How the process ended; blocks until it has.
    ///
    /// # Errors
    ///
    /// [`HandsError::Wait`].
    pub fn exit(self) -> Result<Exit, HandsError> {
        self.waiting.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl AsFd for Running {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

/// Why the sandbox did not do what a call needs.
#[derive(Debug, thiserror::Error)]
pub enum HandsError {
    /// The leaf could not be made.
    #[error("cannot make the cgroup of call {call}")]
    Leaf {
        /// The call.
        call: u64,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The kernel will not execute the program.
    #[error("cannot execute {}: {}", program.display(), errno.desc())]
    NotExecutable {
        /// The program.
        program: OsString,
        /// The kernel's reason.
        errno: Errno,
    },
    /// The kernel will not have the process begin in the directory.
    #[error("cannot begin in {}: {}", directory.display(), errno.desc())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The kernel's reason.
        errno: Errno,
    },
    /// A program or an argument with a zero byte in it.
    #[error("cannot execute a program whose name, arguments or environment hold a zero byte")]
    Text,
    /// The process could not be started.
    #[error("cannot start call {call}")]
    Start {
        /// The call.
        call: u64,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// How the process ended could not be learnt.
    #[error("cannot wait for the process of call {call}")]
    Wait {
        /// The call.
        call: u64,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Whether it stands still could not be learnt.
    #[error("cannot look whether call {call} is frozen")]
    Look {
        /// The call.
        call: u64,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The leaf could not be emptied.
    #[error("cannot kill call {call}")]
    Kill {
        /// The call.
        call: u64,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
}
