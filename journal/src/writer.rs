//! Appending to the journals: effects, transcript, samples of the objective.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
    sync::Arc,
};

use serde::Serialize;

use crate::{
    chain::{self, Journal, Link},
    effect::Effect,
    files::{FileError, RunDir, cut_to_lines, name},
    redact::Redactor,
    scenario::Sample,
    transcript::Entry,
};

/// Large enough that a storm of effects is a few hundred system calls a second.
const BUFFER_BYTES: usize = 256 * 1024;

/// Why a line could not be appended. What was appended before stays whole.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The operating system refused: the disk is full, say.
    #[error("cannot append to {}", .path.display())]
    Os {
        /// The journal.
        path: PathBuf,
        /// The cause, with its errno.
        source: io::Error,
    },
    /// The value has no JSON form.
    #[error("a line of {} has no JSON form", .path.display())]
    Json {
        /// The journal.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
}

/// Lines appended to a file, through a buffer.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    /// None once it was given up.
    file: Option<BufWriter<File>>,
    line: Vec<u8>,
    count: u64,
    redactor: Option<Arc<Redactor>>,
}

impl Lines {
    fn create(directory: &RunDir, name: &str) -> Result<Self, FileError> {
        Ok(Self {
            path: directory.file(name),
            file: Some(BufWriter::with_capacity(BUFFER_BYTES, directory.begin(name)?)),
            line: Vec::with_capacity(1024),
            count: 0,
            redactor: directory.redactor().cloned(),
        })
    }

    /// Appends one value as a line, sealed after `previous` where the journal is chained.
    fn append<T: Serialize>(
        &mut self,
        value: &T,
        previous: Option<&Link>,
    ) -> Result<Option<Link>, WriteError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, value)
            .map_err(|source| WriteError::Json { path: self.path.clone(), source })?;
        if let Some(redactor) = &self.redactor {
            redactor
                .json(&mut self.line, true)
                .map_err(|source| WriteError::Json { path: self.path.clone(), source })?;
        }
        let link = previous.map(|previous| chain::seal(previous, &mut self.line));
        self.line.push(b'\n');
        let line = &self.line;
        let written = self.file.as_mut().map_or_else(given_up, |file| file.write_all(line));
        written.map_err(|source| self.os(source))?;
        self.count += 1;
        Ok(link)
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        let flushed = self.file.as_mut().map_or_else(given_up, Write::flush);
        flushed.map_err(|source| self.os(source))
    }

    /// Writes no more, and leaves whole lines alone in the file.
    fn give_up(&mut self) -> io::Result<()> {
        // What is in the buffer would be written when it is dropped.
        drop(self.file.take().map(BufWriter::into_parts));
        cut_to_lines(&self.path)
    }

    fn os(&self, source: io::Error) -> WriteError {
        WriteError::Os { path: self.path.clone(), source }
    }
}

fn given_up() -> io::Result<()> {
    Err(io::Error::other("it was given up"))
}

macro_rules! chained_writer {
    ($(#[doc = $doc:literal])+ $writer:ident, $value:ty, $journal:ident, $name:ident) => {
        $(#[doc = $doc])+
        ///
        /// Lines stay in a buffer until it is full, [`Self::flush`] is called or the writer is
        /// dropped; only `flush` tells of an error.
        #[derive(Debug)]
        pub struct $writer {
            lines: Lines,
            head: Link,
        }

        impl $writer {
            /// Begins the journal of the run of this name.
            ///
            /// # Errors
            ///
            /// When the file exists already or cannot be created.
            pub fn create(directory: &RunDir, run: &str) -> Result<Self, FileError> {
                let lines = Lines::create(directory, name::$name)?;
                Ok(Self { lines, head: chain::origin(Journal::$journal, run) })
            }

            /// Appends one line.
            ///
            /// # Errors
            ///
            /// When the operating system refuses. The journal must then be given up: whether a
            /// part of the line was written is not known.
            pub fn append(&mut self, value: &$value) -> Result<(), WriteError> {
                if let Some(link) = self.lines.append(value, Some(&self.head))? {
                    self.head = link;
                }
                Ok(())
            }

            /// Hands all lines to the operating system.
            ///
            /// # Errors
            ///
            /// When it refuses.
            pub fn flush(&mut self) -> Result<(), WriteError> {
                self.lines.flush()
            }

            /// Writes no more after an error, and leaves in the file whole lines alone.
            ///
            /// # Errors
            ///
            /// When the file cannot be cut; still nothing more is written.
            pub fn give_up(&mut self) -> io::Result<()> {
                self.lines.give_up()
            }

            /// How many lines were appended.
            #[must_use]
            pub fn count(&self) -> u64 {
                self.lines.count
            }

            /// The link of the last line.
            #[must_use]
            pub fn head(&self) -> &Link {
                &self.head
            }
        }
    };
}

chained_writer!(
    /// Appends to `effects.jsonl`.
    EffectWriter,
    Effect,
    Effects,
    EFFECTS
);
chained_writer!(
    /// Appends to `transcript.jsonl`.
    TranscriptWriter,
    Entry,
    Transcript,
    TRANSCRIPT
);

/// Appends to `objective.jsonl`, a window of measurement a line. Not chained: the signature holds
/// the whole file's digest.
#[derive(Debug)]
pub struct SampleWriter {
    lines: Lines,
}

impl SampleWriter {
    /// Begins the file.
    ///
    /// # Errors
    ///
    /// When the file exists already or cannot be created.
    pub fn create(directory: &RunDir) -> Result<Self, FileError> {
        Ok(Self { lines: Lines::create(directory, name::OBJECTIVE)? })
    }

    /// Appends one sample and hands it to the operating system: there are only a few a second.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub fn append(&mut self, sample: &Sample) -> Result<(), WriteError> {
        self.lines.append(sample, None)?;
        self.lines.flush()
    }
}
