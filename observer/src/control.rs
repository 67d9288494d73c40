//! The observer's end of a connection to a run's supervisor. Reading never waits: other runs would
//! wait with it.

use std::{
    io::{self, Write as _},
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
};
use serde::Serialize;

use crate::protocol::{self, Request};

/// A supervisor that reads no answer for so long is taken to be gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// No request is longer: the longest holds a policy.
const MOST_BYTES: usize = 16 << 20;

/// What has come.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Nothing whole yet.
    Nothing,
    /// A request.
    Request(Box<Request>),
    /// The other side has closed.
    Closed,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Control {
    stream: UnixStream,
    waiting: Vec<u8>,
}

impl Control {
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_write_timeout(Some(WRITE_DEADLINE))?;
        Ok(Self { stream, waiting: Vec::new() })
    }

    /// What has come by now.
    pub(crate) fn receive(&mut self) -> io::Result<Incoming> {
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.waiting.drain(..=end).collect();
                return Ok(Incoming::Request(serde_json::from_slice(&line)?));
            }
            match recv(self.stream.as_raw_fd(), &mut chunk, MsgFlags::MSG_DONTWAIT) {
                Ok(0) | Err(Errno::ECONNRESET) => return Ok(Incoming::Closed),
                Ok(bytes) if self.waiting.len() + bytes > MOST_BYTES => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the request has no end",
                    ));
                }
                Ok(bytes) => self.waiting.extend_from_slice(&chunk[..bytes]),
                Err(Errno::EAGAIN) => return Ok(Incoming::Nothing),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Answers.
    pub(crate) fn send(&mut self, answer: &impl Serialize) -> io::Result<()> {
        protocol::send(&mut self.stream, answer)?;
        self.stream.flush()
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
