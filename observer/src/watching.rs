//! A run that is being watched: from ring buffers to journal, metrics and responses.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use ebpf_common::{Label, LabelId, Tier};
use journal::{
    clock::Clock,
    evidence::{Evidence, VerbCounts},
    files::RunDir,
    writer::{EffectWriter, WriteError},
};
use nix::time::{ClockId, clock_gettime};
use policy::{Compiled, LabelledRoot, PathLabels};

use crate::{
    interpret::{Interpreter, Owner},
    keeper::Keeper,
    kernel_run::{KernelRun, MapsError},
    metrics::Metrics,
    mounts::{Mounts, OpenRoot},
    probes::{LoadError, Probes, sees_refused_opens_alone},
    protocol::Watch,
};

/// How many effects are read before violations are looked for again: a flood must not delay them, nor
/// the heartbeat.
const BATCH: usize = 4096;

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
    /// A labelled root cannot be opened.
    #[error("cannot label {}", path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The run directory refused.
    #[error(transparent)]
    Directory(#[from] journal::files::FileError),
    /// The metrics' address is taken.
    #[error("cannot serve metrics on {address}")]
    Metrics {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
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
    /// The probes, alive as long as this is.
    pub probes: Probes,
    /// The kernel's side of the run.
    pub kernel: KernelRun,
    /// The run's metrics.
    pub metrics: Arc<Metrics>,
    keeper: Keeper,
    compiled: Compiled,
    skipped_before: BTreeMap<String, u64>,
    _roots: Vec<OpenRoot>,
}

impl Watching {
    /// Loads the probes and begins to watch.
    ///
    /// # Errors
    ///
    /// When the kernel, the request or the run directory does not allow it.
    pub fn start(request: &Watch) -> Result<Self, WatchError> {
        let directory = RunDir::open(&request.directory)?;
        let tier = Tier::from_number(request.tier)
            .ok_or_else(|| WatchError::Request(format!("there is no tier {}", request.tier)))?;
        let (text, name) = &request.policy;
        let compiled = policy::parse(text, name)
            .map_err(|error| WatchError::Request(error.to_string()))?
            .compile(tier, &request.components)
            .map_err(|error| WatchError::Request(error.to_string()))?;
        let mut probes = Probes::load(request.level, request.probe_set)?;
        let mut kernel = KernelRun::take(&mut probes.object)?;
        let mounts = Mounts::read()
            .map_err(|source| WatchError::Root { path: "/proc/self/mountinfo".into(), source })?;
        let mut open_roots = Vec::new();
        let mut labelled = Vec::new();
        for (name, path) in &request.roots {
            let label = Label::from_name(name)
                .ok_or_else(|| WatchError::Request(format!("there is no label {name}")))?;
            let roots = mounts
                .open_root(path)
                .map_err(|source| WatchError::Root { path: path.clone(), source })?;
            for root in roots {
                kernel.label(&root, label)?;
                open_roots.push(root);
            }
            let above = mounts
                .open_above(path)
                .map_err(|source| WatchError::Root { path: path.clone(), source })?;
            for directory in above {
                kernel.above(&directory, label)?;
                open_roots.push(directory);
            }
            labelled.push(LabelledRoot { path: path.clone(), label });
        }
        kernel.set_policy(&compiled.table(), request.mode)?;
        kernel.oversight(request.oversight_cgroup, &request.oversight_path)?;
        if let Some(pins) = &request.pins {
            probes.pin(pins)?;
        }
        let tier = request.tier.to_string();
        let metrics = Arc::new(Metrics::new(
            &request.run,
            &[
                ("scenario", &request.scenario),
                ("tier", &tier),
                ("mode", request.mode.name()),
                ("probe_set", probes.set.name()),
            ],
        ));
        let mut interpreter = Interpreter::new(
            compiled.clone(),
            PathLabels::new(labelled),
            request.mode,
            Clock::new(i128::from(request.boot_time_unix_ns)),
            mounts,
        );
        interpreter.set_binds(request.binds.clone());
        let keeper = Keeper {
            interpreter,
            journal: EffectWriter::create(&directory, &request.run)?,
            metrics: Arc::clone(&metrics),
            mode: request.mode,
            leaves: HashMap::new(),
            received: BTreeMap::new(),
            problems: Vec::new(),
        };
        let mut watching = Self {
            skipped_before: probes.skipped(),
            probes,
            kernel,
            metrics,
            keeper,
            compiled,
            _roots: open_roots,
        };
        watching.heartbeat()?;
        watching.kernel.start(request.cgroup)?;
        Ok(watching)
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

    /// Reads from the ring buffers, at most a batch of effects, and journals it; gives how many that
    /// were.
    ///
    /// Violations are read first, so that responses come at once, and journaled after the effects
    /// that came before them: those may name the programs that the violations are of.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written: the run's guarantee is broken.
    pub fn read(&mut self) -> Result<u64, WriteError> {
        let mut violations = Vec::new();
        while let Some(item) = self.kernel.violations.next() {
            self.keeper.foresee(&item);
            violations.push(item.to_vec());
        }
        let mut count = violations.len() as u64;
        for _ in 0..BATCH {
            let Some(item) = self.kernel.effects.next() else { break };
            self.keeper.keep(&item)?;
            count += 1;
        }
        for violation in &violations {
            self.keeper.keep_foreseen(violation)?;
        }
        Ok(count)
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

    /// Reads until every effect that the probes have numbered is journaled or counted as lost, and
    /// gives account. To be called when the run's processes are gone.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub fn finish(&mut self) -> Result<Evidence, WriteError> {
        let deadline = Instant::now() + DRAIN_DEADLINE;
        let mut evidence = Evidence::default();
        loop {
            let read = self.read()?;
            match self.counts(&mut evidence) {
                Ok(()) if evidence.adds_up() => break,
                Ok(()) if read > 0 => {}
                Ok(()) if Instant::now() >= deadline => {
                    self.keeper.note(format!(
                        "{} effects were emitted, {} received and {} dropped",
                        evidence.emitted, evidence.received, evidence.dropped
                    ));
                    break;
                }
                Ok(()) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => {
                    self.keeper.note(error.to_string());
                    break;
                }
            }
        }
        self.keeper.journal.flush()?;
        for (program, times) in self.probes.skipped() {
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
        Ok(evidence)
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
