//! The wire format of OpenAI's chat completions, which most other servers speak as well.

use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    assembly::Assembly,
    conversation::{Conversation, Message, Reply, Stop, Usage},
    error::ModelError,
    http::{ApiKey, ConnectError, Connection, Taken},
    model::{Model, Sampling},
    refusal,
};
use crate::agent::Surroundings;

/// A model behind an OpenAI-compatible server.
#[derive(Debug)]
pub struct OpenAi {
    connection: Connection,
    name: String,
    sampling: Sampling,
    /// OpenAI's own newer models take the limit of tokens under another name than everybody else.
    limit_key: &'static str,
}

impl OpenAi {
    /// Where OpenAI itself answers.
    pub(crate) const BASE_URL: &str = "https://api.openai.com/v1";

    /// A model of this name; `/chat/completions` is added to the base address, which is OpenAI's own
    /// where there is none.
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
        let connection = Connection::new(
            base_url.unwrap_or(Self::BASE_URL),
            "/chat/completions",
            key,
            (AUTHORIZATION, "Bearer "),
        )?;
        let limit_key = if base_url.is_some() { "max_tokens" } else { "max_completion_tokens" };
        Ok(Self { connection, name: name.to_owned(), sampling, limit_key })
    }

    fn request(&self, conversation: &Conversation) -> Value {
        let mut messages = vec![json!({ "role": "system", "content": conversation.system })];
        for message in &conversation.messages {
            match message {
                Message::User(text) => messages.push(json!({ "role": "user", "content": text })),
                Message::Reply(reply) => messages.push(assistant(reply)),
                Message::Answers(answers) => messages.extend(answers.iter().map(|answer| {
                    json!({ "role": "tool", "tool_call_id": answer.id, "content": answer.text() })
                })),
            }
        }
        let mut request = json!({
            "model": self.name,
            "messages": messages,
            "stream": true,
            "stream_options": { "include_usage": true },
            "seed": self.sampling.seed,
        });
        if !conversation.tools.is_empty() {
            let tools = conversation.tools.iter();
            request["tools"] = tools
                .map(|tool| json!({ "type": "function", "function": tool.declaration() }))
                .collect();
        }
        if let Some(temperature) = self.sampling.temperature {
            request["temperature"] = temperature.into();
        }
        if let Some(limit) = self.sampling.max_tokens {
            request[self.limit_key] = limit.into();
        }
        request
    }
}

fn assistant(reply: &Reply) -> Value {
    let mut message = json!({ "role": "assistant", "content": reply.text });
    if !reply.calls.is_empty() {
        let calls = reply.calls.iter().map(|call| {
            json!({
                "id": call.id,
                "type": "function",
                "function": { "name": call.name, "arguments": call.echo().to_string() },
            })
        });
        message["tool_calls"] = calls.collect();
    }
    message
}

impl Model for OpenAi {
    fn reply(
        &mut self,
        conversation: &Conversation,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Reply, ModelError> {
        let mut assembly = Assembly::default();
        let request = self.request(conversation);
        let streamed = self.connection.stream(&request, surroundings, |_, data, surroundings| {
            if data.trim() == "[DONE]" {
                return Ok(Taken::Last);
            }
            let chunk = serde_json::from_str(data)
                .map_err(|error| ModelError::broken(format!("an event is no JSON: {error}")))?;
            add(&mut assembly, chunk, surroundings)?;
            Ok(Taken::More)
        });
        assembly.finish(streamed)
    }
}

#[derive(Deserialize)]
struct Chunk {
    model: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<Tokens>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
    // Not of OpenAI's own; servers differ in the name.
    #[serde(alias = "reasoning")]
    reasoning_content: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    index: Option<u64>,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

/// Adds a piece of the stream.
fn add(
    assembly: &mut Assembly,
    chunk: Chunk,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), ModelError> {
    if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
        return Err(refusal::in_stream(&error));
    }
    if let Some(model) = chunk.model {
        assembly.reply.model = model;
    }
    if let Some(Tokens { prompt_tokens, completion_tokens }) = chunk.usage {
        assembly.reply.usage = Usage { input: prompt_tokens, output: completion_tokens };
    }
    // One choice is asked for.
    let Some(choice) = chunk.choices.unwrap_or_default().into_iter().next() else { return Ok(()) };
    if let Some(delta) = choice.delta {
        assembly.reply.reasoning.push_str(&delta.reasoning_content.unwrap_or_default());
        assembly.say(&delta.content.unwrap_or_default(), surroundings);
        if let Some(refusal) = delta.refusal.filter(|refusal| !refusal.is_empty()) {
            assembly.say(&refusal, surroundings);
            assembly.reply.stop = Stop::Refused;
        }
        for call in delta.tool_calls.unwrap_or_default() {
            add_call(assembly, call)?;
        }
    }
    if let Some(reason) = choice.finish_reason {
        assembly.ended = true;
        match reason.as_str() {
            "length" => assembly.reply.stop = Stop::Length,
            "content_filter" => assembly.reply.stop = Stop::Refused,
            _ => {}
        }
    }
    Ok(())
}

/// A server may leave out the number of a call; then an id tells that one begins.
fn add_call(assembly: &mut Assembly, delta: CallDelta) -> Result<(), ModelError> {
    let number = match (delta.index, &delta.id) {
        (Some(index), _) => index,
        (None, Some(_)) => assembly.next_number(),
        (None, None) => assembly.last_number().unwrap_or(0),
    };
    let call = assembly.call(number)?;
    if let Some(id) = delta.id.filter(|id| !id.is_empty()) {
        call.id = id;
    }
    let Some(function) = delta.function else { return Ok(()) };
    if let Some(name) = function.name.filter(|name| !name.is_empty()) {
        call.name = name;
    }
    call.arguments.push_str(&function.arguments.unwrap_or_default());
    Ok(())
}
