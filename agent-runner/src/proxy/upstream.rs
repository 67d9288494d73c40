//! The model's real server.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use bytes::Bytes;
use reqwest::{Client, Url, header};

use super::dialect::Dialect;
use crate::llm::{ApiKey, ConnectError, base_address, client};

/// What of a request's headers the server gets to see.
const ASKING: [HeaderName; 4] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
];

/// A server, and what the run may ask of it.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub(crate) dialect: Dialect,
    base: Url,
    key: Option<ApiKey>,
    client: Client,
    /// The one model that may be asked; none for all.
    pub(crate) model: Option<String>,
}

impl Upstream {
    /// A server at a base address, which is the provider's own where there is none; `model` is the one
    /// that may be asked, none for every one that it has. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub fn new(
        dialect: Dialect,
        model: Option<&str>,
        base_url: Option<&str>,
        key: Option<ApiKey>,
    ) -> Result<Self, ConnectError> {
        let own = match dialect {
            Dialect::OpenAi => crate::llm::OpenAi::BASE_URL,
            Dialect::Anthropic => crate::llm::Anthropic::BASE_URL,
        };
        let base = base_address(base_url.unwrap_or(own))?;
        let client = client(&base)?;
        Ok(Self { dialect, base, key, client, model: model.map(str::to_owned) })
    }

    /// The wire format that it speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The key's text, to look for; none where it is too short to be told from a word.
    pub(crate) fn key_in_words(&self) -> Option<&str> {
        self.key.as_ref().and_then(ApiKey::in_words)
    }

    /// Passes a request on, with the key.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        let mut passed = HeaderMap::new();
        for name in ASKING {
            for value in headers.get_all(&name) {
                passed.append(&name, value.clone());
            }
        }
        // The key could hide in what is packed.
        passed.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(key) = &self.key {
            match self.dialect {
                Dialect::OpenAi => passed.insert(header::AUTHORIZATION, key.header("Bearer ")),
                Dialect::Anthropic => {
                    passed.insert(HeaderName::from_static("x-api-key"), key.header(""))
                }
            };
        }
        self.client.request(method, url).headers(passed).body(body).send().await
    }
}

/// What of an answer's headers the sandbox gets to see: type, and what clients wait by.
pub(crate) fn answering(headers: &HeaderMap, key: Option<&str>) -> HeaderMap {
    let is_passed = |name: &HeaderName| {
        let name = name.as_str();
        matches!(name, "content-type" | "retry-after" | "retry-after-ms" | "request-id")
            || matches!(name, "x-request-id" | "x-should-retry" | "cache-control")
            || name.starts_with("x-ratelimit-")
            || name.starts_with("anthropic-ratelimit-")
    };
    let holds_key = |value: &HeaderValue| {
        key.is_some_and(|key| value.as_bytes().windows(key.len()).any(|it| it == key.as_bytes()))
    };
    headers
        .iter()
        .filter(|(name, value)| is_passed(name) && !holds_key(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
