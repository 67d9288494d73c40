//! Ending an agent from outside: a signal handler, a deadline, a dead observer.

use std::{
    io::{self, PipeReader, PipeWriter, Write},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A request to end, shared between who asks and who ends. It cannot be taken back.
#[derive(Clone, Debug)]
pub struct Cancel {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    asked: AtomicBool,
    // One byte is written and never read: from then on the reading end polls as readable.
    reader: PipeReader,
    writer: PipeWriter,
}

impl Cancel {
    /// A request that has not been made yet.
    ///
    /// # Errors
    ///
    /// The kernel's, if there are no file descriptors left.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self { shared: Arc::new(Shared { asked: AtomicBool::new(false), reader, writer }) })
    }

    /// Asks for the end. The current call is killed, no other one begins.
    pub fn cancel(&self) {
        if !self.shared.asked.swap(true, Ordering::AcqRel) {
            // One byte fits into an empty pipe, whose reading end lives as long as this.
            let _ = (&self.shared.writer).write_all(&[1]);
        }
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.asked.load(Ordering::Acquire)
    }

    /// Waits for `duration` or until the end is asked for; true in the latter case.
    ///
    /// # Errors
    ///
    /// The kernel's, from poll(2).
    pub fn wait(&self, duration: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + duration;
        while !self.is_cancelled() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            wait_readable(&mut [PollFd::new(self, PollFlags::IN)], Some(left))?;
        }
        Ok(self.is_cancelled())
    }
}

impl AsFd for Cancel {
    /// Polls as readable once the end was asked for; never to be read.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.reader.as_fd()
    }
}

/// Polls until one is ready or the time is over; an interruption counts as ready.
pub(crate) fn wait_readable(fds: &mut [PollFd<'_>], limit: Option<Duration>) -> io::Result<()> {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    match poll(fds, limit.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_the_end_is_asked_for() {
        let cancel = Cancel::new().unwrap();
        let other = cancel.clone();
        let waiting = std::thread::spawn(move || other.wait(Duration::from_secs(60)).unwrap());
        cancel.cancel();
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn a_wait_that_nobody_ends_takes_its_time() {
        let cancel = Cancel::new().unwrap();
        let start = Instant::now();
        assert!(!cancel.wait(Duration::from_millis(20)).unwrap());
        assert!(start.elapsed() >= Duration::from_millis(20));
    }
}
