//! The connection to a model's server: one request, one stream of events.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::{Stream, StreamExt as _};
use reqwest::{
    Client, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sse_stream::SseStream;
use tokio::{net::unix::pipe::Receiver, runtime::Runtime, time::sleep_until};

use super::{error::ModelError, refusal};
use crate::{agent::Surroundings, cancel::Cancel};

/// How long a connection may take to stand.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// How long a server may be silent: one that reads a long conversation says nothing meanwhile.
const SILENCE_LIMIT: Duration = Duration::from_secs(300);
/// Most bytes of a stream, or of an error's body.
const STREAM_LIMIT_BYTES: usize = 16 << 20;
const BODY_LIMIT_BYTES: usize = 64 << 10;
/// From how many characters on a key is looked for in what a model says. A shorter one is a
/// placeholder, and a word like others.
const KEY_IN_WORDS: usize = 12;
/// Most characters of a server's words that are kept of an error.
const MESSAGE_LIMIT: usize = 1000;
/// The type of a stream of events.
const EVENT_STREAM: &str = "text/event-stream";

/// The secret that a server wants. It is shown nowhere.
#[derive(Clone)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// A key from a file or a variable; space around it does not belong to it.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Key`] where it is empty or cannot be sent in a header.
    pub fn new(text: &str) -> Result<Self, ConnectError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConnectError::Key);
        }
        Ok(Self(text.into()))
    }

    pub(crate) fn header(&self, before: &str) -> HeaderValue {
        let mut value = HeaderValue::try_from(format!("{before}{}", self.0.expose_secret()))
            .expect("a key is visible ASCII");
        value.set_sensitive(true);
        value
    }

    /// What a server wrote, without the key, should it repeat it.
    fn redact(&self, text: &str) -> String {
        text.replace(self.0.expose_secret(), "[key]")
    }

    /// Whether it is in words, and no accident.
    fn is_in(&self, words: &str) -> bool {
        self.in_words().is_some_and(|key| words.contains(key))
    }

    /// What to look for in words; none where that could be a word like others.
    pub(crate) fn in_words(&self) -> Option<&str> {
        Some(self.0.expose_secret()).filter(|key| key.len() >= KEY_IN_WORDS)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey")
    }
}

/// Why there can be no connection to a server, before it is asked.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is none.
    #[error("`{0}` is no address of a server: it begins with http:// or https://")]
    Url(String),
    /// The address would be on record, and what is in it.
    #[error("the address of the server must not hold a user, a password, a query or a fragment")]
    Secret,
    /// The key is none.
    #[error("the key is empty or holds characters that no key has")]
    Key,
    /// The client could not be set up: no certificates, for example.
    #[error("cannot set up the client")]
    Client(#[source] reqwest::Error),
    /// No file descriptors or threads are left.
    #[error("cannot set up the client")]
    Runtime(#[source] io::Error),
}

/// When a request that failed for a while is made again: after a delay that doubles, with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often, after the first attempt.
    pub times: usize,
    /// The first delay.
    pub first: Duration,
    /// The longest delay, also of those that the server asks for: if it asks for more, the request
    /// is given up.
    pub longest: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { times: 6, first: Duration::from_secs(1), longest: Duration::from_secs(120) }
    }
}

impl Retries {
    pub(crate) fn delays(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_max_times(self.times)
            .with_jitter()
            .build()
    }
}

/// A connection to one path of one server.
#[derive(Debug)]
pub struct Connection {
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    client: Client,
    url: Url,
    headers: HeaderMap,
    key: Option<ApiKey>,
}

