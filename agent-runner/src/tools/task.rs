//! What crosses the border into the sandbox and back: a call as a payload, its result as JSON.

use std::io;

use nix::{errno::Errno, unistd::write};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Tool, ToolResult, Way, raw::Raw};

/// Most bytes of a result that the runner reads back: room for a file of
/// [`super::OUTPUT_LIMIT_BYTES`] with every byte escaped.
pub(crate) const RESULT_LIMIT_BYTES: usize = 8 * super::OUTPUT_LIMIT_BYTES;

/// One call on its way into the sandbox.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    tool: String,
    arguments: Value,
}

/// The payload of a call, for the spawner.
#[must_use]
pub fn payload(tool: &Tool, arguments: &Value) -> String {
    serde_json::json!({ "tool": tool.name, "arguments": arguments }).to_string()
}

/// Performs a call in this process, with whatever this process may do.
#[must_use]
pub fn perform(payload: &str) -> ToolResult {
    let Payload { tool, arguments } = match serde_json::from_str(payload) {
        Ok(payload) => payload,
        Err(error) => return ToolResult::failed(&format!("bad payload: {error}")),
    };
    match Tool::named(&tool).map(|tool| tool.way) {
        Some(Way::Task(task)) => (task.perform)(&arguments).into(),
        Some(Way::Shell | Way::Report) | None => {
            ToolResult::failed(&format!("`{tool}` is not performed by a task"))
        }
    }
}

/// What the spawner's child does with a task: performs the call and writes the result as one line
/// of JSON to standard output. Returns the child's exit code, 0 unless the result could not be
/// written; that the tool failed is in the result.
#[must_use]
pub fn perform_task(payload: &str) -> i32 {
    if let Some(raw) = Raw::parse(payload) {
        return raw.perform();
    }
    let mut line =
        serde_json::to_string(&perform(payload)).expect("a result is made of JSON values only");
    line.push('\n');
    // The child is a fork of the spawner: the buffers of its standard output are not the child's
    // to flush, so the file descriptor is written to directly.
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        match write(io::stdout(), rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::EINTR) => {}
            Err(_) => return 1,
        }
    }
    0
}
