//! The transcript as a conversation.

use journal::{Entry, transcript::Event};
use serde_json::{Value, json};

/// The messages in order. What a program in the sandbox asks a model is left out: its events have it.
pub(super) fn messages(transcript: &[Entry], instruction: &str) -> Vec<Value> {
    let mut messages: Vec<Value> = Vec::new();
    let is_told = transcript
        .iter()
        .any(|entry| matches!(&entry.event, Event::Message { role, .. } if role == "user"));
    if !is_told && !instruction.is_empty() {
        messages.push(json!({ "id": "instruction", "role": "user", "content": instruction, "source": "input" }));
    }
    for (at, entry) in transcript.iter().enumerate() {
        let id = format!("m{at}");
        match &entry.event {
            Event::Message { role, text } => match role.as_str() {
                "system" | "user" => {
                    messages.push(
                        json!({ "id": id, "role": role, "content": text, "source": "input" }),
                    );
                }
                "reasoning" => messages
                    .push(assistant(&id, &json!([{ "type": "reasoning", "reasoning": text }]))),
                _ => messages.push(assistant(&id, &text.as_str().into())),
            },
            Event::Call { call, tool, arguments } => {
                let called = json!({
                    "id": call_id(*call),
                    "function": tool,
                    "arguments": object(arguments),
                    "type": "function",
                });
                // Words and the calls that follow them are one message.
                match messages.last_mut().filter(|last| last["role"] == "assistant") {
                    Some(last) => match last["tool_calls"].as_array_mut() {
                        Some(calls) => calls.push(called),
                        None => last["tool_calls"] = json!([called]),
                    },
                    None => {
                        let mut message = assistant(&id, &"".into());
                        message["tool_calls"] = json!([called]);
                        messages.push(message);
                    }
                }
            }
            Event::Result { call, ok, value, .. } => {
                let mut message = json!({
                    "id": id,
                    "role": "tool",
                    "tool_call_id": call_id(*call),
                    "function": tool_of(transcript, *call),
                    "content": text(value),
                });
                if !ok {
                    message["error"] = failure(value);
                }
                messages.push(message);
            }
            Event::Reply { .. }
            | Event::ModelRequest { .. }
            | Event::ModelResponse { .. }
            | Event::Question(_)
            | Event::Answer(_)
            | Event::Decision(_)
            | Event::Reload { .. }
            | Event::Note { .. } => {}
        }
    }
    messages
}

fn assistant(id: &str, content: &Value) -> Value {
    json!({ "id": id, "role": "assistant", "content": content, "source": "generate" })
}

/// What the agent says in an entry.
pub(super) fn said(entry: &Entry) -> Option<&str> {
    match &entry.event {
        Event::Message { role, text } if role == "assistant" => Some(text),
        _ => None,
    }
}

/// The id of a call in messages, events and spans.
pub(super) fn call_id(call: u64) -> String {
    format!("call-{call}")
}

/// Inspect takes arguments only as an object.
pub(super) fn object(arguments: &Value) -> Value {
    if arguments.is_object() { arguments.clone() } else { json!({ "arguments": arguments }) }
}

/// A result as text.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn failure(value: &Value) -> Value {
    json!({ "type": "unknown", "message": text(value) })
}

fn tool_of(transcript: &[Entry], wanted: u64) -> String {
    let tool = transcript.iter().find_map(|entry| match &entry.event {
        Event::Call { call, tool, .. } if *call == wanted => Some(tool.clone()),
        _ => None,
    });
    tool.unwrap_or_default()
}
