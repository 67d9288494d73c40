//! The way out to a stream whose reader may be slow, or may never read.
//!
//! A write to a full pipe waits for the reader, for ever where that does not read. So a thread
//! writes, from a queue that is bounded in bytes: who fills it can wait for room and listen to
//! deadlines and signals meanwhile.

use std::{
    collections::VecDeque,
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    os::fd::{AsFd as _, BorrowedFd},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// From how many waiting bytes on a queue counts as full.
const LIMIT_BYTES: usize = 256 << 10;

/// How long a reader may take nothing until the rest is given up.
const GRACE: Duration = Duration::from_secs(1);

/// A queue of things to write, and the thread that writes them. It lives as long as the process.
pub(crate) struct Outlet<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// Polls as readable when there may be room again.
    room: PipeReader,
    room_end: PipeWriter,
}

struct State<T> {
    /// What waits, each with its bytes.
    items: VecDeque<(T, usize)>,
    /// Whether an item is being written.
    writing: bool,
    /// Bytes of that item that the reader has not taken.
    current_bytes: usize,
    /// Bytes of all that the reader has not taken.
    waiting_bytes: usize,
    /// Since when the reader has taken nothing of what waits for it.
    idle_since: Instant,
    /// Whether a byte lies in the pipe `room`.
    room_told: bool,
    /// Why a write failed, the first time.
    failed: Option<io::Error>,
}

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwritten {
    /// The reader took nothing any more.
    #[error("nobody reads it, and {bytes} bytes were given up")]
    Unread {
        /// How many.
        bytes: usize,
    },
    /// The stream failed.
    #[error(transparent)]
    Failed(io::Error),
}

impl<T> Clone for Outlet<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Send + 'static> Outlet<T> {
    /// Starts the thread. It calls `write` with each item, and with what is to be told of each piece
    /// that the reader has taken.
    pub(crate) fn start(
        name: &str,
        mut write: impl FnMut(T, &dyn Fn(usize)) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (room, room_end) = io::pipe()?;
        let state = State {
            items: VecDeque::new(),
            writing: false,
            current_bytes: 0,
            waiting_bytes: 0,
            idle_since: Instant::now(),
            room_told: false,
            failed: None,
        };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), room, room_end });
        let writer = Arc::clone(&shared);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            loop {
                let item = writer.next();
                let result = write(item, &|bytes| writer.taken(bytes));
                writer.written(result);
            }
        })?;
        Ok(Self { shared })
    }

    /// Puts an item at the end, whether there is room or not.
    pub(crate) fn push(&self, item: T, bytes: usize) {
        let mut state = self.shared.lock();
        if state.is_empty() {
            state.idle_since = Instant::now();
        }
        state.items.push_back((item, bytes));
        state.waiting_bytes += bytes;
        self.shared.changed.notify_all();
    }

    /// What polls as readable once there is room again; none while there is.
    pub(crate) fn full(&self) -> Option<BorrowedFd<'_>> {
        let mut state = self.shared.lock();
        if state.waiting_bytes < LIMIT_BYTES {
            return None;
        }
        if state.room_told {
            // The byte is there, so this waits for nothing.
            let _ = (&self.shared.room).read(&mut [0]);
            state.room_told = false;
        }
        Some(self.shared.room.as_fd())
    }

    /// Waits until all is written. From `from` on the reader may take nothing for [`GRACE`] until
    /// this gives up; without `from` it may take its time.
    pub(crate) fn wait(&self, from: Option<Instant>) -> Result<(), Unwritten> {
        let mut state = self.shared.lock();
        while !state.is_empty() {
            let Some(from) = from else {
                state = self.shared.changed.wait(state).expect("no writer panics");
                continue;
            };
            let end = from.max(state.idle_since) + GRACE;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Unwritten::Unread { bytes: state.waiting_bytes });
            }
            state = self.shared.changed.wait_timeout(state, left).expect("no writer panics").0;
        }
        state.failed.take().map_or(Ok(()), |error| Err(Unwritten::Failed(error)))
    }
}

