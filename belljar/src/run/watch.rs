//! The observer, as the rest of a run knows it.

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use agent_runner::{WatchError, Watcher};
use observer::{
    client::{Client, ClientError},
    gate::SOCKET,
    protocol::{Answer, Request},
};

use crate::{
    cli::ObserverArg,
    exit::{Exit, Failure, OrExit as _},
};

/// Gets a run watched: by the observer that was asked for, or by the resident one if there is one
/// that can, or by one of its own.
pub(crate) fn watch(choice: &ObserverArg, request: &Request) -> Result<(Client, Answer), Failure> {
    let (socket, must) = match choice {
        ObserverArg::Own => (None, false),
        ObserverArg::Auto => (Some(Path::new(SOCKET)), false),
        ObserverArg::At(path) => (Some(path.as_path()), true),
    };
    if let Some(socket) = socket {
        match Client::connect(socket) {
            Ok(mut client) => match client.ask(request) {
                Ok(answer) => return Ok((client, answer)),
                Err(error @ (ClientError::Unfit { .. } | ClientError::Gone(_))) if !must => {
                    tracing::info!(%error, "the run gets an observer of its own");
                }
                Err(error) => return Err(failure(error)),
            },
            Err(error) if must => {
                let message = format!(
                    "no observer listens on {}: start one with `belljar watch --socket {0}`",
                    socket.display()
                );
                let error = anyhow::Error::from(error).context(message);
                return Err(Failure::new(Exit::Unavailable, error));
            }
            Err(_) => {}
        }
    }
    let mut command = Command::new("/proc/self/exe");
    command.arg("observer");
    // Ctrl-C at the terminal is for the supervisor alone: the observer must outlive the agent.
    command.process_group(0);
    let mut client = Client::start(command).or_exit(Exit::Os)?;
    let answer = client.ask(request).map_err(failure)?;
    Ok((client, answer))
}

fn failure(error: ClientError) -> Failure {
    let exit = match &error {
        ClientError::Unfit { .. } | ClientError::Refused { kernel: true, .. } => Exit::Unavailable,
        ClientError::Refused { kernel: false, .. } => Exit::Data,
        ClientError::Start(_) | ClientError::Gone(_) => Exit::Os,
    };
    Failure::new(exit, error)
}

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
                    match guarded.lock().as_ref().map(Client::is_gone) {
                        None => return,
                        Some(false) => {}
                        Some(true) => break,
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
