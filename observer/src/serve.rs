//! The observer's process: sessions with supervisors, one for `belljar run`'s own observer, many for
//! a resident one.

use std::{
    fmt,
    io::{self, Read as _},
    net::SocketAddr,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
    time::{Duration, Instant},
};

use journal::{evidence::Evidence, manifest::Mode};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{
    control::Control,
    exposition::{End, Exposition},
    gate::Gate,
    http,
    observer::{Observer, ObserverError},
    protocol::{Answer, Watch},
    session::Session,
    totals::Judgement,
    watching::WatchError,
};

/// How long the ring buffers may rest. Violations wake the observer at once.
const POLL: Duration = Duration::from_millis(10);
const HEARTBEAT: Duration = Duration::from_millis(250);

/// Why the observer ended before its run did.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The other side is gone or does not speak the protocol.
    #[error("cannot talk to the process that started the observer")]
    Control(#[source] io::Error),
    /// The journal cannot be written.
    #[error("cannot write the journal")]
    Journal(#[from] journal::writer::WriteError),
    /// The kernel's maps refuse.
    #[error("cannot reach the probes")]
    Maps(#[from] crate::kernel_maps::MapsError),
    /// The canary says that the hooks cannot be relied on.
    #[error("{0}")]
    Hooks(&'static str),
    /// The canary cannot be set up.
    #[error(transparent)]
    Observer(#[from] ObserverError),
    /// What is due now and then could not be done.
    #[error("cannot keep the watch: {0}")]
    Watch(String),
    /// The metrics' address is taken.
    #[error("cannot serve metrics on {address}")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What happens to the runs of a resident observer.
#[derive(Debug)]
pub enum Event<'a> {
    /// A run is watched from now on.
    Began {
        /// Its name.
        run: &'a str,
        /// Its scenario.
        scenario: &'a str,
        /// The granted tier.
        tier: u8,
        /// Whether verdicts are made true.
        mode: Mode,
    },
    /// A run cannot be watched.
    Refused {
        /// Its name.
        run: &'a str,
        /// Why.
        error: &'a WatchError,
    },
    /// Its supervisor went away: it stays watched until nothing of it lives.
    Abandoned {
        /// Its name.
        run: &'a str,
    },
    /// Nothing more of it can be recorded.
    Failed {
        /// Its name.
        run: &'a str,
        /// Why.
        error: &'a ServeError,
    },
    /// It is no longer watched.
    Ended {
        /// Its name.
        run: &'a str,
        /// How.
        end: End,
        /// The account, where there is one.
        evidence: Option<&'a Evidence>,
    },
    /// The observer ends when so many runs have ended.
    Stopping {
        /// How many are watched.
        runs: usize,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began { run, scenario, tier, mode } => {
                write!(to, "run {run}: watched, {scenario} at tier {tier}, mode {}", mode.name())
            }
            Self::Refused { run, error } => write!(to, "run {run}: not watched: {error}"),
            Self::Abandoned { run } => {
                write!(to, "run {run}: its supervisor is gone; watched while anything of it lives")
            }
            Self::Failed { run, error } => write!(to, "run {run}: its evidence is lost: {error}"),
            Self::Ended { run, end, evidence } => {
                write!(to, "run {run}: ended, evidence {}", end.name())?;
                match evidence {
                    Some(evidence) => write!(
                        to,
                        ", {} effects emitted, {} received, {} dropped",
                        evidence.emitted, evidence.received, evidence.dropped
                    ),
                    None => Ok(()),
                }
            }
            Self::Stopping { runs } => {
                write!(to, "no new runs; waiting for {runs} to end (once more: at once)")
            }
        }
    }
}

/// What sessions share.
pub(crate) struct Served<'a> {
    observer: Option<Observer>,
    exposition: Arc<Exposition>,
    address: Option<SocketAddr>,
    events: &'a mut dyn FnMut(&Event<'_>),
}

impl Served<'_> {
    /// The observer.
    ///
    /// # Panics
    ///
    /// When no run was ever watched.
    pub(crate) fn observer(&mut self) -> &mut Observer {
        self.observer.as_mut().expect("a run that is watched has loaded the probes")
    }

    /// Begins to watch a run; gives its slot and the answer. A run's own observer loads the probes
    /// now, a resident one has done so.
    pub(crate) fn begin(&mut self, request: &Watch) -> Result<(u32, Answer), WatchError> {
        let is_own = self.observer.is_none();
        if is_own {
            let pins = request.pins.as_deref();
            let cgroups = request.cgroup_path.parent().unwrap_or(&request.cgroup_path);
            let observer = Observer::load(request.level, request.probe_set, cgroups, pins)?;
            self.exposition.describe(observer.probes.set.name());
            self.observer = Some(observer);
        }
        let result = self.observer().prove_hooks()?;
        self.exposition.tried(result);
        if let Some(alarm) = result.alarm() {
            return Err(WatchError::Hooks(alarm));
        }
        let totals = Arc::clone(self.exposition.totals());
        let slot = self.observer().watch(request, &totals)?;
        let metrics = Arc::clone(&self.observer().run(slot).metrics);
        self.exposition.begin(slot, metrics);
        if is_own && let Some(address) = request.metrics {
            let bound = http::serve(address, Arc::clone(&self.exposition))
                .map_err(|source| WatchError::Metrics { address, source });
            self.address = match bound {
                Ok(bound) => Some(bound),
                Err(error) => {
                    self.observer().release(slot, true);
                    return Err(error);
                }
            };
        }
        if let Some(address) = self.address
            && let Err(error) = self.observer().run(slot).metrics_at(address)
        {
            self.observer().release(slot, false);
            return Err(error.into());
        }
        let Watch { run, scenario, tier, mode, .. } = request;
        self.tell(&Event::Began { run, scenario, tier: *tier, mode: *mode });
        let address = self.address;
        let probes = &self.observer().probes;
        let (probe_set, reason) = (probes.set, probes.reason.clone());
        Ok((slot, Answer::Watching { probe_set, reason, metrics: address }))
    }

    /// Notes that a run is no longer watched.
    pub(crate) fn ended(&mut self, slot: u32, run: &str, end: End, evidence: Option<&Evidence>) {
        self.exposition.end(slot, end);
        self.tell(&Event::Ended { run, end, evidence });
    }

    /// Counts how a run was judged.
    pub(crate) fn judged(&self, judgement: &Judgement) {
        self.exposition.totals().judged(judgement);
    }

    pub(crate) fn tell(&mut self, event: &Event<'_>) {
        (self.events)(event);
    }
}

