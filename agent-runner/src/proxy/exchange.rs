//! One request: checked, recorded, passed on; and what comes of it, passed back as it comes.

use std::{io, path::PathBuf, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use sse_stream::SseStream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::{
    assembly,
    caller::Caller,
    dialect::{self, Asked, Refusal},
    ledger::{Ledger, Open, Outcome, Request as Recorded},
    scrub::Scrub,
    upstream::{Upstream, answering},
};

/// Most bytes of a request.
const REQUEST_LIMIT_BYTES: usize = 16 << 20;
/// Most bytes of an answer that are kept to be put on record.
const KEPT_BYTES: usize = 4 << 20;
/// How many pieces of an answer wait for a slow reader.
const PIECES: usize = 16;
/// Why an answer breaks off at the end of the run.
const RUN_ENDED: &str = "the agent ended first";
const HUNG_UP: &str = "the agent closed the connection";

/// What all requests of a run share.
pub(crate) struct Exchange {
    pub(crate) token: Arc<str>,
    pub(crate) upstream: Upstream,
    /// The run's cgroup.
    pub(crate) run: PathBuf,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) turns: Semaphore,
    pub(crate) ended: watch::Receiver<bool>,
}

/// Answers a request. The work is a task's: it puts the end on record also where nobody waits for it
/// any more.
pub(crate) async fn handle(
    State(exchange): State<Arc<Exchange>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
) -> Response {
    let (head, answer) = oneshot::channel();
    tokio::spawn(async move { exchange.carry(caller, request, head).await });
    // Without an answer the run is over, and with it the connection.
    answer.await.unwrap_or_else(|_| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

/// A request that may be passed on.
struct Passed {
    parts: Parts,
    asked: Asked,
    /// Behind the server's base address.
    path: String,
    body: Bytes,
}

impl Exchange {
    async fn carry(&self, caller: Caller, request: Request, head: oneshot::Sender<Response>) {
        let Ok(_turn) = self.turns.acquire().await else { return };
        if *self.ended.borrow() {
            return;
        }
        let mut ended = self.ended.clone();
        // Until the request is whole, nothing of it is on record.
        let taken = tokio::select! {
            taken = self.take(caller, request) => taken,
            _ = ended.wait_for(|ended| *ended) => return,
        };
        match taken {
            Ok((open, passed)) => self.pass(&open, passed, head).await,
            Err((open, refusal)) => self.refuse(&open, &refusal, None, head),
        }
    }

    /// Reads, checks and records a request.
    async fn take(
        &self,
        caller: Caller,
        request: Request,
    ) -> Result<(Open, Passed), (Open, Refusal)> {
        let (parts, body) = request.into_parts();
        let line = format!("{} {}", parts.method, parts.uri);
        let record = |asked, body: &Value, body_bytes| {
            let holder = caller.holder(&self.run);
            self.ledger.open(&Recorded { line: &line, holder, asked, body, body_bytes })
        };
        let unread = |refusal| Err((record(None, &Value::Null, 0).0, refusal));
        if !self.has_token(&parts.headers) {
            return unread(Refusal::Token);
        }
        let route = self.upstream.dialect.route(&parts.method, parts.uri.path());
        let Some((asked, path)) = route else {
            return unread(Refusal::Path(parts.uri.path().to_owned()));
        };
        let path = path.to_owned();
        let Ok(body) = to_bytes(body, REQUEST_LIMIT_BYTES).await else {
            return unread(Refusal::Long(REQUEST_LIMIT_BYTES));
        };
        let clean = Scrub::whole(self.upstream.key_in_words(), &body);
        let (value, refusal) = if body.is_empty() && asked == Asked::Nothing {
            (Value::Null, None)
        } else {
            match serde_json::from_slice(&clean) {
                Ok(value) => {
                    let refusal = self.other_model(&value);
                    (value, refusal)
                }
                Err(error) => {
                    let text = String::from_utf8_lossy(&clean).into_owned();
                    (Value::String(text), Some(Refusal::Body(error.to_string())))
                }
            }
        };
        // What is refused is no work.
        let recorded = Some(asked).filter(|_| refusal.is_none());
        let (open, exhausted) = record(recorded, &value, body.len());
        match refusal.or(exhausted) {
            Some(refusal) => Err((open, refusal)),
            None => Ok((open, Passed { parts, asked, path, body })),
        }
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
        [bearer, text("x-api-key")].into_iter().flatten().any(|given| given.trim() == &*self.token)
    }

    fn other_model(&self, body: &Value) -> Option<Refusal> {
        let there = self.upstream.model.as_ref()?;
        let asked = body["model"].as_str().unwrap_or_default();
        (asked != there).then(|| Refusal::Model { asked: asked.to_owned(), there: there.clone() })
    }

    /// Answers in the server's place.
    fn refuse(
        &self,
        open: &Open,
        refusal: &Refusal,
        why: Option<String>,
        head: oneshot::Sender<Response>,
    ) {
        let (status, body) = self.upstream.dialect.refuse(refusal);
        self.ledger.close(
            open,
            Outcome {
                status: Some(status.as_u16()),
                refusal: Some(why.unwrap_or_else(|| refusal.to_string())),
                body_bytes: body.to_string().len() as u64,
                body: body.clone(),
                ..Outcome::default()
            },
        );
        let mut response = (status, axum::Json(body)).into_response();
        if let Refusal::Budget(_) = refusal {
            // Both providers' clients heed it: to ask again is of no use.
            response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
        }
        // Whoever does not wait for it does not miss it.
        let _ = head.send(response);
    }

    /// Asks the server and passes its answer back.
    async fn pass(&self, open: &Open, passed: Passed, mut head: oneshot::Sender<Response>) {
        let Passed { parts, asked, path, body } = passed;
        let query = parts.uri.query();
        let mut ended = self.ended.clone();
        let sent = self.upstream.send(parts.method.clone(), &path, query, &parts.headers, body);
        let gone = |why: &str| {
            let broken = Some(why.to_owned());
            self.ledger.close(open, Outcome { broken, ..Outcome::default() });
        };
        let answer = tokio::select! {
            answer = sent => answer,
            () = head.closed() => return gone(HUNG_UP),
            _ = ended.wait_for(|ended| *ended) => return gone(RUN_ENDED),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let why = crate::session::chain(&error.without_url());
                return self.refuse(open, &Refusal::Unreachable, Some(why), head);
            }
        };
        let encoding = answer.headers().get(header::CONTENT_ENCODING);
        if let Some(encoding) = encoding.filter(|it| it.as_bytes() != b"identity") {
            let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
            return self.refuse(open, &Refusal::Encoded(encoding), None, head);
        }
        let key = self.upstream.key_in_words();
        let status = answer.status();
        let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let streamed = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
        let (pieces, waiting) = mpsc::channel(PIECES);
        let mut response = Response::new(Body::from_stream(stream::unfold(
            waiting,
            |mut waiting: mpsc::Receiver<io::Result<Bytes>>| async move {
                waiting.recv().await.map(|piece| (piece, waiting))
            },
        )));
        *response.status_mut() = status;
        *response.headers_mut() = answering(answer.headers(), key);
        if head.send(response).is_err() {
            return gone(HUNG_UP);
        }
        let mut relay = Relay { scrub: Scrub::new(key), pieces, kept: Vec::new(), bytes: 0 };
        let broken = relay.carry(answer, &mut ended).await;
        let outcome = relay.outcome(asked, status, streamed, broken).await;
        self.ledger.close(open, outcome);
    }
}

/// An answer on its way to the sandbox.
struct Relay {
    scrub: Scrub,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    /// Its beginning, without the key.
    kept: Vec<u8>,
    bytes: u64,
}

impl Relay {
    /// Passes it on until its end. Gives back why it is not whole.
    async fn carry(
        &mut self,
        answer: reqwest::Response,
        ended: &mut watch::Receiver<bool>,
    ) -> Option<String> {
        let mut stream = Box::pin(answer.bytes_stream());
        loop {
            let piece = tokio::select! {
                biased;
                _ = ended.wait_for(|ended| *ended) => return Some(RUN_ENDED.to_owned()),
                () = self.pieces.closed() => return Some(HUNG_UP.to_owned()),
                piece = stream.next() => piece,
            };
            let (clean, rest) = match piece {
                Some(Ok(piece)) => {
                    self.bytes += piece.len() as u64;
                    (self.scrub.push(&piece), Rest::More)
                }
                None => (self.scrub.finish(), Rest::Whole),
                Some(Err(error)) => {
                    let why = crate::session::chain(&error.without_url());
                    (self.scrub.finish(), Rest::Broken(why))
                }
            };
            let room = KEPT_BYTES.saturating_sub(self.kept.len()).min(clean.len());
            self.kept.extend_from_slice(&clean[..room]);
            if !clean.is_empty() {
                let given = tokio::select! {
                    _ = ended.wait_for(|ended| *ended) => return Some(RUN_ENDED.to_owned()),
                    given = self.pieces.send(Ok(clean.into())) => given,
                };
                if given.is_err() {
                    return Some(HUNG_UP.to_owned());
                }
            }
            match rest {
                Rest::More => {}
                Rest::Whole => return None,
                Rest::Broken(why) => {
                    // Broken off for the agent as well: half a reply must not pass for a whole one.
                    let off = Err(io::Error::other("it broke off"));
                    tokio::select! {
                        _ = ended.wait_for(|ended| *ended) => {}
                        // It does not matter whether it still listens.
                        _ = self.pieces.send(off) => {}
                    }
                    return Some(why);
                }
            }
        }
    }

    /// What is on record of it.
    async fn outcome(
        self,
        asked: Asked,
        status: StatusCode,
        streamed: bool,
        broken: Option<String>,
    ) -> Outcome {
        let whole = self.bytes <= KEPT_BYTES as u64;
        let text = || Value::String(String::from_utf8_lossy(&self.kept).into_owned());
        let (body, broken) = match broken {
            Some(why) => (text(), Some(why)),
            None if !whole => (text(), None),
            None if streamed => match assembly::reply(
                asked,
                events(self.kept.clone()).await.iter().map(String::as_str),
            ) {
                Ok(reply) => (reply, None),
                Err(why) => (text(), Some(why.to_string())),
            },
            None => match serde_json::from_slice(&self.kept) {
                Ok(value) => (value, None),
                Err(error) if status.is_success() => {
                    (text(), Some(format!("the answer is no JSON: {error}")))
                }
                Err(_) => (text(), None),
            },
        };
        Outcome {
            status: Some(status.as_u16()),
            refusal: None,
            broken,
            streamed,
            usage: dialect::usage(&body),
            body,
            body_bytes: self.bytes,
            truncated: !whole,
        }
    }
}

enum Rest {
    More,
    Whole,
    Broken(String),
}

/// The data of the events in a stream that has come.
async fn events(bytes: Vec<u8>) -> Vec<String> {
    let whole = stream::iter([Ok::<_, io::Error>(Bytes::from(bytes))]);
    SseStream::from_bytes_stream(whole)
        .filter_map(|event| async { event.ok()?.data })
        .collect()
        .await
}
