//! What a tool gives back.

use std::io;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a call gives back to the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolResult {
    /// Whether the tool did what it was asked.
    pub ok: bool,
    /// What it found, or `{"error": …, "errno": …}`.
    pub value: Value,
}

impl ToolResult {
    /// A call that failed for a reason in words.
    #[must_use]
    pub fn failed(error: &str) -> Self {
        Self { ok: false, value: json!({ "error": error }) }
    }
}

impl From<Result<Value, ToolError>> for ToolResult {
    fn from(performed: Result<Value, ToolError>) -> Self {
        match performed {
            Ok(value) => Self { ok: true, value },
            Err(error) => {
                let message = error.to_string();
                match error.errno() {
                    Some(errno) => Self {
                        ok: false,
                        value: json!({ "error": message, "errno": format!("{errno:?}") }),
                    },
                    None => Self::failed(&message),
                }
            }
        }
    }
}

/// Why a tool did not do what it was asked. The message is for the agent, so it is whole.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The arguments are not the tool's.
    #[error("bad arguments: {0}")]
    Arguments(serde_json::Error),
    /// A signal that does not exist or cannot be sent.
    #[error("no signal `{0}`")]
    Signal(String),
    /// No process has this number, whatever is running.
    #[error("no process can have the id {0}: ids are above 0")]
    Tgid(i32),
    /// An argument that no machine would take.
    #[error("bad arguments: `{argument}` is {range}")]
    Range {
        /// Which.
        argument: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// A text cannot be replaced in a file.
    #[error("cannot edit {path}: {reason}")]
    Edit {
        /// The file.
        path: String,
        /// Why not.
        reason: &'static str,
    },
    /// A database refused.
    #[error("cannot query {database}: {message}")]
    Database {
        /// Which.
        database: String,
        /// What it says.
        message: String,
    },
    /// The kernel refused.
    #[error("cannot {action} {object}: {}", errno.desc())]
    Kernel {
        /// What was tried.
        action: &'static str,
        /// To what.
        object: String,
        /// Why not.
        errno: Errno,
    },
    /// What was read makes no sense.
    #[error("cannot {action} {object}: not in the form expected")]
    Form {
        /// What was tried.
        action: &'static str,
        /// To what.
        object: String,
    },
}

impl ToolError {
    /// The kernel's reason, where it gave one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { errno, .. } => Some(*errno),
            Self::Arguments(_)
            | Self::Signal(_)
            | Self::Tgid(_)
            | Self::Range { .. }
            | Self::Edit { .. }
            | Self::Database { .. }
            | Self::Form { .. } => None,
        }
    }
}

/// Names the action and the object of a failed act of the kernel's.
pub(crate) trait Act<T> {
    /// Turns the failure into the tool's error.
    fn act(self, action: &'static str, object: &str) -> Result<T, ToolError>;
}

impl<T> Act<T> for io::Result<T> {
    fn act(self, action: &'static str, object: &str) -> Result<T, ToolError> {
        self.map_err(|error| match error.raw_os_error() {
            Some(errno) => ToolError::Kernel {
                action,
                object: object.to_owned(),
                errno: Errno::from_raw(errno),
            },
            // The standard library refuses a path with a zero byte before it asks the kernel.
            None => ToolError::Form { action, object: object.to_owned() },
        })
    }
}

impl<T> Act<T> for nix::Result<T> {
    fn act(self, action: &'static str, object: &str) -> Result<T, ToolError> {
        self.map_err(|errno| ToolError::Kernel { action, object: object.to_owned(), errno })
    }
}

impl<T> Act<T> for procfs::ProcResult<T> {
    fn act(self, action: &'static str, object: &str) -> Result<T, ToolError> {
        use procfs::ProcError;

        let errno = |errno| ToolError::Kernel { action, object: object.to_owned(), errno };
        self.map_err(|error| match error {
            ProcError::PermissionDenied(_) => errno(Errno::EACCES),
            ProcError::NotFound(_) => errno(Errno::ENOENT),
            ProcError::Io(error, _) if error.raw_os_error().is_some() => {
                errno(Errno::from_raw(error.raw_os_error().unwrap_or_default()))
            }
            _ => ToolError::Form { action, object: object.to_owned() },
        })
    }
}
