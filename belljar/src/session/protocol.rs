//! What is said over a session's socket: one JSON object a line, a [`Response`] to each [`Request`].

use std::collections::BTreeMap;

use agent_runner::{
    Exit,
    outside::{Fault, FaultKind, Output},
    signal_name,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Most bytes of one file, and of one stream, that a request can ask for or bring.
pub(super) const LIMIT_BYTES: usize = 100 << 20;
/// Most bytes of a stream that are kept where a request says nothing.
pub(super) const OUTPUT_BYTES: usize = 10 << 20;
/// Most bytes of a request: a file in base64, and something beside it.
pub(super) const LINE_BYTES: usize = LIMIT_BYTES / 3 * 4 + (1 << 20);

/// What a client asks for. All but `status` and `close` are calls of the run.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Request {
    /// Execute a program.
    Exec(Exec),
    /// Read a file.
    Read(Read),
    /// Write a file.
    Write(Write),
    /// Call a tool of the run's tier, as an agent does.
    Tool(Tool),
    /// Say which session this is.
    Status,
    /// End the session. The response comes when the run is judged.
    Close,
}

/// Executes a program.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Exec {
    /// The program, a path or a name to look up in the sandbox's `PATH`, and its arguments.
    pub(super) command: Vec<String>,
    /// What it reads from standard input, in base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) stdin_base64: String,
    /// Environment variables, added to the sandbox's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) environment: BTreeMap<String, String>,
    /// Where it begins, from the workspace on; the workspace itself where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cwd: Option<String>,
    /// After how long it is killed; 30 s where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) timeout_seconds: Option<f64>,
    /// How much of each of its streams is kept; 10 MiB where this is missing, 100 MiB at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) output_limit_bytes: Option<usize>,
}

/// Reads a file.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    /// The file, from the workspace on.
    pub(super) path: String,
    /// How many bytes it may have; 100 MiB where this is missing, which is the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) limit_bytes: Option<usize>,
}

/// Writes a file, in place.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Write {
    /// The file, from the workspace on.
    pub(super) path: String,
    /// What to write, in base64; 100 MiB at most.
    pub(super) content_base64: String,
    /// Whether to add to the file's end instead of replacing its content.
    #[serde(default)]
    pub(super) append: bool,
    /// Whether to make the directories above it that are missing.
    #[serde(default)]
    pub(super) parents: bool,
}

/// Calls a tool.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tool {
    /// Its name, see `belljar tools`.
    pub(super) name: String,
    /// Its arguments.
    pub(super) arguments: Value,
}

/// What comes of a request. Keys without a value are left out.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(super) struct Response {
    /// Whether it was done. A program that ran to its end was executed, whatever its exit code; a
    /// tool says itself.
    pub(super) ok: bool,
    /// The call's number in the run, where one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) call: Option<u64>,
    /// How long the call took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) duration_seconds: Option<f64>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Error>,
    /// How a program ended and what it wrote, until it was killed where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exec: Option<Executed>,
    /// A file's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) content_base64: Option<String>,
    /// How many bytes were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) written_bytes: Option<usize>,
    /// A tool's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<Value>,
    /// Which session this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<Session>,
    /// How the run was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) closed: Option<Closed>,
}

/// Why something was not done.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Error {
    /// In one word.
    pub(super) kind: ErrorKind,
    /// In a sentence.
    pub(super) message: String,
    /// The kernel's reason, such as `EACCES`, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) errno: Option<String>,
}

/// Why something was not done, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ErrorKind {
    /// The request is none, or asks for more than there is.
    BadRequest,
    /// The session is closed: no call was made.
    Closed,
    /// It took too long and was killed.
    Timeout,
    /// Its end was asked for, or the session ended.
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

/// How a program ended and what it wrote.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(super) struct Executed {
    /// Its exit code, as a shell would report it: 128 and the signal's number for a signal.
    pub(super) exit_code: i32,
    /// The signal that killed it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signal: Option<String>,
    /// Standard output, in base64.
    pub(super) stdout_base64: String,
    /// Whether more of it came than was kept.
    pub(super) stdout_truncated: bool,
    /// Standard error, in base64.
    pub(super) stderr_base64: String,
    /// Whether more of it came than was kept.
    pub(super) stderr_truncated: bool,
}

