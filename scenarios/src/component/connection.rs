//! One client's connection to a worker: bytes in, whole requests out, answers back.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
};

use super::http::{self, Request};

/// A connection is closed after this many answers, so that clients spread over workers that have
/// been started since.
const MAX_ANSWERS: u32 = 100;

/// What a read brought.
pub(super) enum Arrival {
    /// A whole request.
    Request(Request),
    /// Nothing whole yet.
    Nothing,
    /// The connection is of no more use.
    Closed,
}

/// One client's connection.
pub(super) struct Connection {
    stream: TcpStream,
    bytes: Vec<u8>,
    answers: u32,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, bytes: Vec::new(), answers: 0 })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Reads what is there. A refused request is answered at once and ends the connection.
    pub(super) fn read(&mut self) -> Arrival {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Arrival::Closed,
            Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
            Err(error) if would_block(&error) => {}
            Err(_) => return Arrival::Closed,
        }
        match http::take_request(&mut self.bytes) {
            Ok(Some(request)) => Arrival::Request(request),
            Ok(None) => Arrival::Nothing,
            Err(refusal) => {
                let _ = self.answer(refusal.status(), "", true);
                Arrival::Closed
            }
        }
    }

    /// Whether more of the client's bytes are here than the request that is being worked on.
    pub(super) fn has_more(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Answers; returns whether the connection stays open. Answers are so short that they fit into
    /// the socket's buffer: a client that lets it fill is dropped.
    pub(super) fn answer(&mut self, status: &str, body: &str, close: bool) -> bool {
        self.answers += 1;
        let close = close || self.answers >= MAX_ANSWERS;
        let bytes = http::answer(status, body, close);
        matches!(self.stream.write(&bytes), Ok(count) if count == bytes.len()) && !close
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
