//! The observer, as the rest of a run knows it.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use agent_runner::{WatchError, Watcher};
use observer::{
    client::{Client, ClientError},
    protocol::Request,
};

/// A shared handle on the observer.
#[derive(Clone)]
pub(crate) struct Observer {
    client: Arc<Mutex<Option<Client>>>,
    died: Arc<AtomicBool>,
}

impl Observer {
    pub(crate) fn new(client: Client) -> Self {
        Self { client: Arc::new(Mutex::new(Some(client))), died: Arc::default() }
    }

    /// Asks for something that is only done or not.
    pub(crate) fn tell(&self, request: &Request) -> Result<(), ClientError> {
        match self.lock().as_mut() {
            Some(client) => client.tell(request),
            None => Err(ClientError::Gone(std::io::ErrorKind::NotConnected.into())),
        }
    }

    /// Takes the client away: nobody else can ask from here on.
    pub(crate) fn take(&self) -> Option<Client> {
        self.lock().take()
    }

    /// Whether the observer ended before it was asked to.
    pub(crate) fn died(&self) -> bool {
        self.died.load(Ordering::SeqCst)
    }

    /// Looks after the observer on a thread of its own; calls `end` if it dies.
    pub(crate) fn guard(&self, end: impl Fn() + Send + 'static) -> std::io::Result<()> {
        let guarded = self.clone();
        std::thread::Builder::new()
            .name("guard".to_owned())
            .spawn(move || {
                loop {
                    std::thread::sleep(Duration::from_millis(100));
                    match guarded.lock().as_mut().map(Client::ended) {
                        None => return,
                        Some(Ok(None)) => {}
                        Some(_) => break,
                    }
                }
                tracing::error!("the observer died");
                guarded.died.store(true, Ordering::SeqCst);
                end();
            })
            .map(drop)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Tells the observer of calls.
pub(crate) struct Calls {
    pub(crate) observer: Observer,
    /// The run's cgroup directory.
    pub(crate) run: PathBuf,
}

impl Watcher for Calls {
    fn call_started(&mut self, call: u64, leaf_id: u64, _tool: &str) -> Result<(), WatchError> {
        let path = self.run.join(format!("call-{call}"));
        self.observer
            .tell(&Request::Call { call, leaf: leaf_id, path })
            .map_err(|error| WatchError::Failed(error.into()))
    }

    fn call_ended(&mut self, _call: u64, _ok: bool) -> Result<(), WatchError> {
        if self.observer.died() {
            return Err(WatchError::Refused("it died".to_owned()));
        }
        Ok(())
    }
}
