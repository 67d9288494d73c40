//! A reply made of the events of its stream, in the form that it has when it is not streamed.

use serde_json::{Map, Value, json};

use super::dialect::Asked;

/// Pieces of text that are put together; every other text is said anew.
const GROWING: [&str; 6] =
    ["arguments", "content", "reasoning", "reasoning_content", "refusal", "text"];

/// Why events make no whole reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// One cannot be read.
    #[error("an event is no JSON: {0}")]
    Event(String),
    /// They end too early.
    #[error("the stream ended before the reply did")]
    Early,
    /// The server says so.
    #[error("the server reports an error: {0}")]
    Error(String),
}

/// The reply that the data of events make up.
pub(crate) fn reply<'a>(
    asked: Asked,
    events: impl IntoIterator<Item = &'a str>,
) -> Result<Value, Broken> {
    let events = events.into_iter().filter(|data| !matches!(data.trim(), "" | "[DONE]"));
    let events =
        events.map(|data| serde_json::from_str(data).map_err(|it| Broken::Event(it.to_string())));
    match asked {
        Asked::Message => message(events),
        Asked::Response => response(events),
        Asked::Completion | Asked::Embedding | Asked::Nothing => completion(events),
    }
}

fn error(event: &Value) -> Result<(), Broken> {
    match event.get("error") {
        None | Some(Value::Null) => Ok(()),
        Some(error) => Err(Broken::Error(
            error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned),
        )),
    }
}

/// Chunks of a completion: each choice grows by its deltas.
fn completion(events: impl Iterator<Item = Result<Value, Broken>>) -> Result<Value, Broken> {
    let mut whole = json!({});
    for event in events {
        let event = event?;
        error(&event)?;
        merge(&mut whole, event, "");
    }
    let choices = whole["choices"].as_array_mut().filter(|choices| !choices.is_empty());
    let choices = choices.ok_or(Broken::Early)?;
    for choice in choices {
        if choice.get("finish_reason").is_none_or(Value::is_null) {
            return Err(Broken::Early);
        }
        let delta = choice.as_object_mut().and_then(|choice| choice.remove("delta"));
        if let Some(mut message) = delta {
            for call in message["tool_calls"].as_array_mut().into_iter().flatten() {
                call.as_object_mut().map(|call| call.remove("index"));
            }
            if message["tool_calls"].is_null()
                && let Some(message) = message.as_object_mut()
            {
                message.remove("tool_calls");
            }
            choice["message"] = message;
        }
    }
    if whole["object"] == "chat.completion.chunk" {
        whole["object"] = "chat.completion".into();
    }
    Ok(whole)
}

/// Adds a piece to what is there. Items of lists belong together by their `index`.
fn merge(whole: &mut Value, piece: Value, name: &str) {
    match (whole, piece) {
        (_, Value::Null) => {}
        (Value::String(text), Value::String(more)) => {
            if GROWING.contains(&name) {
                text.push_str(&more);
            } else if !more.is_empty() {
                *text = more;
            }
        }
        (Value::Object(whole), Value::Object(piece)) => {
            for (name, piece) in piece {
                merge(whole.entry(&name).or_insert(Value::Null), piece, &name);
            }
        }
        (whole @ Value::Null, Value::Array(items)) => {
            *whole = Value::Array(Vec::new());
            merge(whole, Value::Array(items), name);
        }
        (Value::Array(whole), Value::Array(items)) => {
            for item in items {
                let index = item.get("index").filter(|index| index.is_number()).cloned();
                let known = index.and_then(|index| {
                    whole.iter_mut().find(|known| known.get("index") == Some(&index))
                });
                match known {
                    Some(known) => merge(known, item, ""),
                    None => whole.push(item),
                }
            }
        }
        (whole, piece) => *whole = piece,
    }
}

/// The last event of OpenAI's responses holds the whole.
fn response(events: impl Iterator<Item = Result<Value, Broken>>) -> Result<Value, Broken> {
    for event in events {
        let mut event = event?;
        match event["type"].as_str() {
            Some("response.completed" | "response.incomplete" | "response.failed") => {
                return Ok(event["response"].take());
            }
            Some("error") => {
                let message = event["message"].as_str().unwrap_or("without a word");
                return Err(Broken::Error(message.to_owned()));
            }
            _ => {}
        }
    }
    Err(Broken::Early)
}

/// Events of a message: blocks begin, grow and end.
fn message(events: impl Iterator<Item = Result<Value, Broken>>) -> Result<Value, Broken> {
    let mut whole = Value::Null;
    let mut blocks: Vec<Block> = Vec::new();
    for event in events {
        let mut event = event?;
        let index = event["index"].as_u64();
        match event["type"].as_str() {
            Some("message_start") => whole = event["message"].take(),
            Some("content_block_start") => blocks.push(Block {
                index,
                value: event["content_block"].take(),
                input: String::new(),
            }),
            Some("content_block_delta") => {
                if let Some(block) = blocks.iter_mut().find(|block| block.index == index) {
                    block.add(event["delta"].take());
                }
            }
            Some("message_delta") => {
                for part in [event["delta"].take(), json!({ "usage": event["usage"].take() })] {
                    merge(&mut whole, part, "");
                }
            }
            Some("message_stop") if whole.is_object() => {
                whole["content"] = blocks.into_iter().map(Block::finish).collect();
                return Ok(whole);
            }
            Some("error") => error(&event)?,
            _ => {}
        }
    }
    Err(Broken::Early)
}

