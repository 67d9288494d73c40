//! The traits through which an agent is watched: by the observer, the transcript, the terminal.

use std::{
    error::Error,
    io,
    os::fd::BorrowedFd,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use journal::{
    Entry,
    writer::{TranscriptWriter, WriteError},
};
use serde_json::Value;

use crate::{cancel::Cancel, collect::StreamName, frozen::Frozen};

/// The observer, as the runner knows it.
pub trait Watcher: Send {
    /// A call begins: what happens in the cgroup `leaf_id` belongs to `call`.
    ///
    /// Returns only once the observer has acknowledged, so that no effect can arrive before its
    /// call is known. `leaf_id` is the kernel's cgroup id.
    ///
    /// # Errors
    ///
    /// The observer is gone or refuses: the call must not begin.
    fn call_started(&mut self, call: u64, leaf_id: u64, tool: &str) -> Result<(), WatchError>;

    /// A call ended: its main process did. Its cgroup may still hold others and stays known.
    ///
    /// # Errors
    ///
    /// The observer is gone.
    fn call_ended(&mut self, call: u64, ok: bool) -> Result<(), WatchError>;

    /// Whether a call may begin, for whoever decides on tool calls. It may wait for a person; `cancel`
    /// ends that.
    ///
    /// # Errors
    ///
    /// Whoever decides cannot be asked: the call must not begin.
    fn admit(
        &mut self,
        call: u64,
        tool: &str,
        arguments: &Value,
        cancel: &Cancel,
    ) -> Result<Admission, WatchError> {
        let _ = (call, tool, arguments, cancel);
        Ok(Admission::Granted)
    }

    /// Whether a call stands still for a question, which whoever asked it looks after.
    ///
    /// # Errors
    ///
    /// The observer is gone.
    fn is_asked_about(&mut self, call: u64) -> Result<bool, WatchError> {
        let _ = call;
        Ok(false)
    }

    /// A call stands still, or goes on. Where it stands still by itself, it is killed after `limit` unless
    /// a person lets it go on.
    fn froze(&mut self, call: u64, frozen: Frozen, limit: Duration) {
        let _ = (call, frozen, limit);
    }
}

/// Whether a call may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Granted,
    /// It may not; in words for the agent.
    Refused(String),
    /// The run was ended while somebody was asked.
    Cancelled,
}

/// Why the observer could not be told.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// It does not answer.
    #[error("cannot reach the observer")]
    Unreachable(#[source] io::Error),
    /// It answers that it cannot watch this.
    #[error("the observer refuses: {0}")]
    Refused(String),
    /// Its own reason.
    #[error("the observer cannot watch")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// Where the transcript goes.
pub trait Transcript: Send {
    /// Adds an entry at the end.
    ///
    /// # Errors
    ///
    /// It could not be written: the evidence is incomplete, so the agent is ended.
    fn append(&mut self, entry: &Entry) -> Result<(), WriteError>;
}

impl Transcript for TranscriptWriter {
    /// Appends and flushes: a run that is cut off keeps what was said until then.
    fn append(&mut self, entry: &Entry) -> Result<(), WriteError> {
        self.append(entry)?;
        self.flush()
    }
}

impl<F: FnMut(&Entry) -> Result<(), WriteError> + Send> Transcript for F {
    fn append(&mut self, entry: &Entry) -> Result<(), WriteError> {
        self(entry)
    }
}

/// A transcript to which several write, each whole lines.
#[derive(Clone)]
pub struct SharedTranscript(Arc<Mutex<dyn Transcript>>);

impl SharedTranscript {
    /// Shares one.
    #[must_use]
    pub fn new(transcript: impl Transcript + 'static) -> Self {
        Self(Arc::new(Mutex::new(transcript)))
    }
}

impl Transcript for SharedTranscript {
    fn append(&mut self, entry: &Entry) -> Result<(), WriteError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(entry)
    }
}

/// What a person at the terminal may want to see while it happens. All of it is hostile text.
#[derive(Clone, Copy, Debug)]
pub enum Moment<'a> {
    /// The agent said something.
    Said {
        /// The words.
        text: &'a str,
    },
    /// The user asks for something more.
    Asked {
        /// In words.
        text: &'a str,
    },
    /// The agent says something: the next piece of what [`Moment::Said`] then gives whole.
    Piece {
        /// The words.
        text: &'a str,
    },
    /// The runner noted something in the transcript.
    Noted {
        /// In words.
        text: &'a str,
    },
    /// A call begins.
    CallStarted {
        /// Its number.
        call: u64,
        /// The tool's name, as the agent wrote it.
        tool: &'a str,
        /// The arguments, as the agent wrote them.
        arguments: &'a Value,
    },
    /// A wrapped command wrote something.
    Output {
        /// On which stream.
        stream: StreamName,
        /// What.
        bytes: &'a [u8],
    },
    /// A call ended.
    CallEnded {
        /// Its number.
        call: u64,
        /// Whether the tool did what it was asked.
        ok: bool,
        /// What it gave back.
        value: &'a Value,
        /// How long it took.
        duration: Duration,
    },
    /// The agent lets the system go on.
    Waiting {
        /// For how long.
        duration: Duration,
    },
}

/// Who is shown how an agent gets on.
pub trait Progress: Send {
    /// Shows a moment. It must not block: neither a deadline nor a request to end is heard meanwhile.
    fn show(&mut self, moment: Moment<'_>);

    /// What polls as readable once a stream's output is taken again; none while it is. Until then
    /// the command's pipe is left to fill, so that the command waits and nothing is lost. What a
    /// command has written before its end is shown all the same.
    fn full(&self, stream: StreamName) -> Option<BorrowedFd<'_>> {
        let _ = stream;
        None
    }
}

impl<F: FnMut(Moment<'_>) + Send> Progress for F {
    fn show(&mut self, moment: Moment<'_>) {
        self(moment);
    }
}
