//! What a client meets: the tools of a tier.

use std::{
    borrow::Cow,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use journal::Tier;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
        ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ProtocolVersion,
        ServerCapabilities, ServerConfig,
    },
    service::{NotificationContext, RequestContext},
};
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot};

use super::described::described;
use crate::{
    cancel::Cancel,
    outside::{Answer, Front, Order, Outcome, Request},
    tools::{ToolResult, tools_for},
};

/// How often a client that asks for it is told that its call goes on.
const PROGRESS: Duration = Duration::from_secs(1);
/// Most calls that are made at the same time: a client in the sandbox is not to use up the threads and
/// descriptors of whoever watches it.
const CALLS_AT_ONCE: usize = 64;

/// The tools of a tier, for any number of clients.
#[derive(Clone, Debug)]
pub struct ToolServer {
    tier: Tier,
    instructions: Arc<str>,
    front: Front,
    /// How many clients are there that have said that they came.
    present: Arc<AtomicUsize>,
    /// Of all clients together.
    room: Arc<Semaphore>,
    /// Whether the desk closes when the last of them has gone.
    closes: bool,
}

/// The tools, for one client.
#[derive(Debug)]
pub(super) struct Visitor {
    server: ToolServer,
    /// Whether only protocols are spoken in which a client says that it comes and goes.
    says_goodbye: bool,
    here: OnceLock<Here>,
}

/// A client that is there.
#[derive(Debug)]
struct Here(ToolServer);

impl ToolServer {
    /// Serves what the desk behind `front` makes of calls, and closes it when the last client has gone.
    #[must_use]
    pub fn new(tier: Tier, instructions: &str, front: Front) -> Self {
        let instructions = instructions.into();
        let room = Arc::new(Semaphore::new(CALLS_AT_ONCE));
        Self { tier, instructions, front, present: Arc::default(), room, closes: true }
    }

    /// The same, for clients that come and go.
    #[must_use]
    pub fn open_house(mut self) -> Self {
        self.closes = false;
        self
    }

    pub(super) fn visitor(&self) -> Visitor {
        Visitor { server: self.clone(), says_goodbye: false, here: OnceLock::new() }
    }

    /// For a client without a connection of its own, whose going would not be seen.
    pub(super) fn distant_visitor(&self) -> Visitor {
        Visitor { says_goodbye: true, ..self.visitor() }
    }

    /// Closes the desk, unless clients come and go.
    pub(super) fn close(&self) {
        if self.closes {
            self.front.close();
        }
    }
}

impl Here {
    fn enter(server: &ToolServer) -> Self {
        server.present.fetch_add(1, Ordering::AcqRel);
        Self(server.clone())
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        if self.0.present.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.close();
        }
    }
}

/// Ends a call that nobody waits for any more.
struct Waiting(Cancel);

impl Drop for Waiting {
    fn drop(&mut self) {
        // A call that is done does not mind.
        self.0.cancel();
    }
}

impl Visitor {
    /// Has a call made; none where no more calls are taken.
    async fn order(&self, request: CallToolRequestParams, cancel: Cancel) -> Option<Answer> {
        let (sender, answer) = oneshot::channel();
        self.server.front.order(Order {
            request: Request::Tool {
                name: request.name.into_owned(),
                arguments: Value::Object(request.arguments.unwrap_or_default()),
            },
            cancel,
            answer: Box::new(move |answer| {
                // A client that has gone wants none.
                let _ = sender.send(answer);
            }),
        });
        answer.await.ok()
    }
}

impl ServerHandler for Visitor {
    fn get_info(&self) -> ServerConfig {
        // The name says nothing of being watched.
        let implementation = Implementation::new("tools", env!("CARGO_PKG_VERSION"));
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(implementation)
            .with_instructions(&*self.server.instructions)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        if self.says_goodbye {
            // Later versions have no sessions over HTTP, and a run is one.
            ProtocolVersion::known_up_to(&ProtocolVersion::LATEST_WITH_INITIALIZE).into()
        } else {
            ProtocolVersion::KNOWN_VERSIONS.into()
        }
    }

    async fn on_initialized(&self, _: NotificationContext<RoleServer>) {
        self.here.get_or_init(|| Here::enter(&self.server));
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools_for(self.server.tier).map(described).collect()))
    }

    /// A tool that fails is an answer and no failure of the protocol, a refusal by the kernel too.
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Ok(_place) = self.server.room.try_acquire() else {
            let error = format!("not more than {CALLS_AT_ONCE} calls are made at the same time");
            return Ok(CallToolResult::error(vec![ContentBlock::text(error)]).into());
        };
        let cancel = Cancel::new().map_err(|error| {
            ErrorData::internal_error(format!("the call cannot begin: {error}"), None)
        })?;
        let waiting = Waiting(cancel.clone());
        let answer = tokio::select! {
            answer = self.order(request, cancel) => answer,
            // The client wants no answer any more; what is sent now is thrown away.
            () = context.ct.cancelled() => None,
            never = tell_progress(&context) => match never {},
        };
        drop(waiting);
        Ok(answer.map_or_else(closed, |answer| result(answer.outcome)).into())
    }
}

fn result(outcome: Outcome) -> CallToolResult {
    match outcome {
        Outcome::Tool(ToolResult { ok: true, value }) => CallToolResult::structured(value),
        Outcome::Tool(ToolResult { ok: false, value }) => CallToolResult::structured_error(value),
        other => unreachable!("a tool was called, and came to {other:?}"),
    }
}

fn closed() -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text("no more calls are taken")])
}

/// Tells a client that its call goes on, and for how many seconds, if it wants to know.
async fn tell_progress(context: &RequestContext<RoleServer>) -> std::convert::Infallible {
    let Some(token) = context.meta.get_progress_token() else {
        return std::future::pending().await;
    };
    let start = Instant::now();
    loop {
        tokio::time::sleep(PROGRESS).await;
        let told = ProgressNotificationParam::new(token.clone(), start.elapsed().as_secs_f64());
        if context.peer.notify_progress(told).await.is_err() {
            return std::future::pending().await;
        }
    }
}