impl Connection {
    /// Sets up the client; nothing is sent yet. The key goes into a header, behind some text.
    pub(crate) fn new(
        base: &str,
        path: &str,
        key: Option<ApiKey>,
        (key_header, before): (HeaderName, &str),
    ) -> Result<Self, ConnectError> {
        let base = base_address(base)?;
        let url = format!("{}{path}", base.as_str().trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|_| ConnectError::Url(url.clone()))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &key {
            headers.insert(key_header, key.header(before));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ConnectError::Runtime)?;
        Ok(Self { runtime: Some(runtime), client: client(&url)?, url, headers, key })
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// Posts a request and hands over each event of the answer, its kind and its data, until one is
    /// the last, the stream ends, or there is an error.
    pub(crate) fn stream(
        &self,
        body: &Value,
        surroundings: &mut Surroundings<'_>,
        mut take: impl FnMut(&str, &str, &mut Surroundings<'_>) -> Result<Taken, ModelError>,
    ) -> Result<(), ModelError> {
        let (cancel, deadline) = (surroundings.cancel.clone(), surroundings.deadline);
        let runtime = self.runtime.as_ref().expect("it is not dropped yet");
        let result = runtime.block_on(async {
            tokio::select! {
                biased;
                () = end(&cancel, deadline) => Err(ModelError::Ended { partial: String::new() }),
                result = self.exchange(body, |kind, data| take(kind, data, surroundings)) => result,
            }
        });
        result.map_err(|error| self.presentable(error))
    }

    async fn exchange(
        &self,
        body: &Value,
        mut take: impl FnMut(&str, &str) -> Result<Taken, ModelError>,
    ) -> Result<(), ModelError> {
        let response = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .body(body.to_string())
            .send()
            .await
            .map_err(|error| ModelError::Unreachable(error.without_url().into()))?;
        let status = response.status();
        let headers = response.headers().clone();
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or("nothing").to_owned();
        if !status.is_success() {
            let body = text(bytes(response, BODY_LIMIT_BYTES)).await;
            return Err(refusal::read(status, &headers, &body));
        }
        if !content_type.starts_with(EVENT_STREAM) {
            return Err(ModelError::NoStream { content_type });
        }
        let mut events =
            SseStream::from_bytes_stream(Box::pin(bytes(response, STREAM_LIMIT_BYTES)));
        while let Some(event) = events.next().await {
            let event = event.map_err(|error| ModelError::broken(error.to_string()))?;
            let (kind, data) = (event.event.unwrap_or_default(), event.data.unwrap_or_default());
            let data = self.without_key(data);
            if take(&kind, &data)? == Taken::Last {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A piece of a stream: some gateways pass off an error, key included, as a model's words.
    fn without_key(&self, data: String) -> String {
        match &self.key {
            Some(key) if key.is_in(&data) => key.redact(&data),
            _ => data,
        }
    }

    /// An error whose words are short and without the key: first that, lest half a key stays.
    fn presentable(&self, mut error: ModelError) -> ModelError {
        if let Some(words) = error.words() {
            let whole = self.key.as_ref().map(|key| key.redact(words));
            *words = shortened(whole.as_deref().unwrap_or(words));
        }
        error
    }
}

impl Drop for Connection {
    /// Leaves a look-up of the server's name to itself, which nothing can end.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A server's address, to which paths are added.
pub(crate) fn base_address(base: &str) -> Result<Url, ConnectError> {
    let base = Url::parse(base)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| ConnectError::Url(base.to_owned()))?;
    let bare = base.username().is_empty() && base.password().is_none();
    if !bare || base.query().is_some() || base.fragment().is_some() {
        return Err(ConnectError::Secret);
    }
    Ok(base)
}

/// Where a server answers, where its address says so by itself: a name may lead elsewhere tomorrow.
#[must_use]
pub fn endpoint(base: &str) -> Option<SocketAddr> {
    let url = base_address(base).ok()?;
    let host = match url.host_str()? {
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        host => host.trim_matches(['[', ']']).parse::<IpAddr>().ok()?,
    };
    Some((host, url.port_or_known_default()?).into())
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MESSAGE_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if text.is_empty() => "without a word".to_owned(),
        None => text.to_owned(),
    }
}

/// Whether more events belong to a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    More,
    Last,
}

pub(crate) fn client(url: &Url) -> Result<Client, ConnectError> {
    // Whoever installed one before has done the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        // A server that sends the request elsewhere would send the key along.
        .redirect(Policy::none())
        // Nobody would notice that a kept connection was closed while a call ran.
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(SILENCE_LIMIT);
    if url.scheme() == "http" {
        // Without TLS a host need not have certificates.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(ConnectError::Client)
}

/// Waits for what ends a request from outside.
async fn end(cancel: &Cancel, deadline: Option<Instant>) {
    let over = async {
        match deadline {
            Some(deadline) => sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    };
    let cancelled = async {
        // Without a descriptor left for it, a request is still ended by its own limits.
        if let Ok(descriptor) = cancel.as_fd().try_clone_to_owned()
            && let Ok(pipe) = Receiver::from_owned_fd(descriptor)
            && pipe.readable().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = over => {}
        () = cancelled => {}
    }
}

/// The body as it comes, an error where it is too long.
fn bytes(
    response: reqwest::Response,
    limit: usize,
) -> impl Stream<Item = io::Result<bytes::Bytes>> {
    let mut left = limit;
    response.bytes_stream().map(move |piece| {
        let piece = piece.map_err(|error| io::Error::other(error.without_url()))?;
        left = left
            .checked_sub(piece.len())
            .ok_or_else(|| io::Error::other(format!("the answer is longer than {limit} bytes")))?;
        Ok(piece)
    })
}

/// As much of a body as there is.
async fn text(bytes: impl Stream<Item = io::Result<bytes::Bytes>>) -> String {
    let mut whole = Vec::new();
    let mut bytes = Box::pin(bytes);
    while let Some(Ok(piece)) = bytes.next().await {
        whole.extend_from_slice(&piece);
    }
    String::from_utf8_lossy(&whole).into_owned()
}

#[cfg(test)]
mod tests {
    use reqwest::header::AUTHORIZATION;

    use super::*;

    fn connect(base: &str) -> Result<Connection, ConnectError> {
        Connection::new(base, "/chat", None, (AUTHORIZATION, "Bearer "))
    }

    #[test]
    fn an_endpoint_is_known_where_the_address_says_it_by_itself() {
        let known = |base| endpoint(base).map(|address| address.to_string());
        assert_eq!(known("http://localhost:8000/v1").as_deref(), Some("127.0.0.1:8000"));
        assert_eq!(known("https://[::1]/v1").as_deref(), Some("[::1]:443"));
        assert_eq!(known("http://10.0.0.7").as_deref(), Some("10.0.0.7:80"));
        assert_eq!(known("https://api.example"), None);
    }

    #[test]
    fn an_address_is_one_of_http_and_holds_no_secret() {
        let url = |base| connect(base).unwrap().url.to_string();
        assert_eq!(url("http://[::1]:8080/v1/"), "http://[::1]:8080/v1/chat");
        assert_eq!(url("http://host"), "http://host/chat");
        for base in ["", "host:80", "ftp://host", "http://"] {
            assert!(matches!(connect(base), Err(ConnectError::Url(_))), "{base}");
            assert_eq!(endpoint(base), None, "{base}");
        }
        for base in ["http://me@host", "http://me:pw@host", "http://host?key=k", "http://host#k"] {
            assert!(matches!(connect(base), Err(ConnectError::Secret)), "{base}");
        }
    }

    #[test]
    fn a_key_is_visible_ascii_and_never_shown() {
        let key = ApiKey::new(" sk-secret\n").unwrap();
        assert_eq!(format!("{key:?} {:?}", key.header("Bearer ")), "ApiKey Sensitive");
        assert_eq!(key.redact("wrong key: sk-secret."), "wrong key: [key].");
        assert!(!ApiKey::new("none").unwrap().is_in("There are none."));
        for text in ["", " \n", "two words", "schlüssel", "a\nb"] {
            assert!(ApiKey::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn delays_grow_to_the_longest_and_end() {
        let retries =
            Retries { times: 4, first: Duration::from_secs(1), longest: Duration::from_secs(3) };
        let delays: Vec<_> = retries.delays().collect();
        assert_eq!(delays.len(), 4);
        let least = [1, 2, 3, 3].map(Duration::from_secs);
        assert!(
            delays.iter().zip(least).all(|(delay, least)| *delay >= least && *delay < 2 * least)
        );
    }
}
