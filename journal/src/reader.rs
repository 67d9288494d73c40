//! Reading journals, one line at a time and tolerant of a torn last line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    marker::PhantomData,
    path::PathBuf,
};

use serde::de::DeserializeOwned;

use crate::{
    effect::Effect,
    files::{FileError, RunDir, name},
    scenario::Sample,
    transcript::Entry,
};

/// What is wrong with a line. Lines before it were read.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The file ends within a line: its writer died, or the disk was full.
    #[error("{} ends within line {line}", .path.display())]
    Torn {
        /// The journal.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
    },
    /// The line does not read as what it should hold.
    #[error("line {line} of {} does not read as what it should hold", .path.display())]
    Malformed {
        /// The journal.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// The cause, with its column.
        source: serde_json::Error,
    },
    /// The operating system refused.
    #[error("cannot read line {line} of {}", .path.display())]
    Os {
        /// The journal.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// The cause, with its errno.
        source: io::Error,
    },
}

/// The raw lines of a file, without their newlines.
#[derive(Debug)]
pub struct RawLines {
    path: PathBuf,
    file: BufReader<File>,
    buffer: Vec<u8>,
    line: u64,
}

impl RawLines {
    /// Opens a file of the directory.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open(directory: &RunDir, name: &str) -> Result<Self, FileError> {
        Ok(Self {
            path: directory.file(name),
            file: BufReader::with_capacity(256 * 1024, directory.reader(name)?),
            buffer: Vec::new(),
            line: 0,
        })
    }

    /// The next line and its number from 1, or `None` at the end.
    ///
    /// # Errors
    ///
    /// When the line cannot be read or the file ends within it; then nothing follows.
    pub fn next_line(&mut self) -> Result<Option<(u64, &[u8])>, LineError> {
        self.buffer.clear();
        self.line += 1;
        let line = self.line;
        let bytes = self
            .file
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| LineError::Os { path: self.path.clone(), line, source })?;
        match self.buffer.split_last() {
            None => {
                debug_assert_eq!(bytes, 0);
                Ok(None)
            }
            Some((b'\n', text)) => Ok(Some((line, text))),
            Some(_) => Err(LineError::Torn { path: self.path.clone(), line }),
        }
    }

    /// The bytes that were read last: after [`LineError::Torn`] the part of a line that is there.
    pub(crate) fn last_read(&self) -> &[u8] {
        &self.buffer
    }
}

/// The lines of a journal as values. After a torn line or one that cannot be read it ends; after a
/// malformed one it goes on.
#[derive(Debug)]
pub struct Lines<T> {
    raw: RawLines,
    ended: bool,
    value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Iterator for Lines<T> {
    type Item = Result<T, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.raw.next_line() {
            Ok(Some((line, text))) => Some(serde_json::from_slice(text).map_err(|source| {
                LineError::Malformed { path: self.raw.path.clone(), line, source }
            })),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

macro_rules! journals {
    ($($read:ident, $value:ty, $name:ident;)+) => {
        impl RunDir {
            $(
                #[doc = concat!("The lines of [`name::", stringify!($name), "`], in order of arrival.")]
                ///
                /// # Errors
                ///
                /// When the file cannot be opened.
                pub fn $read(&self) -> Result<Lines<$value>, FileError> {
                    let raw = RawLines::open(self, name::$name)?;
                    Ok(Lines { raw, ended: false, value: PhantomData })
                }
            )+
        }
    };
}

journals! {
    effects, Effect, EFFECTS;
    transcript, Entry, TRANSCRIPT;
    samples, Sample, OBJECTIVE;
}