/// Watches one run, whose probes are loaded when it is asked for. `control` is the observer's end of
/// the socket pair.
///
/// When the other end closes before the run is finished, the supervisor has died: the observer goes
/// on as long as anything of the run lives, gives no account, and leaves the directory without a
/// report, so that it reads as invalid.
///
/// # Errors
///
/// When the evidence can no longer be kept.
pub fn serve(control: UnixStream) -> Result<(), ServeError> {
    let mut silent = |_: &Event<'_>| {};
    let served =
        Served { observer: None, exposition: Arc::default(), address: None, events: &mut silent };
    let sessions = vec![Session::new(Control::new(control).map_err(ServeError::Control)?, None)];
    Serving { served, sessions, door: None }.run()
}

/// A resident observer: the probes are loaded, and runs come and go.
pub struct Resident {
    observer: Observer,
    gate: Gate,
    exposition: Arc<Exposition>,
    address: Option<SocketAddr>,
}

impl Resident {
    /// Gets everything ready: from here on supervisors may come to `gate`. `metrics` is where all
    /// runs are served.
    ///
    /// # Errors
    ///
    /// When the address is taken, or the hooks do not fire.
    pub fn new(
        mut observer: Observer,
        gate: Gate,
        metrics: Option<SocketAddr>,
    ) -> Result<Self, ServeError> {
        let exposition = Arc::new(Exposition::new());
        exposition.describe(observer.probes.set.name());
        let result = observer.prove_hooks()?;
        exposition.tried(result);
        if let Some(alarm) = result.alarm() {
            return Err(ServeError::Hooks(alarm));
        }
        exposition.beat(observer.free());
        let address = metrics
            .map(|address| {
                http::serve(address, Arc::clone(&exposition))
                    .map_err(|source| ServeError::Metrics { address, source })
            })
            .transpose()?;
        Ok(Self { observer, gate, exposition, address })
    }

    /// Where metrics are served.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Watches runs until `stop` is readable; then no new runs, and when the last has ended, or
    /// another byte has come, it ends.
    ///
    /// # Errors
    ///
    /// When nothing can be watched any more. What befalls one run alone is told as an event.
    pub fn watch(
        self,
        stop: UnixStream,
        events: &mut dyn FnMut(&Event<'_>),
    ) -> Result<(), ServeError> {
        stop.set_nonblocking(true).map_err(ServeError::Control)?;
        let served = Served {
            observer: Some(self.observer),
            exposition: self.exposition,
            address: self.address,
            events,
        };
        let door = Some(Door { gate: Some(self.gate), stop });
        Serving { served, sessions: Vec::new(), door }.run()
    }
}

/// Where supervisors come in, until no more may.
struct Door {
    gate: Option<Gate>,
    stop: UnixStream,
}

/// The loop.
struct Serving<'a> {
    served: Served<'a>,
    sessions: Vec<Session>,
    door: Option<Door>,
}

