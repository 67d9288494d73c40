//! OTLP over HTTP: one request, one answer.

use std::{fmt, io, time::Duration};

use journal::escape::visible;
use prost::Message;
use reqwest::{
    StatusCode, Url,
    header::{CONTENT_TYPE, HeaderValue},
    redirect::Policy,
};
use tokio::runtime::Runtime;

const PROTOBUF: &str = "application/x-protobuf";
/// How long a connection may take to stand.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a whole exchange may take.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(60);
/// Most bytes of an answer: it holds a number and a sentence.
const ANSWER_LIMIT_BYTES: usize = 64 << 10;
/// Most characters of an endpoint's words that are shown.
const MESSAGE_LIMIT: usize = 500;

/// Why something was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The address is none.
    #[error(
        "`{0}` is no address of an OTLP endpoint: it is like http://127.0.0.1:4318, without user, \
         query or fragment"
    )]
    Url(String),
    /// The client could not be set up.
    #[error("cannot set up the client for OTLP")]
    Client(#[source] reqwest::Error),
    /// No file descriptors or threads are left.
    #[error("cannot set up the client for OTLP")]
    Runtime(#[source] io::Error),
    /// There was no answer.
    #[error("the OTLP endpoint {url} does not answer{hint}")]
    Unreachable {
        /// Where it was sent.
        url: String,
        /// In brackets, what may be wrong with the address, if something may.
        hint: &'static str,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It said no.
    #[error("the OTLP endpoint {url} refuses with {status}{message}")]
    Refused {
        /// Where it was sent.
        url: String,
        /// The status.
        status: StatusCode,
        /// Behind a colon, what it said of it, if it did.
        message: String,
    },
    /// It took only a part.
    #[error("the OTLP endpoint {url} rejects {rejected} of {sent} records{message}")]
    Rejected {
        /// Where it was sent.
        url: String,
        /// How many it rejects.
        rejected: i64,
        /// How many were sent.
        sent: usize,
        /// Behind a colon, what it said of it, if it did.
        message: String,
    },
}

/// The base address of an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint(Url);

impl Endpoint {
    /// Reads an address. One that holds a password would be shown with it.
    pub(crate) fn parse(text: &str) -> Result<Self, SendError> {
        let is_plain = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        };
        let url = Url::parse(text).ok().filter(is_plain);
        url.map(Self).ok_or_else(|| SendError::Url(visible(text).into_owned()))
    }

    fn of(&self, signal: Signal) -> String {
        format!("{}/{}", self.0.as_str().trim_end_matches('/'), signal.path())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    Traces,
    Logs,
}

impl Signal {
    const fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Logs => "v1/logs",
        }
    }
}

/// An answer to traces or to logs: the messages of both are alike.
#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// The body of a refusal, `google.rpc.Status`, without its details.
#[derive(Clone, PartialEq, Message)]
struct Refusal {
    #[prost(string, tag = "2")]
    message: String,
}

/// A client of one endpoint.
#[derive(Debug)]
pub(super) struct Client {
    runtime: Runtime,
    client: reqwest::Client,
    endpoint: Endpoint,
}

impl Client {
    /// Sets it up; nothing is sent yet.
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, SendError> {
        // Whoever installed one before has done the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .timeout(EXCHANGE_LIMIT);
        if endpoint.0.scheme() == "http" {
            // Without TLS a host need not have certificates.
            builder = builder.tls_certs_only([]);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(SendError::Runtime)?;
        let client = builder.build().map_err(SendError::Client)?;
        Ok(Self { runtime, client, endpoint: endpoint.clone() })
    }

    /// Sends one request that holds `sent` records.
    pub(super) fn post(
        &self,
        signal: Signal,
        request: &impl Message,
        sent: usize,
    ) -> Result<(), SendError> {
        let url = self.endpoint.of(signal);
        let (status, body) = self
            .runtime
            .block_on(self.exchange(&url, request.encode_to_vec()))
            .map_err(|error| {
                let hint = hint(self.endpoint.0.scheme(), &error);
                SendError::Unreachable { url: url.clone(), hint, source: error.without_url() }
            })?;
        if !status.is_success() {
            return Err(SendError::Refused { url, status, message: refusal(&body) });
        }
        // An endpoint that answers with something else than protobuf has taken it all the same.
        let answer = Answer::decode(&*body).unwrap_or_default();
        match answer.partial_success {
            Some(PartialSuccess { rejected, error_message }) if rejected > 0 => {
                Err(SendError::Rejected { url, rejected, sent, message: said(&error_message) })
            }
            _ => Ok(()),
        }
    }

    async fn exchange(
        &self,
        url: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Vec<u8>), reqwest::Error> {
        let request = self.client.post(url).body(body);
        let protobuf = HeaderValue::from_static(PROTOBUF);
        let mut response = request.header(CONTENT_TYPE, protobuf).send().await?;
        let mut body = Vec::new();
        while body.len() < ANSWER_LIMIT_BYTES {
            let Some(chunk) = response.chunk().await? else { break };
            body.extend_from_slice(&chunk);
        }
        Ok((response.status(), body))
    }
}

/// What is likely wrong with the address of an endpoint that does not answer.
fn hint(scheme: &str, error: &reqwest::Error) -> &'static str {
    match scheme {
        // There is somebody, and what it says is no HTTP.
        "http" if !error.is_connect() && !error.is_timeout() => {
            " in HTTP (if it speaks TLS, its address begins with https://)"
        }
        "https" if is_no_tls(error) => {
            " in TLS (if it speaks plain HTTP, its address begins with http://)"
        }
        _ => "",
    }
}

/// Whether the other side answered a TLS handshake with something else.
fn is_no_tls(error: &reqwest::Error) -> bool {
    let mut causes = std::iter::successors(std::error::Error::source(error), |it| it.source());
    causes.any(|cause| {
        let words = cause.to_string();
        words.contains("InvalidContentType") || words.contains("corrupt message")
    })
}

/// What a refusal says. By the protocol it is protobuf; a proxy in between says what it likes.
fn refusal(body: &[u8]) -> String {
    match Refusal::decode(body) {
        Ok(refusal) if !refusal.message.is_empty() => said(&refusal.message),
        _ => said(&String::from_utf8_lossy(body)),
    }
}

/// An endpoint's words behind a colon, or nothing.
fn said(words: &str) -> String {
    let words = visible(words.trim());
    let short: String = words.chars().take(MESSAGE_LIMIT).collect();
    if short.is_empty() { short } else { format!(": {short}") }
}
