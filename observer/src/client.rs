//! The supervisor's end: starts an observer or goes to a resident one, asks it, notices when it dies.

use std::{
    io::{self, BufReader},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use journal::evidence::Evidence;
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
};

use crate::protocol::{self, Answer, Fault, Request};

/// The longest that loading the probes may take: the verifier has minutes of work on an emulated
/// machine.
const LOAD_DEADLINE: Duration = Duration::from_secs(120);
/// The longest that the account of a run may take: the observer waits for the last effects.
const FINISH_DEADLINE: Duration = Duration::from_secs(30);
/// The longest that any other answer may take. An observer that takes longer stands still.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// How long an observer of a run's own may take to end once it is no longer needed.
const END_DEADLINE: Duration = Duration::from_secs(5);

/// Why the observer did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It could not be started.
    #[error("cannot start the observer")]
    Start(#[source] io::Error),
    /// It is gone or does not answer.
    #[error("the observer is gone")]
    Gone(#[source] io::Error),
    /// It does not answer. What it answers later answers nothing: it is not to be asked again.
    #[error("the observer stood still: no answer for {} s", .0.as_secs())]
    Still(Duration),
    /// It cannot watch the run, another may.
    #[error("the observer cannot watch this run: {reason}")]
    Unfit {
        /// Why.
        reason: String,
    },
    /// It refused.
    #[error("{reason}")]
    Refused {
        /// Why, cause by cause.
        reason: String,
        /// Where the fault lies.
        fault: Fault,
    },
    /// It can record nothing more.
    #[error("the observer could not go on: {reason}")]
    Failed {
        /// Why, cause by cause.
        reason: String,
    },
}

impl ClientError {
    /// Whether nobody watches the run any more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Gone(_) | Self::Still(_) | Self::Failed { .. })
    }
}

/// An observer that runs.
pub struct Client {
    /// None for a resident observer, which goes on without this run.
    child: Option<Child>,
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Client {
    /// Starts an observer as a process of its own. `command` becomes it; its standard input is the
    /// socket that it serves.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Result<Self, ClientError> {
        let (ours, theirs) = UnixStream::pair().map_err(ClientError::Start)?;
        let child = command
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()
            .map_err(ClientError::Start)?;
        // Else the command, and with it the other end, would live as long as this.
        drop(command);
        Self::over(ours, Some(child)).map_err(ClientError::Start)
    }

    /// Goes to the resident observer that listens on `socket`.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        Self::over(UnixStream::connect(socket)?, None)
    }

    fn over(stream: UnixStream, child: Option<Child>) -> io::Result<Self> {
        let writer = stream.try_clone()?;
        Ok(Self { child, reader: BufReader::new(stream), writer })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    ///
    /// When the observer refuses or is gone.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, ClientError> {
        let deadline = match request {
            Request::Watch(_) => LOAD_DEADLINE,
            Request::Finish => FINISH_DEADLINE,
            _ => ANSWER_DEADLINE,
        };
        self.writer.set_read_timeout(Some(deadline)).map_err(ClientError::Gone)?;
        if let Err(error) = protocol::send(&mut self.writer, request) {
            // It may have said why before it went.
            return Err(self.farewell().unwrap_or(ClientError::Gone(error)));
        }
        let ended = || io::Error::new(io::ErrorKind::UnexpectedEof, "it ended without an answer");
        let answer = protocol::receive(&mut self.reader).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::Still(deadline),
            _ => ClientError::Gone(error),
        })?;
        match answer {
            Some(Answer::Unfit { reason }) => Err(ClientError::Unfit { reason }),
            Some(Answer::Refused { reason, fault }) => Err(ClientError::Refused { reason, fault }),
            Some(Answer::Failed { reason }) => Err(ClientError::Failed { reason }),
            Some(answer) => Ok(answer),
            None => Err(ClientError::Gone(ended())),
        }
    }

    /// Asks for something that is only done or not.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub fn tell(&mut self, request: &Request) -> Result<(), ClientError> {
        self.ask(request).map(drop)
    }

    /// Ends the watch and gives the account of the evidence and the final metrics.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub fn finish(&mut self) -> Result<(Evidence, String), ClientError> {
        match self.ask(&Request::Finish)? {
            Answer::Finished { evidence, metrics } => Ok((evidence, metrics)),
            _ => Err(ClientError::Gone(io::Error::other("it answered something else"))),
        }
    }

    /// Whether the observer stays when this run is over.
    #[must_use]
    pub fn is_resident(&self) -> bool {
        self.child.is_none()
    }

    /// Whether the observer is gone, and how. Nothing may have been asked meanwhile.
    #[must_use]
    pub fn gone(&mut self) -> Option<ClientError> {
        // Its last words may have come with an answer.
        if !self.reader.buffer().is_empty()
            && let Some(farewell) = self.farewell()
        {
            return Some(farewell);
        }
        let mut byte = [0; 1];
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        match recv(self.writer.as_raw_fd(), &mut byte, flags) {
            Err(Errno::EAGAIN | Errno::EINTR) => None,
            Ok(0) => Some(ClientError::Gone(io::ErrorKind::UnexpectedEof.into())),
            Err(errno) => Some(ClientError::Gone(errno.into())),
            // Nobody has asked, so it is the last that it says.
            Ok(_) => Some(self.farewell().unwrap_or_else(|| {
                ClientError::Gone(io::Error::other("it answered what nobody had asked"))
            })),
        }
    }

    /// Why the observer went, if it has said so.
    fn farewell(&mut self) -> Option<ClientError> {
        match protocol::receive(&mut self.reader) {
            Ok(Some(Answer::Failed { reason })) => Some(ClientError::Failed { reason }),
            _ => None,
        }
    }
}

impl Drop for Client {
    /// Closes the connection, at which an observer of the run's own ends, and waits for that.
    fn drop(&mut self) {
        let _ = self.writer.shutdown(std::net::Shutdown::Both);
        let Some(child) = &mut self.child else { return };
        let deadline = Instant::now() + END_DEADLINE;
        // It stays as long as anything of the run lives.
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                // It stands still, or something of the run cannot be ended, which has been told.
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
