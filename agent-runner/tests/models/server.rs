//! A scripted server of one wire format, and an agent that asks it.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use agent_runner::{
    AgentEnd,
    llm::{Anthropic, ApiKey, Budget, LlmAgent, Model, OpenAi, Retries, Sampling},
    tools::tools_for,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

use crate::plain::Bench;

/// The key that the agents have.
pub(crate) const KEY: &str = "sk-0123456789";

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Anthropic,
}

pub(crate) const DIALECTS: [Dialect; 2] = [Dialect::OpenAi, Dialect::Anthropic];

/// A call in a reply: id, tool, arguments as text.
pub(crate) type Call<'a> = (&'a str, &'a str, &'a str);

impl Dialect {
    /// A stream of events that is a whole reply; text and arguments come in pieces.
    pub(crate) fn stream(self, text: &str, calls: &[Call<'_>]) -> String {
        let why = match (self, calls) {
            (Self::OpenAi, []) => "stop",
            (Self::OpenAi, _) => "tool_calls",
            (Self::Anthropic, []) => "end_turn",
            (Self::Anthropic, _) => "tool_use",
        };
        self.stream_until(text, calls, why)
    }

    /// The same with another reason for its end.
    pub(crate) fn stream_until(self, text: &str, calls: &[Call<'_>], why: &str) -> String {
        let events = match self {
            Self::OpenAi => openai(text, calls, why),
            Self::Anthropic => anthropic(text, calls, why),
        };
        events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", kind(event))).collect()
    }

    /// The results that a request carries, by call id.
    pub(crate) fn answers(self, request: &Value) -> Vec<(String, Value)> {
        let messages = request["messages"].as_array().unwrap().iter();
        let pairs: Vec<(&Value, &Value)> = match self {
            Self::OpenAi => messages
                .filter(|message| message["role"] == "tool")
                .map(|message| (&message["tool_call_id"], &message["content"]))
                .collect(),
            Self::Anthropic => messages
                .flat_map(|message| message["content"].as_array().into_iter().flatten())
                .filter(|block| block["type"] == "tool_result")
                .map(|block| (&block["tool_use_id"], &block["content"]))
                .collect(),
        };
        pairs
            .into_iter()
            .map(|(id, content)| {
                let content = serde_json::from_str(content.as_str().unwrap()).unwrap();
                (id.as_str().unwrap().to_owned(), content)
            })
            .collect()
    }

    /// Names of the tools that a request offers.
    pub(crate) fn tools(self, request: &Value) -> Vec<String> {
        let tools = request["tools"].as_array().unwrap().iter();
        let names = tools.map(|tool| match self {
            Self::OpenAi => tool["function"]["name"].as_str().unwrap().to_owned(),
            Self::Anthropic => tool["name"].as_str().unwrap().to_owned(),
        });
        names.collect()
    }

    fn model(self, base_url: &str) -> Box<dyn Model> {
        let key = Some(ApiKey::new(KEY).unwrap());
        let sampling = Sampling { temperature: Some(0.5), max_tokens: Some(99), seed: 7 };
        match self {
            Self::OpenAi => Box::new(OpenAi::new("m", Some(base_url), key, sampling).unwrap()),
            Self::Anthropic => {
                Box::new(Anthropic::new("m", Some(base_url), key, sampling).unwrap())
            }
        }
    }
}

fn kind(event: &str) -> String {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    event["type"].as_str().unwrap_or("message").to_owned()
}

/// A text in two pieces.
fn halves(text: &str) -> [&str; 2] {
    let (head, tail) = text.split_at(text.floor_char_boundary(text.len() / 2));
    [head, tail]
}

fn openai(text: &str, calls: &[Call<'_>], why: &str) -> Vec<String> {
    let chunk = |delta: Value, why: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": why });
        json!({ "object": "chat.completion.chunk", "model": "m-1", "choices": [choice] })
            .to_string()
    };
    let mut events = vec![chunk(json!({ "role": "assistant", "content": "" }), None)];
    events.extend(halves(text).map(|piece| chunk(json!({ "content": piece }), None)));
    for (index, (id, name, arguments)) in calls.iter().enumerate() {
        let [head, tail] = halves(arguments);
        let call = json!({
            "index": index, "id": id, "type": "function",
            "function": { "name": name, "arguments": head },
        });
        events.push(chunk(json!({ "tool_calls": [call] }), None));
        let rest = json!({ "index": index, "function": { "arguments": tail } });
        events.push(chunk(json!({ "tool_calls": [rest] }), None));
    }
    events.push(chunk(json!({}), Some(why)));
    let usage = json!({ "prompt_tokens": 11, "completion_tokens": 5 });
    events.push(json!({ "model": "m-1", "choices": [], "usage": usage }).to_string());
    events.push("[DONE]".to_owned());
    events
}

fn anthropic(text: &str, calls: &[Call<'_>], why: &str) -> Vec<String> {
    let mut events = vec![
        json!({ "type": "message_start", "message": { "model": "m-1", "usage": { "input_tokens": 11, "output_tokens": 1 } } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "ping" }),
    ];
    events.extend(halves(text).map(|piece| {
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": piece } })
    }));
    events.push(json!({ "type": "content_block_stop", "index": 0 }));
    for (index, (id, name, arguments)) in (1..).zip(calls) {
        let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
        events
            .push(json!({ "type": "content_block_start", "index": index, "content_block": block }));
        events.extend(halves(arguments).map(|piece| {
            json!({ "type": "content_block_delta", "index": index, "delta": { "type": "input_json_delta", "partial_json": piece } })
        }));
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    events.push(json!({ "type": "message_delta", "delta": { "stop_reason": why }, "usage": { "output_tokens": 5 } }));
    events.push(json!({ "type": "message_stop" }));
    events.iter().map(Value::to_string).collect()
}

/// A stream as an HTTP answer.
pub(crate) fn streamed(body: impl Into<String>) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body.into(), "text/event-stream; charset=utf-8")
}

/// An error as an HTTP answer.
pub(crate) fn refused(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({ "error": { "message": message } }))
}

/// Gives each request the next answer.
struct Script(Mutex<VecDeque<ResponseTemplate>>);

impl Respond for Script {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let next = self.0.lock().unwrap().pop_front();
        next.unwrap_or_else(|| refused(400, "the script is over"))
    }
}

