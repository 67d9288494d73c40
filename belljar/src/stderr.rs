//! Standard error for words that must not wait: logs, and the last ones of a process that ends.

use std::{
    io::{self, Write},
    os::fd::AsFd as _,
    sync::atomic::{AtomicBool, Ordering},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// As much as a pipe takes at once where it takes anything (`PIPE_BUF`, pipe(7)).
const PIECE_BYTES: usize = 4096;

/// How long a reader that has read so far may take nothing, in milliseconds.
const PATIENCE: u16 = 1000;

/// Whether the last piece found no reader: then the next one waits for none.
static STUCK: AtomicBool = AtomicBool::new(false);

/// Writes to standard error what its reader takes and gives the rest up: an observer that waits for
/// a terminal watches nothing.
pub(crate) struct Impatient;

impl Write for Impatient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.chunks(PIECE_BYTES) {
            if is_read()? {
                io::stderr().write_all(piece)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_read() -> io::Result<bool> {
    let patience = if STUCK.load(Ordering::Relaxed) { 0 } else { PATIENCE };
    let stderr = io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    let is_read = poll(&mut fds, PollTimeout::from(patience))? != 0;
    STUCK.store(!is_read, Ordering::Relaxed);
    Ok(is_read)
}
