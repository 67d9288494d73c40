//! `transcript.jsonl`: what the agent was told, what it called and what came back, in order.

use serde::{Deserialize, Serialize};

/// One line of the transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// CLOCK_BOOTTIME, nanoseconds.
    pub boot_ns: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What a line of the transcript tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A message to or from the agent.
    Message {
        /// `system`, `user`, `assistant`, or `reasoning` for what a model thought aloud.
        role: String,
        /// The text.
        text: String,
    },
    /// A tool call begins.
    Call {
        /// The call's number in the run, from 1.
        call: u64,
        /// The tool's name.
        tool: String,
        /// The arguments as the agent gave them.
        arguments: serde_json::Value,
    },
    /// A tool call ended.
    Result {
        /// The call's number.
        call: u64,
        /// Whether the tool did what it was asked.
        ok: bool,
        /// What it gave back.
        value: serde_json::Value,
        /// Wall time of the call, nanoseconds.
        duration_ns: u64,
    },
    /// A language model gave a reply: what it took.
    Reply {
        /// The model, as its server names it.
        model: String,
        /// Why the reply ended: `done`, `length` (of tokens), `refused`.
        stop: String,
        /// Tokens read; absent where the server does not count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input_tokens: Option<u64>,
        /// Tokens written; likewise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_tokens: Option<u64>,
        /// Wall time from the request to the reply's end, nanoseconds.
        duration_ns: u64,
    },
    /// Something that the harness did or noticed.
    Note {
        /// In words.
        text: String,
    },
}