/// A server that gives these answers, one a request.
pub(crate) struct Server {
    runtime: Runtime,
    mock: MockServer,
}

impl Server {
    pub(crate) fn new(answers: impl IntoIterator<Item = ResponseTemplate>) -> Self {
        let runtime = Runtime::new().unwrap();
        let script = Script(Mutex::new(answers.into_iter().collect()));
        let mock = runtime.block_on(async {
            let mock = MockServer::start().await;
            Mock::given(any()).respond_with(script).mount(&mock).await;
            mock
        });
        Self { runtime, mock }
    }

    /// Bodies of the requests so far.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.raw().iter().map(|request| request.body_json().unwrap()).collect()
    }

    pub(crate) fn raw(&self) -> Vec<Request> {
        self.runtime.block_on(self.mock.received_requests()).unwrap()
    }

    pub(crate) fn url(&self) -> String {
        self.mock.uri()
    }
}

/// As many turns as anybody wants.
pub(crate) const PLENTY: Budget = Budget { turns: 20, tokens: None, money: None };

/// Three retries that come at once.
pub(crate) const RETRIES: Retries =
    Retries { times: 3, first: Duration::from_millis(1), longest: Duration::from_secs(2) };

/// Runs an agent against a server.
pub(crate) fn run(bench: &mut Bench, dialect: Dialect, url: &str, budget: Budget) -> AgentEnd {
    let tools = tools_for(bench.tier);
    let mut agent = LlmAgent::new(dialect.model(url), "Look around.", tools, budget, RETRIES);
    bench.session(|session| session.run_agent(&mut agent)).unwrap()
}

/// The same in a conversation in which the user asks for more.
pub(crate) fn converse(bench: &mut Bench, dialect: Dialect, url: &str, more: &str) -> AgentEnd {
    let tools = tools_for(bench.tier);
    let model = dialect.model(url);
    let agent = LlmAgent::new(model, "Look around.", tools, PLENTY, RETRIES);
    let further = [more.to_owned()];
    bench
        .session(|session| session.with_further(further).run_agent(&mut agent.in_conversation()))
        .unwrap()
}

/// The transcript as text, an event a line.
pub(crate) fn transcript(bench: &Bench) -> Vec<String> {
    bench.events().iter().map(|event| json!(event).to_string()).collect()
}
