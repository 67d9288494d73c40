//! The wire formats, as far as a proxy must know them.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::llm::Usage;

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's: chat completions, completions, responses, embeddings, list of models.
    OpenAi,
    /// Anthropic's: messages, count of tokens, list of models.
    Anthropic,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A reply in chat completions, or in plain ones.
    Completion,
    /// A reply in OpenAI's responses.
    Response,
    /// A reply in Anthropic's messages.
    Message,
    /// Vectors: tokens are read, none written.
    Embedding,
    /// What costs nothing: the list of models, a count of tokens.
    Nothing,
}

impl Asked {
    /// Whether the model is at work for it, so that budgets count it.
    pub(crate) fn is_work(self) -> bool {
        self != Self::Nothing
    }
}

/// Why a request is not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Not this run's token.
    #[error("the key is not this run's")]
    Token,
    /// Nothing that a model is asked for.
    #[error("there is nothing at {0}")]
    Path(String),
    /// No JSON.
    #[error("the request is no JSON: {0}")]
    Body(String),
    /// Too long.
    #[error("the request is longer than {0} bytes, or broke off")]
    Long(usize),
    /// Another model than the one that the run was given.
    #[error("the model {asked:?} does not exist: there is {there:?}")]
    Model { asked: String, there: String },
    /// A budget is used up; in words that say which.
    #[error("the budget is used up: {0}")]
    Budget(String),
    /// The server does not answer.
    #[error("the model's server cannot be reached")]
    Unreachable,
    /// The server answers in an encoding that nobody asked for, in which the key could hide.
    #[error("the model's server answers in the encoding {0:?}")]
    Encoded(String),
}

impl Dialect {
    /// The variables by which its clients find their server and their key.
    #[must_use]
    pub fn variables(self) -> [&'static str; 2] {
        match self {
            Self::OpenAi => ["OPENAI_BASE_URL", "OPENAI_API_KEY"],
            Self::Anthropic => ["ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"],
        }
    }

    /// What its clients take for the server's address, where the proxy listens at `address`.
    pub(crate) fn base(self, address: std::net::SocketAddr) -> String {
        match self {
            Self::OpenAi => format!("http://{address}/v1"),
            Self::Anthropic => format!("http://{address}"),
        }
    }

    /// What a request asks for, and the path behind the server's base address; none where nothing
    /// is there.
    pub(crate) fn route<'a>(self, method: &Method, path: &'a str) -> Option<(Asked, &'a str)> {
        let rest = path.strip_prefix("/v1")?;
        let asked = match (self, method.as_str(), rest) {
            (Self::OpenAi, "POST", "/chat/completions" | "/completions") => Asked::Completion,
            (Self::OpenAi, "POST", "/responses") => Asked::Response,
            (Self::OpenAi, "POST", "/embeddings") => Asked::Embedding,
            (Self::Anthropic, "POST", "/messages") => Asked::Message,
            (Self::Anthropic, "POST", "/messages/count_tokens") => Asked::Nothing,
            (_, "GET", "/models") => Asked::Nothing,
            (_, "GET", _) if is_model(rest) => Asked::Nothing,
            _ => return None,
        };
        Some(match self {
            // The base address of OpenAI's format ends in its version.
            Self::OpenAi => (asked, rest),
            Self::Anthropic => (asked, path),
        })
    }

    /// A refusal as this format's clients understand it.
    pub(crate) fn refuse(self, refusal: &Refusal) -> (StatusCode, Value) {
        let (status, openai, code, anthropic) = match refusal {
            Refusal::Token => (
                StatusCode::UNAUTHORIZED,
                "invalid_request_error",
                Some("invalid_api_key"),
                "authentication_error",
            ),
            Refusal::Path(_) => {
                (StatusCode::NOT_FOUND, "invalid_request_error", None, "not_found_error")
            }
            Refusal::Body(_) => {
                (StatusCode::BAD_REQUEST, "invalid_request_error", None, "invalid_request_error")
            }
            Refusal::Long(_) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", None, "request_too_large")
            }
            Refusal::Model { .. } => (
                StatusCode::NOT_FOUND,
                "invalid_request_error",
                Some("model_not_found"),
                "not_found_error",
            ),
            Refusal::Budget(_) => {
                // As each provider says that a customer has nothing left.
                let status = match self {
                    Self::OpenAi => StatusCode::TOO_MANY_REQUESTS,
                    Self::Anthropic => StatusCode::PAYMENT_REQUIRED,
                };
                (status, "insufficient_quota", Some("insufficient_quota"), "billing_error")
            }
            Refusal::Unreachable | Refusal::Encoded(_) => {
                (StatusCode::BAD_GATEWAY, "server_error", None, "api_error")
            }
        };
        let message = refusal.to_string();
        let body = match self {
            Self::OpenAi => json!({
                "error": { "message": message, "type": openai, "param": null, "code": code }
            }),
            Self::Anthropic => {
                json!({ "type": "error", "error": { "type": anthropic, "message": message } })
            }
        };
        (status, body)
    }
}

