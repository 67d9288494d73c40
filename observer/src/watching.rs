//! A run that is being watched: what is known of it, and its account at the end.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fs, io,
    net::SocketAddr,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use ebpf_common::{Label, LabelId, Tier};
use journal::{
    clock::Clock,
    evidence::{Evidence, VerbCounts},
    files::RunDir,
    manifest::{Mode, ProbeSet},
    redact::Redactor,
    writer::{EffectWriter, WriteError},
};
use nix::time::{ClockId, clock_gettime};
use policy::{AddressPattern, Compiled, LabelledRoot, PathLabels, Protocol};

use crate::{
    canary::CanaryError,
    interpret::{Interpreter, Owner},
    keeper::Keeper,
    kernel_maps::{KernelMaps, MapsError},
    kernel_run::KernelRun,
    metrics::Metrics,
    mounts::{Mounts, OpenRoot},
    probes::{LoadError, Probes, sees_refused_opens_alone},
    protocol::{Answer, Watch},
    questions::{Questions, Settled},
    totals::Totals,
};

/// How long the end of a run waits for effects that are numbered but not yet read.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// Why a run cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// No probes.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The kernel's maps refused.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The request makes no sense.
    #[error("the run cannot be watched: {0}")]
    Request(String),
    /// No canary.
    #[error(transparent)]
    Canary(#[from] CanaryError),
    /// The canary says that the hooks cannot be relied on.
    #[error("{0}")]
    Hooks(&'static str),
    /// A labelled root cannot be opened.
    #[error("cannot label {}", path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// This observer cannot watch the run, another may.
    #[error("{0}")]
    Unfit(String),
    /// The run directory refused.
    #[error(transparent)]
    Directory(#[from] journal::files::FileError),
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

/// CLOCK_BOOTTIME, nanoseconds.
#[must_use]
pub fn boot_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(0, |now| now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}

/// A run under watch.
pub struct Watching {
    /// The run's metrics.
    pub metrics: Arc<Metrics>,
    pub(crate) keeper: Keeper,
    kernel: KernelRun,
    compiled: Compiled,
    mode: Mode,
    /// Whether the probes can refuse.
    hooks_decide: bool,
    cgroup: PathBuf,
    /// How often each program had been skipped before the run.
    skipped_before: BTreeMap<String, u64>,
    /// Until when its last effects are waited for.
    ending: Option<Instant>,
    /// Whether its record can no longer be kept: it is watched only so that nothing is set free.
    pub(crate) given_up: bool,
    roots: Vec<OpenRoot>,
}

impl Watching {
    /// Begins to watch in a slot that nobody else has.
    ///
    /// # Errors
    ///
    /// When the kernel, the request or the run directory does not allow it.
    pub(crate) fn start(
        request: &Watch,
        probes: &Probes,
        maps: &Rc<RefCell<KernelMaps>>,
        slot: u32,
        totals: &Arc<Totals>,
    ) -> Result<Self, WatchError> {
        let redactor = Redactor::new(&request.redaction)
            .map_err(|error| WatchError::Request(error.to_string()))?;
        let directory = RunDir::open(&request.directory)?.redacted(redactor.map(Arc::new));
        let tier = Tier::from_number(request.tier)
            .ok_or_else(|| WatchError::Request(format!("there is no tier {}", request.tier)))?;
        let (text, name) = &request.policy;
        let compiled = policy::parse(text, name)
            .map_err(|error| WatchError::Request(error.to_string()))?
            .compile(tier, &request.components)
            .map_err(|error| WatchError::Request(error.to_string()))?;
        let mounts = Mounts::read()
            .map_err(|source| WatchError::Root { path: "/proc/self/mountinfo".into(), source })?;
        let tier = request.tier.to_string();
        let metrics = Arc::new(Metrics::new(
            &request.run,
            &[
                ("scenario", &request.scenario),
                ("tier", &tier),
                ("mode", request.mode.name()),
                ("probe_set", probes.set.name()),
            ],
            totals,
        ));
        let mut labelled = Vec::new();
        for (name, path) in &request.roots {
            let label = Label::from_name(name)
                .ok_or_else(|| WatchError::Request(format!("there is no label {name}")))?;
            labelled.push(LabelledRoot { path: path.clone(), label });
        }
        let mut interpreter = Interpreter::new(
            compiled.clone(),
            PathLabels::new(labelled.clone()),
            request.mode,
            Clock::new(i128::from(request.boot_time_unix_ns)),
            mounts.clone(),
        );
        interpreter.set_binds(request.binds.clone());
        let keeper = Keeper {
            interpreter,
            journal: EffectWriter::create(&directory, &request.run)?,
            metrics: Arc::clone(&metrics),
            mode: request.mode,
            leaves: HashMap::new(),
            questions: Questions::default(),
            received: BTreeMap::new(),
            problems: Vec::new(),
        };
        let mut watching = Self {
            metrics,
            keeper,
            kernel: KernelRun::new(Rc::clone(maps), slot, request.cgroup),
            cgroup: request.cgroup_path.clone(),
            skipped_before: probes.skipped(),
            ending: None,
            given_up: false,
            roots: Vec::new(),
            mode: request.mode,
            hooks_decide: probes.set == ProbeSet::Lsm,
            compiled,
        };
        let tell = |watching: &mut Self| -> Result<(), WatchError> {
            watching.label(&mounts, &labelled)?;
            for (name, pattern) in &request.addresses {
                watching.label_address(name, pattern)?;
            }
            watching.put_in_force()?;
            let oversight = (request.oversight_cgroup, &request.oversight_path);
            maps.borrow_mut().oversight(oversight.0, oversight.1)?;
            watching.heartbeat()?;
            Ok(watching.kernel.start()?)
        };
        if let Err(error) = tell(&mut watching) {
            // Nothing of it may meet the next run in this slot.
            watching.release()?;
            return Err(error);
        }
        Ok(watching)
    }

    /// Puts the policy in force: the kernel judges by it from one moment on.
    fn put_in_force(&mut self) -> Result<(), MapsError> {
        self.kernel.set_policy(&self.compiled.table(), self.mode, self.hooks_decide)
    }

    /// Puts another policy in the place of the run's.
    ///
    /// # Errors
    ///
    /// When it does not fit the run, or the kernel's map refuses: then the old one stays.
    pub(crate) fn reload(&mut self, text: &str, name: &str) -> Result<(), WatchError> {
        let (tier, components) = (self.compiled.tier(), self.compiled.components().to_vec());
        let policy =
            policy::parse(text, name).map_err(|error| WatchError::Request(error.to_string()))?;
        let compiled = policy
            .compile(tier, &components)
            .map_err(|error| WatchError::Request(error.to_string()))?;
        let before = std::mem::replace(&mut self.compiled, compiled);
        // What is judged from here on may be so by either, until the table is swapped.
        let from = boot_ns();
        if let Err(error) = self.put_in_force() {
            self.compiled = before;
            return Err(error.into());
        }
        self.keeper.interpreter.reload(self.compiled.clone(), from);
        Ok(())
    }

    /// Labels roots, and marks what lies above them.
    fn label(&mut self, mounts: &Mounts, labelled: &[LabelledRoot]) -> Result<(), WatchError> {
        for LabelledRoot { path, label } in labelled {
            let failed = |source| WatchError::Root { path: path.clone(), source };
            for root in mounts.open_root(path).map_err(failed)? {
                self.kernel.label(&root, *label)?;
                self.roots.push(root);
            }
            for directory in mounts.open_above(path).map_err(failed)? {
                self.kernel.above(&directory, *label)?;
                self.roots.push(directory);
            }
        }
        Ok(())
    }

    fn label_address(&mut self, name: &str, pattern: &str) -> Result<(), WatchError> {
        let label = self
            .compiled
            .label_id(name)
            .ok_or_else(|| WatchError::Request(format!("there is no label {name}")))?;
        let pattern: AddressPattern =
            pattern.parse().map_err(|error| WatchError::Request(format!("{error}")))?;
        Ok(self.kernel.label_address(&pattern, label)?)
    }

    /// Gives the address at which metrics are served to oversight.
    ///
    /// # Errors
    ///
    /// When the kernel's map refuses.
    pub(crate) fn metrics_at(&mut self, address: SocketAddr) -> Result<(), MapsError> {
        let pattern = AddressPattern::answered_by(Protocol::Tcp, address);
        self.kernel.label_address(&pattern, LabelId::of(Label::Oversight))
    }

    /// Notes that a call begins in a leaf.
    ///
    /// # Errors
    ///
    /// When the kernel's map refuses: the call must not begin.
    pub fn call(&mut self, call: u64, leaf: u64, path: PathBuf) -> Result<(), MapsError> {
        self.kernel.leaf(leaf, LabelId::of(Label::Agent))?;
        self.keeper.interpreter.own(leaf, Owner::Call(call));
        self.keeper.leaves.insert(leaf, path);
        self.metrics.call();
        Ok(())
    }

    /// Notes that a component lives in a leaf.
    ///
    /// # Errors
    ///
    /// When the run was not declared with the component, or the kernel's map refuses.
    pub fn component(&mut self, name: String, leaf: u64) -> Result<(), WatchError> {
        let label = self
            .compiled
            .label_id(&format!("component:{name}"))
            .ok_or_else(|| WatchError::Request(format!("the run has no component {name}")))?;
        self.kernel.leaf(leaf, label)?;
        self.keeper.interpreter.own(leaf, Owner::Component(name));
        Ok(())
    }

    /// Notes what Landlock does in the agent's sandbox.
    pub fn landlock(&mut self, landlock: crate::interpret::LandlockInForce) {
        self.keeper.interpreter.set_landlock(landlock);
    }

    /// Takes the answer to a question in: what is approved is open in the kernel when this returns.
    ///
    /// # Errors
    ///
    /// When there is no such question, or the kernel's map refuses: then nothing is opened.
    pub(crate) fn answer(
        &mut self,
        question: u64,
        number: u32,
        approved: bool,
    ) -> Result<Answer, WatchError> {
        let settled = self.keeper.questions.answer(question, approved);
        let Settled { opens, may_go_on } = settled
            .ok_or_else(|| WatchError::Request(format!("no question {question} is open")))?;
        if let Some(act) = opens {
            self.kernel.open(act, number)?;
        }
        Ok(Answer::Answered { opened: opens.is_some(), may_go_on })
    }

    /// Tells the probes and the metrics that the observer lives.
    ///
    /// # Errors
    ///
    /// When the kernel's map refuses.
    pub fn heartbeat(&mut self) -> Result<(), MapsError> {
        let now = boot_ns();
        self.metrics.heartbeat(now);
        self.kernel.heartbeat(now)
    }

    /// Brings the counts of lost effects up to date.
    ///
    /// # Errors
    ///
    /// When the kernel's map refuses.
    pub fn count_drops(&mut self) -> Result<(), MapsError> {
        for (verb, total) in self.kernel.dropped()? {
            self.metrics.dropped(verb, total);
        }
        Ok(())
    }

    /// Hands journaled lines to the operating system.
    ///
    /// # Errors
    ///
    /// When it refuses.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.keeper.journal.flush()
    }

    /// Nothing more is recorded of the run, so nothing more of it may happen: it stands still until
    /// its supervisor ends it, or it is reaped. What the probes prevent, they go on to prevent.
    pub(crate) fn give_up(&mut self) {
        if std::mem::replace(&mut self.given_up, true) {
            return;
        }
        if let Err(error) = fs::write(self.cgroup.join("cgroup.freeze"), "1") {
            tracing::warn!(%error, "a run that is no longer recorded cannot be frozen");
        }
        if let Err(error) = self.keeper.journal.give_up() {
            tracing::warn!(%error, "the journal ends within a line");
        }
    }

    /// Begins the end: the run's processes are gone, and what they did is on its way.
    pub fn end(&mut self) {
        self.ending.get_or_insert_with(|| Instant::now() + DRAIN_DEADLINE);
    }

    /// Whether the run's cgroup is gone or holds no process any more.
    pub(crate) fn is_deserted(&self) -> bool {
        match fs::read_to_string(self.cgroup.join("cgroup.events")) {
            Ok(events) => events.lines().any(|line| line == "populated 0"),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Gives account when every effect that the probes have numbered is journaled or counted as lost,
    /// or the time for that is over. `skipped` says how often each program was skipped by now.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub(crate) fn account(
        &mut self,
        skipped: impl FnOnce() -> BTreeMap<String, u64>,
    ) -> Result<Option<Evidence>, WriteError> {
        let mut evidence = Evidence::default();
        match self.counts(&mut evidence) {
            Ok(()) if evidence.adds_up() => {}
            Ok(()) if self.ending.is_some_and(|deadline| Instant::now() < deadline) => {
                return Ok(None);
            }
            Ok(()) => self.keeper.note(format!(
                "{} effects were emitted, {} received and {} dropped",
                evidence.emitted, evidence.received, evidence.dropped
            )),
            Err(error) => self.keeper.note(error.to_string()),
        }
        self.flush()?;
        for (program, times) in skipped() {
            let before = self.skipped_before.get(&program).copied().unwrap_or_default();
            if times <= before {
                continue;
            }
            let told = format!("the kernel skipped {program} {} times", times - before);
            if sees_refused_opens_alone(&program) {
                evidence.limits.push(format!("{told}: an open that was refused may be missing"));
            } else {
                self.keeper.note(told);
            }
        }
        if evidence.dropped > 0 {
            self.keeper.note(format!("{} effects were lost", evidence.dropped));
        }
        evidence.problems = std::mem::take(&mut self.keeper.problems);
        evidence.complete = evidence.problems.is_empty() && evidence.adds_up();
        if let Err(error) = self.count_drops() {
            tracing::warn!(%error, "the last count of lost effects is not in the metrics");
        }
        Ok(Some(evidence))
    }

    /// Leaves the slot to another run.
    ///
    /// # Errors
    ///
    /// When a map refuses: then nobody may have the slot.
    pub(crate) fn release(&mut self) -> Result<(), MapsError> {
        self.kernel.release()
    }

    fn counts(&self, evidence: &mut Evidence) -> Result<(), MapsError> {
        evidence.by_verb = self
            .keeper
            .received
            .iter()
            .map(|(&verb, &received)| (verb, VerbCounts { received, dropped: 0 }))
            .collect();
        evidence.dropped = 0;
        for (verb, dropped) in self.kernel.dropped()? {
            if dropped > 0 {
                evidence.by_verb.entry(verb).or_default().dropped = dropped;
                evidence.dropped += dropped;
            }
        }
        evidence.received = self.keeper.received.values().sum();
        evidence.emitted = self.kernel.emitted()?;
        Ok(())
    }
}
