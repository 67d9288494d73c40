//! What can be asked for.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use journal::escape::escape;
use serde_json::{Value, json};

use super::Answer;
use crate::{cancel::Cancel, tools::OUTPUT_LIMIT_BYTES};

/// A call that somebody waits for.
pub struct Order {
    /// What is to be done.
    pub request: Request,
    /// Ends this call alone.
    pub cancel: Cancel,
    /// Hears what came of it; called once, from the call's thread. It is dropped uncalled where the
    /// call was never made.
    pub answer: Box<dyn FnOnce(Answer) + Send>,
}

/// What a call does.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// It calls a tool, one that exists or not.
    Tool {
        /// The tool's name.
        name: String,
        /// The arguments, as they were given.
        arguments: Value,
    },
    /// It executes a program.
    Exec(Exec),
    /// It reads a file.
    Read(Read),
    /// It writes a file.
    Write(Write),
}

/// Where a call's process begins, and with what beside what all have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The directory, from the workspace on; the workspace itself where none is given.
    pub directory: Option<PathBuf>,
    /// Variables that are added to the environment or replace others there.
    pub environment: Vec<(OsString, OsString)>,
}

/// A program to execute as a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// A path, or a name to look up in the sandbox's `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where it begins.
    pub place: Place,
    /// What it reads from.
    pub stdin: Vec<u8>,
    /// How long it may run; as long as any call where none is given.
    pub time: Option<Duration>,
    /// Most bytes that are kept of each of its streams.
    pub limit_bytes: usize,
}

/// A file to read as a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The file, from the workspace on.
    pub path: OsString,
    /// Most bytes that it may have.
    pub limit_bytes: usize,
}

/// A file to write as a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The file, from the workspace on.
    pub path: OsString,
    /// What to write.
    pub content: Vec<u8>,
    /// Whether to add to the file's end instead of replacing its content.
    pub append: bool,
    /// Whether to make the directories above it that are missing.
    pub parents: bool,
}

const EXEC: &str = "exec";
const READ: &str = "read";
const WRITE: &str = "write";

/// Under which names calls beside the tools stand in the transcript.
pub const NAMES: [&str; 3] = [EXEC, READ, WRITE];

impl Request {
    /// Under which name it stands in the transcript.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Tool { name, .. } => name,
            Self::Exec(_) => EXEC,
            Self::Read(_) => READ,
            Self::Write(_) => WRITE,
        }
    }

    /// What stands there as its arguments.
    #[must_use]
    pub fn recorded(&self) -> Value {
        let text = |text: &OsString| escape(text.as_encoded_bytes()).into_owned();
        match self {
            Self::Tool { arguments, .. } => arguments.clone(),
            Self::Exec(exec) => {
                let mut value = json!({
                    "program": text(&exec.program),
                    "arguments": exec.arguments.iter().map(text).collect::<Vec<_>>(),
                });
                if let Some(directory) = &exec.place.directory {
                    value["directory"] = text(&directory.clone().into_os_string()).into();
                }
                if !exec.place.environment.is_empty() {
                    let pairs = exec.place.environment.iter();
                    let pairs = pairs.map(|(name, value)| (text(name), text(value).into()));
                    value["environment"] = Value::Object(pairs.collect());
                }
                if !exec.stdin.is_empty() {
                    record_bytes(&mut value, "stdin", &exec.stdin);
                }
                if let Some(time) = exec.time {
                    value["seconds"] = time.as_secs_f64().into();
                }
                value
            }
            Self::Read(read) => {
                json!({ "path": text(&read.path), "limit_bytes": read.limit_bytes })
            }
            Self::Write(write) => {
                let mut value = json!({
                    "path": text(&write.path),
                    "append": write.append,
                    "parents": write.parents,
                });
                record_bytes(&mut value, "content", &write.content);
                value
            }
        }
    }
}

/// Puts bytes on record, escaped as in the journal, up to a tool's limit. Where more is left out, the
/// record says how much there was.
pub(super) fn record_bytes(value: &mut Value, key: &str, bytes: &[u8]) {
    let kept = &bytes[..bytes.len().min(OUTPUT_LIMIT_BYTES)];
    value[key] = escape(kept).into();
    if kept.len() < bytes.len() {
        value[format!("{key}_bytes")] = bytes.len().into();
    }
}
