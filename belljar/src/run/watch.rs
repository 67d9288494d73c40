//! The observer, as the rest of a run knows it.

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use agent_runner::{Admission, Cancel, Frozen, WatchError, Watcher};
use observer::{
    client::{Client, ClientError},
    gate::SOCKET,
    protocol::{Answer, Fault, Request},
};
use serde_json::Value;

use crate::{
    cli::ObserverArg,
    desk::questions::Questions,
    exit::{Exit, Failure, OrExit as _},
};

/// How often it is looked whether the observer lives.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is asked whether it watches.
const ASK: Duration = Duration::from_secs(1);

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
                Err(
                    error @ (ClientError::Unfit { .. }
                    | ClientError::Gone(_)
                    | ClientError::Still(_)
                    | ClientError::Failed { .. }),
                ) if !must => {
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
        ClientError::Unfit { .. } | ClientError::Refused { fault: Fault::Kernel, .. } => {
            Exit::Unavailable
        }
        ClientError::Refused { fault: Fault::Request, .. } => Exit::Data,
        ClientError::Refused { fault: Fault::Address, .. } => {
            let help = "name another with --metrics ADDRESS:PORT, or say --no-metrics";
            let error = anyhow::anyhow!("{error}; {help}");
            return Failure::new(Exit::CannotCreate, error);
        }
        ClientError::Start(_)
        | ClientError::Gone(_)
        | ClientError::Still(_)
        | ClientError::Failed { .. } => Exit::Os,
    };
    Failure::new(exit, error)
}

/// How the observer was lost.
#[derive(Debug)]
struct Lost {
    why: String,
    /// Whether it may still write, since it only stands still.
    may_write: bool,
}

/// A shared handle on the observer.
#[derive(Clone)]
pub(crate) struct Observer {
    client: Arc<Mutex<Option<Client>>>,
    lost: Arc<OnceLock<Lost>>,
}

impl Observer {
    pub(crate) fn new(client: Client) -> Self {
        Self { client: Arc::new(Mutex::new(Some(client))), lost: Arc::default() }
    }

    /// Asks for something that is only done or not.
    pub(crate) fn tell(&self, request: &Request) -> Result<(), ClientError> {
        self.ask(request).map(drop)
    }

    /// Asks, and gives the answer.
    pub(crate) fn ask(&self, request: &Request) -> Result<Answer, ClientError> {
        let answer = match self.lock().as_mut() {
            Some(client) => client.ask(request),
            None => Err(ClientError::Gone(std::io::ErrorKind::NotConnected.into())),
        };
        if let Err(error) = &answer
            && error.is_lost()
        {
            self.lose(error);
        }
        answer
    }

    /// Notes why nobody watches any more; the first reason stays.
    fn lose(&self, error: &ClientError) {
        let why = match error {
            ClientError::Still(deadline) => {
                format!("The observer stood still: no answer for {} s.", deadline.as_secs())
            }
            ClientError::Failed { reason } => {
                format!("The observer could not go on: {reason}.")
            }
            _ => "The observer died.".to_owned(),
        };
        tracing::error!(why, "nobody watches any more");
        let may_write = matches!(error, ClientError::Still(_));
        let _ = self.lost.set(Lost { why, may_write });
    }

    /// Takes the client away: nobody else can ask from here on.
    pub(crate) fn take(&self) -> Option<Client> {
        self.lock().take()
    }

    /// Why nobody watches any more, where the observer was lost before it was asked to end.
    pub(crate) fn lost(&self) -> Option<&str> {
        self.lost.get().map(|lost| lost.why.as_str())
    }

    /// Whether an observer that was lost may still write to the journal.
    pub(crate) fn may_write(&self) -> bool {
        self.lost.get().is_some_and(|lost| lost.may_write)
    }

    /// Looks after the observer on a thread of its own; calls `end` if it dies or stands still.
    pub(crate) fn guard(&self, end: impl Fn() + Send + 'static) -> std::io::Result<()> {
        let guarded = self.clone();
        std::thread::Builder::new()
            .name("guard".to_owned())
            .spawn(move || {
                if let Some(error) = guarded.wait_until_lost() {
                    guarded.lose(&error);
                    end();
                }
            })
            .map(drop)
    }

    /// How the observer was lost; none when the client was taken away.
    fn wait_until_lost(&self) -> Option<ClientError> {
        let mut asked = Instant::now();
        loop {
            std::thread::sleep(LOOK);
            let mut client = self.lock();
            let client = client.as_mut()?;
            if let Some(gone) = client.gone() {
                return Some(gone);
            }
            if asked.elapsed() < ASK {
                continue;
            }
            asked = Instant::now();
            if let Err(error) = client.tell(&Request::Ping)
                && error.is_lost()
            {
                return Some(error);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Tells the observer of calls, and asks whether they may begin.
pub(crate) struct Calls {
    pub(crate) observer: Observer,
    pub(crate) questions: Questions,
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
        match self.observer.lost() {
            Some(why) => Err(WatchError::Refused(why.to_owned())),
            None => Ok(()),
        }
    }

    fn admit(
        &mut self,
        call: u64,
        tool: &str,
        arguments: &Value,
        cancel: &Cancel,
    ) -> Result<Admission, WatchError> {
        self.questions.admit(call, tool, arguments, cancel)
    }

    fn is_asked_about(&mut self, call: u64) -> Result<bool, WatchError> {
        Ok(self.questions.is_asked_about(call))
    }

    fn froze(&mut self, call: u64, frozen: Frozen, limit: Duration) {
        self.questions.froze(call, frozen, limit);
    }
}