impl Serving<'_> {
    fn run(mut self) -> Result<(), ServeError> {
        let mut beat = Instant::now();
        let mut rest = POLL;
        loop {
            self.wait(rest).map_err(ServeError::Control)?;
            if self.let_in().map_err(ServeError::Control)? {
                return Ok(());
            }
            // What was just read may not have been all.
            rest = if self.read() > 0 { Duration::ZERO } else { POLL };
            self.try_hooks()?;
            if beat.elapsed() >= HEARTBEAT {
                beat = Instant::now();
                self.heartbeat()?;
            }
            for session in &mut self.sessions {
                session.listen(&mut self.served);
                session.conclude(&mut self.served);
            }
            let failure = self.sessions.extract_if(.., |it| it.is_over()).find_map(|it| it.failure);
            let is_own = self.door.is_none();
            if is_own && let Some(failure) = failure {
                return Err(failure);
            }
            if self.sessions.is_empty() && self.door.as_ref().is_none_or(|it| it.gate.is_none()) {
                return Ok(());
            }
        }
    }

    /// Waits for a request, a supervisor, a violation or the end, at most as long as `rest`; where no
    /// run is watched, longer.
    fn wait(&self, rest: Duration) -> io::Result<()> {
        let is_idle = self.sessions.iter().all(|session| session.slot().is_none());
        let rest = if is_idle { HEARTBEAT } else { rest };
        let mut fds: Vec<BorrowedFd<'_>> = Vec::new();
        if let Some(observer) = &self.served.observer {
            fds.push(observer.rings.violations.as_fd());
            fds.push(observer.rings.effects.as_fd());
        }
        if let Some(door) = &self.door {
            fds.push(door.stop.as_fd());
            fds.extend(door.gate.as_ref().map(AsFd::as_fd));
        }
        let controls = self.sessions.iter().filter_map(|session| session.control.as_ref());
        fds.extend(controls.map(AsFd::as_fd));
        let mut ready: Vec<PollFd<'_>> =
            fds.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let timeout = PollTimeout::try_from(rest).expect("a few milliseconds");
        match poll(&mut ready, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Lets supervisors in, and looks whether it is time to go; true when it is.
    fn let_in(&mut self) -> io::Result<bool> {
        let Some(door) = &mut self.door else { return Ok(false) };
        let mut asked = [0; 1];
        match (&door.stop).read(&mut asked) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            Ok(_) if door.gate.is_none() => return Ok(true),
            Ok(_) => {
                door.gate = None;
                let runs = self.sessions.iter().filter(|session| session.slot().is_some()).count();
                if runs > 0 {
                    self.served.tell(&Event::Stopping { runs });
                }
            }
        }
        while let Some(gate) = &door.gate {
            match gate.admit() {
                Ok(Some((stream, unfit))) => {
                    self.sessions.push(Session::new(Control::new(stream)?, unfit));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "a supervisor could not be let in");
                    break;
                }
            }
        }
        Ok(false)
    }

    fn read(&mut self) -> u64 {
        let Some(observer) = &mut self.served.observer else { return 0 };
        let count = observer.read();
        for (slot, error) in observer.failed() {
            self.fail(slot, error.into());
        }
        count
    }

    /// Lets the canary go on. When it says that the hooks cannot be relied on, the runs stand still, and
    /// are invalid.
    fn try_hooks(&mut self) -> Result<(), ServeError> {
        let Some(observer) = &mut self.served.observer else { return Ok(()) };
        let Some(result) = observer.try_hooks()? else { return Ok(()) };
        self.served.exposition.tried(result);
        if let Some(alarm) = result.alarm() {
            tracing::error!("{alarm}");
            for session in self.sessions.iter_mut().filter(|session| session.slot().is_some()) {
                session.fail(ServeError::Hooks(alarm), &mut self.served);
            }
        }
        Ok(())
    }

    fn heartbeat(&mut self) -> Result<(), ServeError> {
        let Some(observer) = &mut self.served.observer else { return Ok(()) };
        let failed = observer.heartbeat()?;
        self.served.exposition.beat(observer.free());
        for (slot, error) in failed {
            self.fail(slot, ServeError::Watch(error));
        }
        for session in &mut self.sessions {
            session.tidy(&mut self.served);
        }
        if self.door.is_some() {
            self.served.observer().rest_if_idle()?;
        }
        Ok(())
    }

    fn fail(&mut self, slot: u32, error: ServeError) {
        let mut sessions = self.sessions.iter_mut();
        if let Some(session) = sessions.find(|session| session.slot() == Some(slot)) {
            session.fail(error, &mut self.served);
        }
    }
}