/// A session.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Session {
    /// The run's name.
    pub(super) run: String,
    /// The socket.
    pub(super) socket: String,
    /// The run directory.
    pub(super) directory: String,
    /// The directory that calls begin in.
    pub(super) workspace: String,
    /// The tier.
    pub(super) tier: u8,
    /// What an agent is asked to do there.
    pub(super) instruction: String,
}

/// How the run of a session was judged.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(super) struct Closed {
    /// What `belljar run` would exit with.
    pub(super) exit_code: u8,
    /// The run directory.
    pub(super) directory: String,
    /// `report.json`, or nothing where the run failed before there was one.
    pub(super) report: Value,
    /// The report for a terminal.
    pub(super) text: String,
    /// What else a person would have been told.
    pub(super) notices: Vec<String>,
}

impl Response {
    /// That it was not done.
    pub(super) fn refused(kind: ErrorKind, message: impl Into<String>) -> Self {
        let error = Error { kind, message: message.into(), errno: None };
        Self { error: Some(error), ..Self::default() }
    }
}

impl From<Fault> for Error {
    fn from(Fault { kind, message, errno }: Fault) -> Self {
        let kind = match kind {
            FaultKind::Timeout => ErrorKind::Timeout,
            FaultKind::Cancelled => ErrorKind::Cancelled,
            FaultKind::NotResumed => ErrorKind::NotResumed,
            FaultKind::NotFound => ErrorKind::NotFound,
            FaultKind::IsADirectory => ErrorKind::IsADirectory,
            FaultKind::NotADirectory => ErrorKind::NotADirectory,
            FaultKind::Refused => ErrorKind::Refused,
            FaultKind::PermissionDenied => ErrorKind::PermissionDenied,
            FaultKind::TooLarge => ErrorKind::TooLarge,
            FaultKind::NotExecutable => ErrorKind::NotExecutable,
            FaultKind::Failed => ErrorKind::Failed,
        };
        Self { kind, message, errno }
    }
}

impl From<Output> for Executed {
    fn from(output: Output) -> Self {
        let signal = match output.exit {
            Exit::Signal(signal) => Some(signal_name(signal)),
            Exit::Code(_) => None,
        };
        Self {
            exit_code: output.exit.as_shell(),
            signal,
            stdout_base64: encode(&output.stdout),
            stdout_truncated: output.stdout_truncated,
            stderr_base64: encode(&output.stderr),
            stderr_truncated: output.stderr_truncated,
        }
    }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub(super) fn decode(key: &str, text: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD.decode(text).map_err(|error| format!("{key} is no base64: {error}"))
}

/// The schema of requests and responses.
pub(super) fn schema() -> Value {
    let of = |schema: Schema| serde_json::to_value(schema).expect("a schema is JSON");
    json!({ "request": of(schema_for!(Request)), "response": of(schema_for!(Response)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_are_documented_and_unknown_keys_refused() {
        let text =
            r#"{"op":"exec","command":["true"],"environment":{"A":"b"},"timeout_seconds":2}"#;
        let Request::Exec(exec) = serde_json::from_str(text).unwrap() else { panic!() };
        assert_eq!((exec.command.len(), exec.timeout_seconds), (1, Some(2.0)));
        assert!(matches!(serde_json::from_str(r#"{"op":"close"}"#).unwrap(), Request::Close));
        for wrong in [
            r#"{"op":"exec","command":["true"],"timeout":2}"#,
            r#"{"op":"fly"}"#,
            r#"{"op":"write","path":"x"}"#,
        ] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_response_leaves_out_what_has_no_value() {
        let refused = Response::refused(ErrorKind::Closed, "no");
        let value = serde_json::to_value(&refused).unwrap();
        assert_eq!(value, json!({ "ok": false, "error": { "kind": "closed", "message": "no" } }));
    }
}
