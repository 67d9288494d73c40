//! A conversation with a model, without a wire format.

use serde_json::{Map, Value, json};

use crate::tools::{Tool, ToolResult};

/// Most bytes of a result that a model is told; the transcript keeps all of it.
const RESULT_LIMIT_BYTES: usize = 64 << 10;

/// All that a model is told.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// Who it is, in general.
    pub system: String,
    /// The tools that it is offered.
    pub tools: Vec<&'static Tool>,
    /// What was said, in order.
    pub messages: Vec<Message>,
}

/// One thing that was said.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// To the model.
    User(String),
    /// By the model.
    Reply(Reply),
    /// What the calls of the reply before gave back, in their order.
    Answers(Vec<Answer>),
}

/// What a call gave back.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The call, as the model named it.
    pub id: String,
    /// What came of it.
    pub result: ToolResult,
}

impl Answer {
    /// As JSON text: `ok` and `value`. A long one loses its middle.
    #[must_use]
    pub fn text(&self) -> String {
        let text = json!(self.result).to_string();
        if text.len() <= RESULT_LIMIT_BYTES {
            return text;
        }
        let head = text.floor_char_boundary(RESULT_LIMIT_BYTES / 2);
        let tail = text.ceil_char_boundary(text.len() - RESULT_LIMIT_BYTES / 2);
        format!("{} [{} bytes left out] {}", &text[..head], tail - head, &text[tail..])
    }
}

/// What a model said, whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The model, as the server names it.
    pub model: String,
    /// What it thought aloud, where the server tells.
    pub reasoning: String,
    /// Its words.
    pub text: String,
    /// Its calls, in the order given.
    pub calls: Vec<ModelCall>,
    /// Why it ended.
    pub stop: Stop,
    /// What it took, as the server counts.
    pub usage: Usage,
}

impl Reply {
    /// All of it as one text, for a record of what was not acted upon.
    pub(crate) fn told(&self) -> String {
        let thoughts = Some(&self.reasoning).filter(|text| !text.is_empty());
        let words = Some(&self.text).filter(|text| !text.is_empty());
        let calls = self.calls.iter().map(|call| format!("[{} {}]", call.name, call.arguments));
        let parts = thoughts.map(|text| format!("({text})")).into_iter();
        parts.chain(words.cloned()).chain(calls).collect::<Vec<_>>().join(" ")
    }
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// It was done, or waits for its calls.
    #[default]
    Done,
    /// It reached its limit of tokens.
    Length,
    /// The model refuses, or a filter does.
    Refused,
}

impl Stop {
    /// As the transcript has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Length => "length",
            Self::Refused => "refused",
        }
    }
}

/// Tokens of a request and its reply; none where the server does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What was read.
    pub input: Option<u64>,
    /// What was written.
    pub output: Option<u64>,
}

/// A call as the model wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelCall {
    /// The model's name for it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments: text that ought to be a JSON object.
    pub arguments: String,
}

impl ModelCall {
    /// The arguments as JSON. No text at all means no arguments.
    ///
    /// # Errors
    ///
    /// Where the text is no JSON.
    pub fn parsed(&self) -> Result<Value, serde_json::Error> {
        if self.arguments.trim().is_empty() {
            return Ok(Value::Object(Map::new()));
        }
        serde_json::from_str(&self.arguments)
    }

    /// The arguments as they can be sent back: servers refuse what is no JSON object.
    pub(crate) fn echo(&self) -> Value {
        match self.parsed() {
            Ok(Value::Object(arguments)) => Value::Object(arguments),
            _ => json!({ "INVALID_JSON": self.arguments }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_result_loses_its_middle_between_characters() {
        let value = json!("é".repeat(RESULT_LIMIT_BYTES));
        let answer = Answer { id: "1".into(), result: ToolResult { ok: true, value } };
        let text = answer.text();
        assert!(text.len() < RESULT_LIMIT_BYTES + 100);
        assert!(text.starts_with(r#"{"ok":true,"value":"é"#) && text.ends_with("é\"}"));
        assert!(text.contains(" bytes left out] "));
    }

    #[test]
    fn arguments_that_are_no_json_can_be_sent_back() {
        let call =
            |arguments: &str| ModelCall { arguments: arguments.into(), ..Default::default() };
        assert_eq!(call("").parsed().unwrap(), json!({}));
        assert!(call("{\"a\":").parsed().is_err());
        assert_eq!(call("{\"a\":").echo(), json!({ "INVALID_JSON": "{\"a\":" }));
        assert_eq!(call("[1]").echo(), json!({ "INVALID_JSON": "[1]" }));
        assert_eq!(call("{\"a\":1}").echo(), json!({ "a": 1 }));
    }
}
