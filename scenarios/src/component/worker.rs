//! A worker process of the backend: accepts, works, records, commits, answers. One thread.
//!
//! Its standard input is the listening socket, shared with the other workers. Its standard output is
//! a pipe on which it counts its answers; when nobody reads that pipe any more, the worker finishes
//! what it has and ends. So a worker needs no signal to be stopped and never outlives its backend.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::TcpListener,
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{
    ComponentError,
    arguments::Arguments,
    audit::AuditLog,
    connection::{Arrival, Connection},
    http::{Method, Request},
};
use crate::work::{chain, hexadecimal};

/// Time between two counts on the pipe.
const COUNT_INTERVAL: Duration = Duration::from_millis(50);
/// Connections that a worker has at most.
const MAX_CONNECTIONS: usize = 256;

type ConnectionId = u64;

/// An answer that waits for its record's commit.
struct Pending {
    connection: ConnectionId,
    body: String,
    close: bool,
}

struct Worker {
    listener: TcpListener,
    connections: BTreeMap<ConnectionId, Connection>,
    next_connection: ConnectionId,
    queue: VecDeque<(ConnectionId, Request)>,
    pending: Vec<Pending>,
    /// When the batch is committed at the latest; present while there is one.
    commit_by: Option<Instant>,
    log: AuditLog,
    records: u64,
    uncounted: u64,
    counted_at: Instant,
    batch: usize,
    commit_interval: Duration,
    request_rounds: u64,
    draining: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), ComponentError> {
    let listener: OwnedFd = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(ComponentError::io("take the listening socket"))?;
    let listener = TcpListener::from(listener);
    listener.set_nonblocking(true).map_err(ComponentError::io("make the listener non-blocking"))?;
    let log = AuditLog::new(
        &arguments.require::<PathBuf>("log")?,
        arguments.require("worker")?,
        arguments.require("seal-rounds")?,
    );
    let worker = Worker {
        listener,
        connections: BTreeMap::new(),
        next_connection: 0,
        queue: VecDeque::new(),
        pending: Vec::new(),
        commit_by: None,
        log,
        records: 0,
        uncounted: 0,
        counted_at: Instant::now(),
        batch: arguments.require("batch")?,
        commit_interval: Duration::from_millis(arguments.require("commit-interval-ms")?),
        request_rounds: arguments.require("request-rounds")?,
        draining: false,
    };
    worker.serve().map_err(ComponentError::io("serve"))
}

impl Worker {
    fn serve(mut self) -> io::Result<()> {
        loop {
            self.wait()?;
            if let Some((connection, request)) = self.queue.pop_front() {
                self.work(connection, &request);
            }
            let due = self.commit_by.is_some_and(|by| by <= Instant::now());
            let idle = self.draining && self.queue.is_empty();
            if self.pending.len() >= self.batch || due || idle {
                self.commit();
            }
            self.count();
            if idle && self.pending.is_empty() {
                return Ok(());
            }
        }
    }

    /// Waits until there is something to do, then takes in at most one connection and what has
    /// arrived on the others. One at a time, so that connections spread over the workers.
    fn wait(&mut self) -> io::Result<()> {
        let stdout = io::stdout();
        let ids: Vec<ConnectionId> = self.connections.keys().copied().collect();
        let accepts = !self.draining && self.connections.len() < MAX_CONNECTIONS;
        let mut fds = vec![
            PollFd::new(stdout.as_fd(), PollFlags::empty()),
            PollFd::new(
                self.listener.as_fd(),
                if accepts { PollFlags::POLLIN } else { PollFlags::empty() },
            ),
        ];
        fds.extend(
            self.connections
                .values()
                .map(|connection| PollFd::new(connection.as_fd(), PollFlags::POLLIN)),
        );
        match poll(&mut fds, self.timeout()) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        let ready = |fd: &PollFd<'_>| fd.any() == Some(true);
        let orphaned = ready(&fds[0]);
        let incoming = accepts && ready(&fds[1]);
        let readable: Vec<bool> = fds[2..].iter().map(ready).collect();
        drop(fds);

        for (id, readable) in ids.iter().zip(&readable) {
            let more = self.connections.get(id).is_some_and(Connection::has_more);
            if *readable || more {
                self.read(*id);
            }
        }
        if orphaned && !self.draining {
            self.drain(&ids, &readable);
        }
        if incoming && !self.draining {
            self.accept();
        }
        Ok(())
    }

