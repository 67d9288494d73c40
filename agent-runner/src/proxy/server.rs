//! The proxy's thread.

use std::{io, path::PathBuf, sync::Arc, thread};

use axum::Router;
use journal::writer::WriteError;
use tokio::sync::{Semaphore, watch};

use super::{
    caller::Caller,
    door::Door,
    exchange::{self, Exchange},
    ledger::Ledger,
    upstream::Upstream,
};
use crate::{cancel::Cancel, llm::Budget, watch::SharedTranscript};

/// Most requests that are passed on at a time; more wait.
const AT_A_TIME: usize = 8;

/// What a proxy is made of.
pub struct ProxyParts {
    /// Where it is found.
    pub door: Door,
    /// Whom it asks.
    pub upstream: Upstream,
    /// What the run may use up.
    pub budget: Budget,
    /// The run's user; nobody else is let in.
    pub uid: u32,
    /// The run's cgroup, in which the calls' cgroups lie.
    pub run: PathBuf,
    /// Where requests and answers go.
    pub transcript: SharedTranscript,
    /// How the agent is ended where they cannot be put on record.
    pub cancel: Cancel,
}

/// A proxy at work, on a thread of its own.
#[derive(Debug)]
pub struct Proxy {
    end: watch::Sender<bool>,
    thread: thread::JoinHandle<()>,
    ledger: Arc<Ledger>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Ledger")
    }
}

impl Proxy {
    /// Opens the door.
    ///
    /// # Errors
    ///
    /// The kernel's: no descriptors or threads are left.
    pub fn start(parts: ProxyParts) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ledger = Arc::new(Ledger::new(parts.transcript, parts.budget, parts.cancel));
        let (end, ended) = watch::channel(false);
        let exchange = Arc::new(Exchange {
            token: parts.door.token(),
            upstream: parts.upstream,
            run: parts.run,
            ledger: Arc::clone(&ledger),
            turns: Semaphore::new(AT_A_TIME),
            ended: ended.clone(),
        });
        let guarded = {
            let _within = runtime.enter();
            parts.door.guarded(parts.uid)?
        };
        let under_way = Arc::clone(&exchange);
        let thread = thread::Builder::new().name("model".to_owned()).spawn(move || {
            let router = Router::new().fallback(exchange::handle).with_state(exchange);
            let service = router.into_make_service_with_connect_info::<Caller>();
            runtime.block_on(async {
                let mut ended = ended;
                tokio::select! {
                    _ = axum::serve(guarded, service) => {}
                    _ = ended.wait_for(|ended| *ended) => {}
                }
                // Each that is under way puts its end on record, and no other begins.
                let _ = under_way.turns.acquire_many(AT_A_TIME as u32).await;
            });
            // A look-up of the server's name is left to itself: nothing can end it.
            runtime.shutdown_background();
        })?;
        Ok(Self { end, thread, ledger })
    }

    /// Closes the door. Answers that are under way end, and are on record as far as they came.
    ///
    /// # Errors
    ///
    /// Why the record is not whole.
    pub fn finish(self) -> Result<(), WriteError> {
        self.end.send_replace(true);
        // A panic there is told by the runtime; what it has recorded counts.
        let _ = self.thread.join();
        self.ledger.finish()
    }
}
