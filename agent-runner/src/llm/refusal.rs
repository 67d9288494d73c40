//! Reading an answer that is no reply: status, headers and body of an HTTP error.

use std::time::{Duration, SystemTime};

use reqwest::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use serde_json::Value;

use super::error::ModelError;

/// What servers say of a conversation that is too long. There is no common code for it.
const TOO_LONG: [&str; 5] =
    ["context length", "context window", "context size", "prompt is too long", "maximum context"];

/// The error that an HTTP status and a body amount to.
pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: &str) -> ModelError {
    let error = serde_json::from_str::<Value>(body).unwrap_or_default();
    let message = message(&error).unwrap_or_else(|| body.to_owned());
    let number = status.as_u16();
    match number {
        401 | 403 => ModelError::Key { status: number, message },
        408 | 409 | 425 | 429 | 500.. => {
            ModelError::Busy { status: number, message, retry_after: retry_after(headers) }
        }
        _ if is_too_long(number, &error, &message) => ModelError::TooLong { message },
        _ => ModelError::Refused { status: number, message },
    }
}

/// The error that a stream carries in place of a reply.
pub(crate) fn in_stream(error: &Value) -> ModelError {
    let message = message(error).unwrap_or_else(|| error.to_string());
    if is_too_long(400, error, &message) {
        return ModelError::TooLong { message };
    }
    ModelError::broken(message)
}

/// Both dialects say `{"error": {"message": …}}`; some servers leave out the outer part, and some
/// the inner.
fn message(error: &Value) -> Option<String> {
    let inner = error.get("error").unwrap_or(error);
    let text = inner.get("message").unwrap_or(inner).as_str()?;
    Some(text.to_owned())
}

fn is_too_long(status: u16, error: &Value, message: &str) -> bool {
    let inner = error.get("error").unwrap_or(error);
    let code = |key: &str| inner.get(key).and_then(Value::as_str).unwrap_or_default();
    let message = message.to_lowercase();
    status == 413
        || code("code") == "context_length_exceeded"
        || code("type") == "exceed_context_size_error"
        || (status == 400 && TOO_LONG.iter().any(|words| message.contains(words)))
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> ModelError {
        read(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body)
    }

    #[test]
    fn each_status_is_read_as_what_it_asks_for() {
        let text = r#"{"error":{"message":"No.","type":"t"}}"#;
        assert!(matches!(error(401, text), ModelError::Key { message, .. } if message == "No."));
        assert!(matches!(error(403, ""), ModelError::Key { .. }));
        for status in [408, 429, 500, 503, 529] {
            assert!(error(status, text).is_passing(), "{status}");
        }
        for status in [400, 404, 422] {
            assert!(matches!(error(status, text), ModelError::Refused { .. }), "{status}");
        }
        assert_eq!(
            error(404, "<html>nothing here").to_string(),
            "the model's server refuses the request (404): <html>nothing here"
        );
    }

    #[test]
    fn a_conversation_that_is_too_long_is_known_by_what_each_server_says() {
        for (status, body) in [
            (400, r#"{"error":{"message":"Too much.","code":"context_length_exceeded"}}"#),
            (400, r#"{"error":{"code":400,"message":"…","type":"exceed_context_size_error"}}"#),
            (400, r#"{"message":"This model's maximum context length is 4096 tokens."}"#),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}}"#,
            ),
            (413, "request too large"),
        ] {
            assert!(matches!(error(status, body), ModelError::TooLong { .. }), "{body}");
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let after = |value: &str| {
            retry_after(&[(RETRY_AFTER, value.parse().unwrap())].into_iter().collect())
        };
        assert_eq!(after("2"), Some(Duration::from_secs(2)));
        assert_eq!(after("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(after("Wed, 21 Oct 2099 07:28:00 GMT") > Some(Duration::from_secs(3600)));
        assert_eq!(after("-1"), None);
        assert_eq!(after("soon"), None);
    }
}