    fn timeout(&self) -> PollTimeout {
        let buffered = self.connections.values().any(Connection::has_more);
        if !self.queue.is_empty() || self.draining || buffered {
            return PollTimeout::ZERO;
        }
        let now = Instant::now();
        let count = (self.uncounted > 0).then(|| self.counted_at + COUNT_INTERVAL);
        [self.commit_by, count].into_iter().flatten().min().map_or(PollTimeout::NONE, |at| {
            // Rounded up, so that the wait does not end just before the deadline, again and again.
            let wait = at.saturating_duration_since(now) + Duration::from_micros(999);
            PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
        })
    }

    fn accept(&mut self) {
        // Another worker may have been faster.
        let Ok((stream, _)) = self.listener.accept() else { return };
        if let Ok(connection) = Connection::new(stream) {
            self.connections.insert(self.next_connection, connection);
            self.next_connection += 1;
        }
    }

    fn read(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match connection.read() {
            Arrival::Request(request) => self.queue.push_back((id, request)),
            Arrival::Nothing => {}
            Arrival::Closed => {
                self.connections.remove(&id);
            }
        }
    }

    /// Stops taking anything in: nobody counts this worker's answers any more. What has arrived is
    /// still answered.
    fn drain(&mut self, ids: &[ConnectionId], readable: &[bool]) {
        self.draining = true;
        let busy: Vec<ConnectionId> = ids
            .iter()
            .zip(readable)
            .filter(|(_, readable)| **readable)
            .map(|(id, _)| *id)
            .chain(self.queue.iter().map(|(id, _)| *id))
            .chain(self.pending.iter().map(|pending| pending.connection))
            .collect();
        self.connections.retain(|id, _| busy.contains(id));
    }

    fn work(&mut self, connection: ConnectionId, request: &Request) {
        let close = request.close || self.draining;
        let (status, body) = match (request.method, request.path.as_str()) {
            (Method::Post, "/") => {
                let (nonce, payload) = split_nonce(&request.body);
                let digest = chain(payload, self.request_rounds);
                self.records += 1;
                self.log.record(self.records, &digest);
                let body = format!("{} {}\n", String::from_utf8_lossy(nonce), hexadecimal(&digest));
                self.pending.push(Pending { connection, body, close });
                self.commit_by.get_or_insert_with(|| Instant::now() + self.commit_interval);
                return;
            }
            (Method::Get, "/health") => ("200 OK", "ok\n"),
            (Method::Get, "/") => ("200 OK", "POST a body to / to have it digested.\n"),
            (_, "/" | "/health") => ("405 Method Not Allowed", ""),
            _ => ("404 Not Found", ""),
        };
        self.answer(connection, status, body, close);
    }

    fn commit(&mut self) {
        self.commit_by = None;
        let outcome = self.log.commit();
        if let Err(error) = &outcome {
            eprintln!("backend: cannot commit to the audit log: {error}");
        }
        for Pending { connection, body, close } in std::mem::take(&mut self.pending) {
            if outcome.is_ok() {
                self.uncounted += 1;
                self.answer(connection, "200 OK", &body, close);
            } else {
                self.answer(connection, "500 Internal Server Error", "", close);
            }
        }
    }

    fn answer(&mut self, id: ConnectionId, status: &str, body: &str, close: bool) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !connection.answer(status, body, close)
        {
            self.connections.remove(&id);
        }
    }

    /// Tells the backend how many answers there have been since the last count.
    fn count(&mut self) {
        if self.uncounted == 0 || self.counted_at.elapsed() < COUNT_INTERVAL || self.draining {
            return;
        }
        // One write: standard output's own buffer would cut a count of 10 behind what it takes for
        // a newline, and the reader takes whole counts.
        if nix::unistd::write(io::stdout(), &self.uncounted.to_le_bytes()) == Ok(8) {
            self.uncounted = 0;
        }
        self.counted_at = Instant::now();
    }
}

/// A body is a nonce, a space, and the payload; without a space all of it is payload.
fn split_nonce(body: &[u8]) -> (&[u8], &[u8]) {
    body.iter()
        .position(|byte| *byte == b' ')
        .map_or((&[], body), |at| (&body[..at], &body[at + 1..]))
}
