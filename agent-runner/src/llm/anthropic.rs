//! The wire format of Anthropic's messages.

use reqwest::header::HeaderName;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    assembly::Assembly,
    conversation::{Answer, Conversation, Message, Reply, Stop},
    error::ModelError,
    http::{ApiKey, ConnectError, Connection, Taken},
    model::{Model, Sampling},
    refusal,
};
use crate::agent::Surroundings;

/// The version of the format that this speaks.
const VERSION: &str = "2023-06-01";
/// Tokens of a reply where no limit is given: the format wants one.
const MAX_TOKENS: u32 = 8192;

/// A model behind Anthropic's interface.
#[derive(Debug)]
pub struct Anthropic {
    connection: Connection,
    name: String,
    sampling: Sampling,
}

impl Anthropic {
    /// Where Anthropic itself answers.
    pub(crate) const BASE_URL: &str = "https://api.anthropic.com";

    /// A model of this name; `/v1/messages` is added to the base address, which is Anthropic's own
    /// where there is none. The format has no seed.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; the server is not asked yet.
    pub fn new(
        name: &str,
        base_url: Option<&str>,
        key: Option<ApiKey>,
        sampling: Sampling,
    ) -> Result<Self, ConnectError> {
        let header = (HeaderName::from_static("x-api-key"), "");
        let connection =
            Connection::new(base_url.unwrap_or(Self::BASE_URL), "/v1/messages", key, header)?
                .with_header("anthropic-version", VERSION);
        Ok(Self { connection, name: name.to_owned(), sampling })
    }

    fn request(&self, conversation: &Conversation) -> Value {
        let messages: Vec<Value> = conversation.messages.iter().map(message).collect();
        let mut request = json!({
            "model": self.name,
            "max_tokens": self.sampling.max_tokens.unwrap_or(MAX_TOKENS),
            "system": conversation.system,
            "messages": messages,
            "stream": true,
        });
        if !conversation.tools.is_empty() {
            let tools = conversation.tools.iter();
            request["tools"] = tools
                .map(|tool| {
                    let schema = tool.schema();
                    json!({ "name": tool.name, "description": tool.doc, "input_schema": schema })
                })
                .collect();
        }
        if let Some(temperature) = self.sampling.temperature {
            request["temperature"] = temperature.into();
        }
        request
    }
}

fn message(message: &Message) -> Value {
    match message {
        Message::User(text) => json!({ "role": "user", "content": text }),
        Message::Reply(reply) => {
            let mut content = Vec::new();
            // A text without a word in it is refused.
            if !reply.text.trim().is_empty() {
                content.push(json!({ "type": "text", "text": reply.text }));
            }
            content.extend(reply.calls.iter().map(|call| {
                json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": call.echo() })
            }));
            json!({ "role": "assistant", "content": content })
        }
        Message::Answers(answers) => {
            let content: Vec<Value> = answers.iter().map(answer).collect();
            json!({ "role": "user", "content": content })
        }
    }
}

fn answer(answer: &Answer) -> Value {
    json!({
        "type": "tool_result",
        "tool_use_id": answer.id,
        "content": answer.text(),
        "is_error": !answer.result.ok,
    })
}

impl Model for Anthropic {
    fn reply(
        &mut self,
        conversation: &Conversation,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Reply, ModelError> {
        let mut assembly = Assembly::default();
        let request = self.request(conversation);
        let streamed = self.connection.stream(&request, surroundings, |_, data, surroundings| {
            let event = serde_json::from_str(data)
                .map_err(|error| ModelError::broken(format!("an event is not read: {error}")))?;
            add(&mut assembly, event, surroundings)
        });
        assembly.finish(streamed)
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        index: u64,
        content_block: Block,
    },
    ContentBlockDelta {
        index: u64,
        delta: Delta,
    },
    MessageDelta {
        delta: End,
        usage: Option<Tokens>,
    },
    MessageStop,
    Error {
        error: Value,
    },
    /// A `ping`, the end of a block, and what later versions add.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Start {
    model: Option<String>,
    usage: Option<Tokens>,
}

#[derive(Default, Deserialize)]
struct Tokens {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        /// Empty, and followed by pieces; but whole with some gateways.
        #[serde(default)]
        input: Map<String, Value>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct End {
    stop_reason: Option<String>,
}

/// Adds an event of the stream.
fn add(
    assembly: &mut Assembly,
    event: Event,
    surroundings: &mut Surroundings<'_>,
) -> Result<Taken, ModelError> {
    match event {
        Event::MessageStart { message } => {
            assembly.reply.model = message.model.unwrap_or_default();
            count(assembly, message.usage);
        }
        Event::ContentBlockStart { index, content_block } => match content_block {
            Block::Text { text } => assembly.say(&text, surroundings),
            Block::ToolUse { id, name, input } => {
                let call = assembly.call(index)?;
                (call.id, call.name) = (id, name);
                if !input.is_empty() {
                    call.arguments = Value::Object(input).to_string();
                }
            }
            Block::Other => {}
        },
        Event::ContentBlockDelta { index, delta } => match delta {
            Delta::Text { text } => assembly.say(&text, surroundings),
            Delta::InputJson { partial_json } => {
                assembly.call(index)?.arguments.push_str(&partial_json);
            }
            Delta::Thinking { thinking } => assembly.reply.reasoning.push_str(&thinking),
            Delta::Other => {}
        },
        Event::MessageDelta { delta, usage } => {
            count(assembly, usage);
            match delta.stop_reason.as_deref() {
                Some("max_tokens" | "model_context_window_exceeded") => {
                    assembly.reply.stop = Stop::Length;
                }
                Some("refusal") => assembly.reply.stop = Stop::Refused,
                _ => {}
            }
        }
        Event::MessageStop => {
            assembly.ended = true;
            return Ok(Taken::Last);
        }
        Event::Error { error } => return Err(refusal::in_stream(&error)),
        Event::Other => {}
    }
    Ok(Taken::More)
}

/// Counts are of the whole reply so far; what was read from a cache was read.
fn count(assembly: &mut Assembly, tokens: Option<Tokens>) {
    let tokens = tokens.unwrap_or_default();
    let parts =
        [tokens.input_tokens, tokens.cache_creation_input_tokens, tokens.cache_read_input_tokens];
    if tokens.input_tokens.is_some() {
        assembly.reply.usage.input = Some(parts.into_iter().flatten().sum());
    }
    if tokens.output_tokens.is_some() {
        assembly.reply.usage.output = tokens.output_tokens;
    }
}
