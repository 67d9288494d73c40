//! Waiting for a call's main process while reading what it writes.
//!
//! A call ends with its main process, not with its pipes: a background process can hold them open
//! for as long as it likes. So the process itself is watched. And whoever is shown the output may not
//! take it for a while: then the pipes are left to fill, and the rest is listened to as before.

use std::{
    fs::File,
    io::{self, PipeReader, Read},
    os::fd::{AsFd as _, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    pipe::fcntl_getpipe_size,
};
use sandbox::Exit;

use crate::{
    cancel::{Cancel, wait_readable},
    hands::{HandsError, Running},
    watch::{Moment, Progress},
};

/// How much is read at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// One of the two streams that a process writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamName {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What was read of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) bytes: Vec<u8>,
    /// Whether more came than was kept.
    pub(crate) truncated: bool,
}

/// What was read of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// The main process has ended.
    Exited,
    /// The deadline has passed.
    TimedOut,
    /// The end was asked for.
    Cancelled,
    /// It was frozen and nobody let it go on.
    NotResumed,
}

impl Stopped {
    /// What is told of a process that did not end by itself: it had so much `time`, and this is what is
    /// said where the end was asked for.
    pub(crate) fn told(self, time: Duration, cancelled: &str) -> Option<String> {
        match self {
            Self::Exited => None,
            Self::TimedOut => Some(format!("timed out after {} s", time.as_secs_f64())),
            Self::Cancelled => Some(cancelled.to_owned()),
            Self::NotResumed => Some("it was frozen and nobody let it go on".to_owned()),
        }
    }
}

/// Why the end of a process could not be taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FinishError {
    #[error(transparent)]
    Hands(#[from] HandsError),
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// A running process and the pipes that it writes to.
pub(crate) struct Collector<'a> {
    running: Running,
    streams: [Reading; 2],
    shown: Option<&'a mut dyn Progress>,
}

struct Reading {
    name: StreamName,
    /// Absent once the stream has ended.
    pipe: Option<File>,
    kept: Stream,
    limit_bytes: usize,
}

impl<'a> Collector<'a> {
    /// Takes a process whose output comes through the pipes; keeps `limit_bytes` of each and shows
    /// all to `shown`, if there is one.
    pub(crate) fn new(
        running: Running,
        stdout: PipeReader,
        stderr: PipeReader,
        limit_bytes: usize,
        shown: Option<&'a mut dyn Progress>,
    ) -> io::Result<Self> {
        let reading = |name, pipe: PipeReader| -> io::Result<Reading> {
            // This is the reading end's own flag: the process keeps a blocking end.
            fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
            let pipe = Some(File::from(OwnedFd::from(pipe)));
            Ok(Reading { name, pipe, kept: Stream::default(), limit_bytes })
        };
        let streams = [reading(StreamName::Stdout, stdout)?, reading(StreamName::Stderr, stderr)?];
        Ok(Self { running, streams, shown })
    }

    /// Reads until the process has ended, the deadline has passed, or the end is asked for.
    pub(crate) fn run(
        &mut self,
        deadline: Option<Instant>,
        cancel: Option<&Cancel>,
    ) -> io::Result<Stopped> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Stopped::TimedOut);
            }
            if cancel.is_some_and(Cancel::is_cancelled) {
                return Ok(Stopped::Cancelled);
            }
            let mut fds = vec![PollFd::new(&self.running, PollFlags::IN)];
            fds.extend(cancel.map(|cancel| PollFd::new(cancel, PollFlags::IN)));
            let mut taken = [true; 2];
            for (stream, taken) in self.streams.iter().zip(&mut taken) {
                let Some(pipe) = &stream.pipe else { continue };
                let room = self.shown.as_ref().and_then(|shown| shown.full(stream.name));
                *taken = room.is_none();
                let fd = room.unwrap_or(pipe.as_fd());
                fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
            }
            wait_readable(&mut fds, left)?;
            let exited = !fds[0].revents().is_empty();
            if exited {
                return Ok(Stopped::Exited);
            }
            for (stream, taken) in self.streams.iter_mut().zip(taken) {
                if taken {
                    stream.read(CHUNK_BYTES, &mut self.shown)?;
                }
            }
        }
    }

    /// Takes what is still in the pipes of a process that has ended, and returns how it ended and
    /// all that was kept. Pipes that are still held
    /// open by others are emptied from now on by a thread of their own, until they end: to close
    /// them would kill whoever writes next, and what a call leaves running is to stay.
    pub(crate) fn finish(mut self) -> Result<(Exit, Collected), FinishError> {
        let exit = self.running.exit()?;
        for stream in &mut self.streams {
            // What the process wrote before its end is in the pipe, so no more than the pipe
            // holds need be read: another writer could keep it full for ever.
            let held = match &stream.pipe {
                Some(pipe) => fcntl_getpipe_size(pipe).map_err(io::Error::from)?,
                None => continue,
            };
            stream.read(held, &mut self.shown)?;
            if let Some(pipe) = stream.pipe.take() {
                empty_in_background(pipe)?;
            }
        }
        let [stdout, stderr] = self.streams;
        Ok((exit, Collected { stdout: stdout.kept, stderr: stderr.kept }))
    }
}

impl Reading {
    /// Reads what is there, up to about `most` bytes.
    fn read(&mut self, most: usize, shown: &mut Option<&mut dyn Progress>) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut total = 0;
        while let Some(pipe) = &mut self.pipe
            && total < most
        {
            match pipe.read(&mut chunk) {
                Ok(0) => self.pipe = None,
                Ok(count) => {
                    total += count;
                    let bytes = &chunk[..count];
                    if let Some(shown) = shown {
                        shown.show(Moment::Output { stream: self.name, bytes });
                    }
                    let room = self.limit_bytes - self.kept.bytes.len();
                    self.kept.bytes.extend_from_slice(&bytes[..count.min(room)]);
                    self.kept.truncated |= count > room;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn empty_in_background(mut pipe: File) -> io::Result<()> {
    fcntl_setfl(&pipe, fcntl_getfl(&pipe)? - OFlags::NONBLOCK)?;
    thread::Builder::new().name("left-output".to_owned()).spawn(move || {
        // A failed read ends it as the pipe's end does; there is nobody to tell.
        let _ = io::copy(&mut pipe, &mut io::sink());
    })?;
    Ok(())
}
