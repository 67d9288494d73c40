//! A file's bytes as they are, for harnesses that move files in and out. No tool of an agent's.
//!
//! The bytes go over standard streams, not within a payload or a result; why they did not is told on
//! standard error, as JSON.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::{
        fd::AsFd,
        unix::{
            ffi::{OsStrExt as _, OsStringExt as _},
            fs::OpenOptionsExt as _,
        },
    },
    path::Path,
};

use journal::escape::escape;
use nix::{errno::Errno, unistd::write};
use serde::{Deserialize, Serialize};

use crate::outside::{Fault, FaultKind};

/// How much is moved at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// One file to move, on its way into the sandbox. A path is its bytes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Raw {
    /// The file goes to standard output.
    RawRead { path: Vec<u8>, limit_bytes: u64 },
    /// Standard input becomes the file, in place.
    RawWrite { path: Vec<u8>, append: bool, parents: bool },
}

impl Raw {
    pub(crate) fn read(path: &OsStr, limit_bytes: usize) -> Self {
        Self::RawRead { path: path.as_bytes().to_owned(), limit_bytes: limit_bytes as u64 }
    }

    pub(crate) fn write(path: &OsStr, append: bool, parents: bool) -> Self {
        Self::RawWrite { path: path.as_bytes().to_owned(), append, parents }
    }

    /// The payload, for the spawner.
    pub(crate) fn payload(&self) -> String {
        serde_json::to_string(self).expect("it is made of numbers and flags")
    }

    /// What a payload asks for, if it is one of these.
    pub(super) fn parse(payload: &str) -> Option<Self> {
        serde_json::from_str(payload).ok()
    }

    /// Moves the file, and returns the child's exit code: 0 where all of it was moved.
    pub(super) fn perform(self) -> i32 {
        let moved = match self {
            Self::RawRead { path, limit_bytes } => read(path, limit_bytes),
            Self::RawWrite { path, append, parents } => write_file(path, append, parents),
        };
        match moved {
            Ok(()) => 0,
            Err(fault) => {
                let told = serde_json::to_vec(&fault).unwrap_or_default();
                // The exit code says that it failed where this cannot be said.
                let _ = put(io::stderr(), &told);
                1
            }
        }
    }
}

fn read(path: Vec<u8>, limit_bytes: u64) -> Result<(), Fault> {
    let shown = escape(&path).into_owned();
    let failed = |error: &io::Error| fault("read", &shown, error);
    // Opening a pipe without a writer would wait for one.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(OsString::from_vec(path))
        .map_err(|error| failed(&error))?;
    let size = file.metadata().map_err(|error| failed(&error))?.len();
    if size > limit_bytes {
        return Err(too_large(&shown, limit_bytes));
    }
    let (mut chunk, mut total) = (vec![0; CHUNK_BYTES], 0);
    loop {
        let count = match file.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(&error)),
        };
        total += count as u64;
        if total > limit_bytes {
            // A file that grows, or one that tells no size.
            return Err(too_large(&shown, limit_bytes));
        }
        put(io::stdout(), &chunk[..count])
            .map_err(|errno| Fault::of_file("read", &shown, errno))?;
    }
}

fn write_file(path: Vec<u8>, append: bool, parents: bool) -> Result<(), Fault> {
    let shown = escape(&path).into_owned();
    let path = OsString::from_vec(path);
    let parent = Path::new(&path).parent().filter(|_| parents);
    if let Some(parent) = parent {
        fs::create_dir_all(parent)
            .map_err(|error| fault("make the directory above", &shown, &error))?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .append(append)
        .write(true)
        .truncate(!append)
        .open(&path)
        .map_err(|error| fault("write", &shown, &error))?;
    let mut stdin = File::from(
        io::stdin().as_fd().try_clone_to_owned().map_err(|error| fault("write", &shown, &error))?,
    );
    io::copy(&mut stdin, &mut file).map(drop).map_err(|error| fault("write", &shown, &error))
}

fn too_large(path: &str, limit_bytes: u64) -> Fault {
    Fault::new(FaultKind::TooLarge, format!("{path} has more than {limit_bytes} bytes"))
}

fn fault(action: &str, path: &str, error: &io::Error) -> Fault {
    match error.raw_os_error() {
        Some(errno) => Fault::of_file(action, path, Errno::from_raw(errno)),
        // The standard library refuses a path with a zero byte before it asks the kernel.
        None => Fault::new(FaultKind::Failed, format!("cannot {action} {path}: {error}")),
    }
}

/// Writes all to a descriptor itself: the child is a fork, and buffers are not its to flush.
fn put(to: impl AsFd, bytes: &[u8]) -> Result<(), Errno> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match write(&to, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_as_it_was_written_and_a_tools_is_none_of_these() {
        let raw = Raw::read(OsStr::from_bytes(b"a\xff"), 3);
        assert_eq!(Raw::parse(&raw.payload()), Some(raw));
        let tool = super::super::Tool::named("touch").unwrap();
        let payload = super::super::payload(tool, &serde_json::json!({ "path": "x" }));
        assert_eq!(Raw::parse(&payload), None);
    }
}
