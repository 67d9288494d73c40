//! `transcript.jsonl`: what the agent was told, what it called and what came back, in order.

use serde::{Deserialize, Serialize};

use crate::question::{Answer, Decision, Question};

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
    /// A program in the sandbox asks a model, through the proxy.
    ModelRequest {
        /// The request's number in the run, from 1.
        request: u64,
        /// The call whose process holds the connection; null where none was found to hold it.
        call: Option<u64>,
        /// That process; likewise.
        tgid: Option<u32>,
        /// Method, path and query, `POST /v1/messages`.
        line: String,
        /// The body: as JSON, else as text. Null where it was not read.
        body: serde_json::Value,
        /// What the body holds besides: parts that an earlier request's body has as well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repeats: Option<Repeats>,
        /// Bytes of the body.
        body_bytes: u64,
        /// Whether `body` is a text that was cut.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        truncated: bool,
    },
    /// What came back of such a request.
    ModelResponse {
        /// The request's number.
        request: u64,
        /// The HTTP status; null where the model's server gave none.
        status: Option<u16>,
        /// Why the proxy answered itself and did not ask the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<String>,
        /// Why the answer is not whole. `body` is then what had come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        broken: Option<String>,
        /// Whether it came as a stream of events; `body` is then the reply that they make up.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        streamed: bool,
        /// The body: as JSON, else as text.
        body: serde_json::Value,
        /// Bytes of the body as it came.
        body_bytes: u64,
        /// Whether `body` is a text that was cut.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        truncated: bool,
        /// Tokens read; absent where the server does not count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input_tokens: Option<u64>,
        /// Tokens written; likewise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_tokens: Option<u64>,
        /// Wall time from the request to the end, nanoseconds.
        duration_ns: u64,
    },
    /// The policy asks whether an act may be; its call stands still.
    Question(Box<Question>),
    /// A question was answered, or nobody did.
    Answer(Answer),
    /// A person froze, resumed or ended something.
    Decision(Decision),
    /// Another policy was to be put in the place of the run's.
    Reload {
        /// Number of the policy from here on; absent where it was refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<u64>,
        /// SHA-256 of the policy in force before, hexadecimal.
        old_sha256: String,
        /// SHA-256 of the other one, hexadecimal.
        new_sha256: String,
        /// Who, as far as known.
        who: String,
        /// What came of it beside the table, or why it was refused.
        detail: String,
    },
    /// Something that the harness did or noticed.
    Note {
        /// In words.
        text: String,
    },
}

/// What a request's body has in common with that of an earlier one: a conversation is sent whole each
/// time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    /// The earlier request, which may repeat another in turn.
    pub request: u64,
    /// Members of the body that are the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// How many messages (or items of `input`) from the first on are the same.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub messages: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
