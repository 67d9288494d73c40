//! A proxy before a server, and who asks it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use agent_runner::{
    Cancel, SharedTranscript,
    llm::{ApiKey, Budget},
    proxy::{Dialect as Wire, Door, Proxy, ProxyParts, Upstream},
};
use journal::{Entry, transcript::Event, writer::WriteError};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::server::{Dialect, KEY};

/// No budget at all.
pub(crate) const ALL: Budget = Budget { turns: u64::MAX, tokens: None, money: None };

/// A proxy, and a client in the sandbox's place.
pub(crate) struct Asking {
    pub(crate) base: String,
    pub(crate) token: String,
    dialect: Dialect,
    proxy: Proxy,
    events: Arc<Mutex<Vec<Event>>>,
    pub(crate) runtime: Runtime,
    client: reqwest::Client,
}

impl Dialect {
    pub(crate) fn wire(self) -> Wire {
        match self {
            Self::OpenAi => Wire::OpenAi,
            Self::Anthropic => Wire::Anthropic,
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/chat/completions",
            Self::Anthropic => "/v1/messages",
        }
    }
}

impl Asking {
    pub(crate) fn new(dialect: Dialect, url: &str, budget: Budget) -> Self {
        Self::of_user(dialect, url, budget, nix::unistd::geteuid().as_raw())
    }

    pub(crate) fn of_user(dialect: Dialect, url: &str, budget: Budget, uid: u32) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&events);
        let transcript = SharedTranscript::new(move |entry: &Entry| -> Result<(), WriteError> {
            kept.lock().unwrap().push(entry.event.clone());
            Ok(())
        });
        let door = Door::open().unwrap();
        let [(_, base), (_, token)] = door.environment(dialect.wire());
        let key = Some(ApiKey::new(KEY).unwrap());
        let upstream = Upstream::new(dialect.wire(), Some("m"), Some(url), key).unwrap();
        let proxy = Proxy::start(ProxyParts {
            door,
            upstream,
            budget,
            uid,
            run: PathBuf::from("/does/not/exist"),
            transcript,
            cancel: Cancel::new().unwrap(),
        });
        let runtime = Runtime::new().unwrap();
        let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
        Self { base, token, dialect, proxy: proxy.unwrap(), events, runtime, client }
    }

    /// Asks for a reply of the model `m`, in a conversation of these messages.
    pub(crate) fn ask(&self, messages: &[&str]) -> Result<Response, reqwest::Error> {
        let messages: Vec<Value> =
            messages.iter().map(|text| json!({ "role": "user", "content": text })).collect();
        let body = json!({ "model": "m", "stream": true, "messages": messages });
        self.post(self.dialect.path(), &self.token, body.to_string())
    }

    pub(crate) fn post(
        &self,
        path: &str,
        token: &str,
        body: String,
    ) -> Result<Response, reqwest::Error> {
        let request = self.client.post(format!("{}{path}", self.base)).body(body);
        let request = match self.dialect {
            Dialect::OpenAi => request.bearer_auth(token),
            Dialect::Anthropic => {
                request.header("x-api-key", token).header("anthropic-version", "2023-06-01")
            }
        };
        self.runtime.block_on(request.header("content-type", "application/json").send())
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        self.runtime.block_on(request.send()).unwrap()
    }

    pub(crate) fn text(&self, response: Response) -> String {
        self.runtime.block_on(response.text()).unwrap()
    }

    pub(crate) fn json(&self, response: Response) -> Value {
        serde_json::from_str(&self.text(response)).unwrap()
    }

    /// The events on record once all is over, as JSON.
    pub(crate) fn finish(self) -> Vec<Value> {
        self.proxy.finish().unwrap();
        let events = self.events.lock().unwrap();
        events.iter().map(|event| json!(event)).collect()
    }
}