/// `/models/NAME`; names of models have slashes in them. Nothing that a server could take for a way
/// up.
fn is_model(rest: &str) -> bool {
    rest.strip_prefix("/models/").is_some_and(|name| {
        let plain = |part: &str| !matches!(part, "" | "." | "..");
        name.split('/').all(plain) && !name.contains(['%', '\\'])
    })
}

/// What a whole reply says that it took.
pub(crate) fn usage(body: &Value) -> Usage {
    let usage = &body["usage"];
    let number = |key: &str| usage[key].as_u64();
    if let Some(input) = number("prompt_tokens") {
        return Usage { input: Some(input), output: number("completion_tokens").or(Some(0)) };
    }
    let cached = ["cache_creation_input_tokens", "cache_read_input_tokens"];
    let input = number("input_tokens")
        .map(|input| cached.into_iter().filter_map(number).fold(input, u64::saturating_add));
    Usage { input, output: number("output_tokens") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_model_is_asked_for_has_a_way() {
        let openai = |method: Method, path| Dialect::OpenAi.route(&method, path);
        assert_eq!(
            openai(Method::POST, "/v1/chat/completions"),
            Some((Asked::Completion, "/chat/completions"))
        );
        assert_eq!(
            openai(Method::GET, "/v1/models/org/name"),
            Some((Asked::Nothing, "/models/org/name"))
        );
        for path in ["/v1/files", "/v1/models/../files", "/v1/models/%2e%2e/x", "/chat", "/v1"] {
            assert_eq!(openai(Method::GET, path), None, "{path}");
        }
        assert_eq!(openai(Method::DELETE, "/v1/models/m"), None);
        assert_eq!(openai(Method::POST, "/v1/messages"), None);
        assert_eq!(
            Dialect::Anthropic.route(&Method::POST, "/v1/messages"),
            Some((Asked::Message, "/v1/messages"))
        );
        assert_eq!(Dialect::Anthropic.route(&Method::POST, "/v1/messages/batches"), None);
    }

    #[test]
    fn a_refusal_has_the_form_of_its_dialect() {
        let refusal = Refusal::Budget("its 5 tokens are used up".to_owned());
        let (status, body) = Dialect::OpenAi.refuse(&refusal);
        assert_eq!((status.as_u16(), &body["error"]["code"]), (429, &json!("insufficient_quota")));
        let (status, body) = Dialect::Anthropic.refuse(&refusal);
        assert_eq!(
            (status.as_u16(), &body["error"]["message"]),
            (402, &json!("the budget is used up: its 5 tokens are used up"))
        );
    }

    #[test]
    fn tokens_are_read_in_each_spelling() {
        let read = |usage| {
            let Usage { input, output } = super::usage(&json!({ "usage": usage }));
            (input, output)
        };
        assert_eq!(read(json!({ "prompt_tokens": 3, "completion_tokens": 2 })), (Some(3), Some(2)));
        assert_eq!(read(json!({ "prompt_tokens": 3 })), (Some(3), Some(0)));
        let cached = json!({ "input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 2 });
        assert_eq!(read(cached), (Some(7), Some(2)));
        assert_eq!(read(Value::Null), (None, None));
    }
}
