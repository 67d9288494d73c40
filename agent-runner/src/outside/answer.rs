//! What comes of a call.

use std::time::Duration;

use nix::errno::Errno;
use sandbox::Exit;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::order::record_bytes;
use crate::{hands::signal_name, tools::ToolResult};

/// What came of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The call's number.
    pub call: u64,
    /// What it gave back.
    pub outcome: Outcome,
    /// How long it took.
    pub duration: Duration,
}

/// What a call gave back.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A tool's result.
    Tool(ToolResult),
    /// What a program wrote that ended by itself.
    Output(Output),
    /// A file's content.
    Content(Vec<u8>),
    /// So many bytes were written to a file.
    Written(usize),
    /// It did not do what it was asked, with what it had written until then.
    Failed(Fault, Option<Output>),
}

/// What a program wrote, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Whether more of it came than was kept.
    pub stdout_truncated: bool,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Whether more of it came than was kept.
    pub stderr_truncated: bool,
}

/// Why a call did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// In one word.
    pub kind: FaultKind,
    /// In a sentence.
    pub message: String,
    /// The kernel's reason, by name, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<String>,
}

/// Why a call did not do what it was asked, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It took too long and was killed.
    Timeout,
    /// Its end was asked for.
    Cancelled,
    /// It was frozen and nobody let it go on.
    NotResumed,
    /// The file or directory is not there.
    NotFound,
    /// A directory is where a file is wanted.
    IsADirectory,
    /// Something else is where a directory is wanted.
    NotADirectory,
    /// The kernel refuses: a rule of the run's, or who owns it.
    PermissionDenied,
    /// The policy, or whoever it has asked, does not let it begin.
    Refused,
    /// The file has more bytes than were asked for.
    TooLarge,
    /// The program cannot be executed.
    NotExecutable,
    /// Anything else.
    Failed,
}

impl Fault {
    /// Of this kind, for a reason in words.
    pub(crate) fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), errno: None }
    }

    /// Of the kind that an errno means for a file.
    pub(crate) fn of_file(action: &str, path: &str, errno: Errno) -> Self {
        let kind = match errno {
            Errno::ENOENT => FaultKind::NotFound,
            Errno::EISDIR => FaultKind::IsADirectory,
            Errno::ENOTDIR => FaultKind::NotADirectory,
            Errno::EACCES | Errno::EPERM | Errno::EROFS => FaultKind::PermissionDenied,
            _ => FaultKind::Failed,
        };
        let message = format!("cannot {action} {path}: {}", errno.desc());
        Self { kind, message, errno: Some(format!("{errno:?}")) }
    }
}

impl Outcome {
    /// What stands in the transcript.
    pub(super) fn recorded(&self) -> ToolResult {
        match self {
            Self::Tool(result) => result.clone(),
            Self::Output(output) => {
                ToolResult { ok: output.exit == Exit::Code(0), value: output.recorded() }
            }
            Self::Content(content) => {
                let mut value = json!({});
                record_bytes(&mut value, "content", content);
                ToolResult { ok: true, value }
            }
            Self::Written(bytes) => {
                ToolResult { ok: true, value: json!({ "written_bytes": bytes }) }
            }
            Self::Failed(fault, output) => {
                let mut value = output.as_ref().map_or_else(|| json!({}), Output::recorded);
                value["error"] = fault.message.clone().into();
                if let Some(errno) = &fault.errno {
                    value["errno"] = errno.clone().into();
                }
                ToolResult { ok: false, value }
            }
        }
    }
}

impl Output {
    fn recorded(&self) -> Value {
        let mut value = json!({ "truncated": self.stdout_truncated || self.stderr_truncated });
        record_bytes(&mut value, "stdout", &self.stdout);
        record_bytes(&mut value, "stderr", &self.stderr);
        match self.exit {
            Exit::Code(code) => value["exit_code"] = code.into(),
            Exit::Signal(signal) => value["signal"] = signal_name(signal).into(),
        }
        value
    }
}
