//! The supervisor's end: starts an observer, asks it, notices when it dies.

use std::{
    io::{self, BufReader},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use journal::evidence::Evidence;

use crate::protocol::{self, Answer, Request};

/// The longest that an answer may take: the verifier has minutes of work on an emulated machine.
const ANSWER_DEADLINE: Duration = Duration::from_secs(120);

/// Why the observer did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It could not be started.
    #[error("cannot start the observer")]
    Start(#[source] io::Error),
    /// It is gone or does not answer.
    #[error("the observer is gone")]
    Gone(#[source] io::Error),
    /// It refused.
    #[error("{reason}")]
    Refused {
        /// Why, cause by cause.
        reason: String,
        /// Whether the kernel lacks something.
        kernel: bool,
    },
}

/// An observer that runs.
pub struct Client {
    child: Child,
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
        ours.set_read_timeout(Some(ANSWER_DEADLINE)).map_err(ClientError::Start)?;
        let child = command
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()
            .map_err(ClientError::Start)?;
        let writer = ours.try_clone().map_err(ClientError::Start)?;
        // Else the command, and with it the other end, would live as long as this.
        drop(command);
        Ok(Self { child, reader: BufReader::new(ours), writer })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    ///
    /// When the observer refuses or is gone.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, ClientError> {
        protocol::send(&mut self.writer, request).map_err(ClientError::Gone)?;
        let ended = || io::Error::new(io::ErrorKind::UnexpectedEof, "it ended without an answer");
        match protocol::receive(&mut self.reader).map_err(ClientError::Gone)? {
            Some(Answer::Refused { reason, kernel }) => {
                Err(ClientError::Refused { reason, kernel })
            }
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

    /// How the observer ended, if it has.
    ///
    /// # Errors
    ///
    /// When the operating system does not tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// The observer's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Client {
    /// Closes the socket, at which the observer drains and ends, and waits for it.
    fn drop(&mut self) {
        let _ = self.writer.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}