/// A block of a message that may still grow.
struct Block {
    index: Option<u64>,
    value: Value,
    /// Pieces of a call's arguments.
    input: String,
}

impl Block {
    fn add(&mut self, delta: Value) {
        let Value::Object(delta) = delta else { return };
        let Value::Object(block) = &mut self.value else { return };
        for (name, piece) in delta {
            match (name.as_str(), piece) {
                ("type", _) => {}
                ("partial_json", Value::String(piece)) => self.input.push_str(&piece),
                ("citation", piece) => push(block, "citations", piece),
                (_, Value::String(piece)) => match block.get_mut(&name) {
                    Some(Value::String(text)) => text.push_str(&piece),
                    _ => drop(block.insert(name, piece.into())),
                },
                (_, piece) => drop(block.insert(name, piece)),
            }
        }
    }

    fn finish(mut self) -> Value {
        if !self.input.is_empty() {
            // Arguments that are no JSON stay the text that they are.
            self.value["input"] =
                serde_json::from_str(&self.input).unwrap_or(Value::String(self.input));
        }
        self.value
    }
}

fn push(block: &mut Map<String, Value>, name: &str, item: Value) {
    match block.get_mut(name) {
        Some(Value::Array(items)) => items.push(item),
        _ => drop(block.insert(name.to_owned(), Value::Array(vec![item]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(asked: Asked, events: &[Value]) -> Result<Value, Broken> {
        let events: Vec<String> = events.iter().map(Value::to_string).collect();
        reply(asked, events.iter().map(String::as_str))
    }

    #[test]
    fn chunks_become_the_completion_that_they_are_pieces_of() {
        let chunk = |choice: Value| json!({ "id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice] });
        let call = |index: u64, function: Value| json!({ "index": index, "id": format!("call-{index}"), "function": function });
        let delta =
            |delta: Value| chunk(json!({ "index": 0, "delta": delta, "finish_reason": null }));
        let events = [
            delta(json!({ "role": "assistant", "content": "Hel" })),
            delta(json!({ "content": "lo" })),
            delta(
                json!({ "tool_calls": [call(0, json!({ "name": "a", "arguments": "{\"x\"" }))] }),
            ),
            delta(json!({ "tool_calls": [call(1, json!({ "name": "b", "arguments": "{}" }))] })),
            delta(json!({ "tool_calls": [call(0, json!({ "arguments": ":1}" }))] })),
            chunk(json!({ "index": 1, "delta": { "content": "other" }, "finish_reason": "stop" })),
            chunk(json!({ "index": 0, "delta": {}, "finish_reason": "tool_calls" })),
            json!({ "choices": [], "usage": { "prompt_tokens": 3, "completion_tokens": 2 } }),
        ];
        let whole = made(Asked::Completion, &events).unwrap();
        let first = &whole["choices"][0];
        assert_eq!(first["message"]["content"], "Hello");
        assert_eq!(
            first["message"]["tool_calls"],
            json!([
                { "id": "call-0", "function": { "name": "a", "arguments": "{\"x\":1}" } },
                { "id": "call-1", "function": { "name": "b", "arguments": "{}" } },
            ])
        );
        assert_eq!(whole["choices"][1]["message"], json!({ "content": "other" }));
        assert_eq!((&whole["usage"]["prompt_tokens"], &whole["model"]), (&json!(3), &json!("m")));
        assert_eq!(made(Asked::Completion, &events[..6]), Err(Broken::Early));
        assert_eq!(made(Asked::Completion, &[]), Err(Broken::Early));
        let error = json!({ "error": { "message": "No." } });
        assert_eq!(made(Asked::Completion, &[error]), Err(Broken::Error("No.".to_owned())));
        assert!(matches!(reply(Asked::Completion, ["{\"half"]), Err(Broken::Event(_))));
    }

    #[test]
    fn events_become_the_message_that_they_are_pieces_of() {
        let events = [
            json!({ "type": "message_start", "message": { "model": "m", "content": [], "usage": { "input_tokens": 3, "output_tokens": 1 } } }),
            json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "thinking", "thinking": "" } }),
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "thinking_delta", "thinking": "Hm." } }),
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "signature_delta", "signature": "s" } }),
            json!({ "type": "content_block_start", "index": 1, "content_block": { "type": "tool_use", "id": "t", "name": "a", "input": {} } }),
            json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": "{\"x\"" } }),
            json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": ":1}" } }),
            json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 9 } }),
            json!({ "type": "message_stop" }),
        ];
        let whole = made(Asked::Message, &events).unwrap();
        assert_eq!(
            whole,
            json!({
                "model": "m",
                "content": [
                    { "type": "thinking", "thinking": "Hm.", "signature": "s" },
                    { "type": "tool_use", "id": "t", "name": "a", "input": { "x": 1 } },
                ],
                "stop_reason": "tool_use",
                "usage": { "input_tokens": 3, "output_tokens": 9 },
            })
        );
        assert_eq!(made(Asked::Message, &events[..8]), Err(Broken::Early));
    }

    #[test]
    fn the_last_event_of_responses_is_the_whole() {
        let events = [
            json!({ "type": "response.output_text.delta", "delta": "Hi" }),
            json!({ "type": "response.completed", "response": { "id": "r" } }),
        ];
        assert_eq!(made(Asked::Response, &events), Ok(json!({ "id": "r" })));
        assert_eq!(made(Asked::Response, &events[..1]), Err(Broken::Early));
    }
}