impl<T> State<T> {
    fn is_empty(&self) -> bool {
        !self.writing && self.items.is_empty()
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no writer panics")
    }

    fn next(&self) -> T {
        let mut state = self.lock();
        loop {
            if let Some((item, bytes)) = state.items.pop_front() {
                state.writing = true;
                state.current_bytes = bytes;
                return item;
            }
            state = self.changed.wait(state).expect("no writer panics");
        }
    }

    fn taken(&self, bytes: usize) {
        let mut state = self.lock();
        self.note(&mut state, bytes);
    }

    /// The whole item is out, or never will be.
    fn written(&self, result: io::Result<()>) {
        let mut state = self.lock();
        let rest = state.current_bytes;
        self.note(&mut state, rest);
        state.writing = false;
        match result {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                state.failed.get_or_insert(error);
            }
            // A reader that has gone has read enough.
            _ => {}
        }
    }

    fn note(&self, state: &mut State<T>, bytes: usize) {
        // What is escaped is longer than what was handed in.
        let bytes = bytes.min(state.current_bytes);
        state.current_bytes -= bytes;
        state.waiting_bytes -= bytes;
        state.idle_since = Instant::now();
        if state.waiting_bytes < LIMIT_BYTES && !state.room_told {
            // One byte fits into an empty pipe, whose reading end lives as long as this.
            let _ = (&self.room_end).write_all(&[1]);
            state.room_told = true;
        }
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    /// An outlet that writes an item for each word that it is sent.
    fn gated() -> (Outlet<Vec<u8>>, mpsc::Sender<()>, mpsc::Receiver<Vec<u8>>) {
        let (open, gate) = mpsc::channel();
        let (written, items) = mpsc::channel();
        let outlet = Outlet::start("gated", move |item, _: &dyn Fn(usize)| {
            // A gate that is gone stays shut.
            if gate.recv().is_err() {
                std::thread::sleep(Duration::MAX);
            }
            written.send(item).map_err(io::Error::other)
        });
        (outlet.unwrap(), open, items)
    }

    #[test]
    fn items_are_written_in_order() {
        let (outlet, open, items) = gated();
        for number in 0..3 {
            outlet.push(vec![number], 1);
            open.send(()).unwrap();
        }
        outlet.wait(None).unwrap();
        assert_eq!(items.try_iter().collect::<Vec<_>>(), [[0], [1], [2]]);
    }

    #[test]
    fn a_full_queue_tells_when_there_is_room() {
        let (outlet, open, _items) = gated();
        assert!(outlet.full().is_none());
        // Twice, since what told of room the first time must not do so the second time.
        for _ in 0..2 {
            outlet.push(Vec::new(), LIMIT_BYTES);
            let room = outlet.full().expect("it is full");
            let mut fds = [PollFd::new(room, PollFlags::POLLIN)];
            assert_eq!(poll(&mut fds, PollTimeout::ZERO), Ok(0));
            open.send(()).unwrap();
            assert_eq!(poll(&mut fds, PollTimeout::NONE), Ok(1));
            assert!(outlet.full().is_none());
        }
    }

    #[test]
    fn what_nobody_takes_is_given_up_and_counted() {
        let (outlet, open, _items) = gated();
        outlet.push(Vec::new(), 3);
        outlet.push(Vec::new(), 4);
        open.send(()).unwrap();
        let given_up = outlet.wait(Some(Instant::now()));
        assert!(matches!(given_up, Err(Unwritten::Unread { bytes: 4 })), "{given_up:?}");
    }

    #[test]
    fn a_failed_write_is_told_unless_the_reader_has_gone() {
        let outlet = Outlet::start("failing", |kind: io::ErrorKind, _: &dyn Fn(usize)| {
            Err(io::Error::from(kind))
        });
        let outlet = outlet.unwrap();
        outlet.push(io::ErrorKind::BrokenPipe, 1);
        outlet.wait(None).unwrap();
        outlet.push(io::ErrorKind::StorageFull, 1);
        assert!(matches!(outlet.wait(None), Err(Unwritten::Failed(_))));
    }
}
