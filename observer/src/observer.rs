//! Loaded probes and the runs that they watch.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    thread,
    time::Duration,
};

use ebpf_common::{
    maps::{CANARY_SLOT, MAX_RUNS},
    record::{Decoded, RecordError, decode},
};
use journal::{evidence::Evidence, manifest::ProbeSet, writer::WriteError};

use crate::{
    canary::{Canary, CanaryError, CanaryResult},
    kernel_maps::{KernelMaps, MapsError, Rings},
    probes::{LoadError, Probes, RunsAt},
    protocol::Watch,
    session::causes,
    totals::Totals,
    watching::{WatchError, Watching},
};

/// How many effects are read before violations are looked for again: a flood must not delay them, nor
/// the heartbeat.
const BATCH: usize = 4096;

/// How long is waited between looks at the canary before a run begins.
const PROOF_LOOK: Duration = Duration::from_millis(1);

/// The probes, and every run that they watch, by slot.
pub struct Observer {
    /// The probes, alive as long as this is.
    pub probes: Probes,
    /// What they record.
    pub rings: Rings,
    maps: Rc<RefCell<KernelMaps>>,
    /// Where its runs are.
    pub at: RunsAt,
    cgroups: PathBuf,
    runs: BTreeMap<u32, Watching>,
    free: BTreeSet<u32>,
    canary: Option<Canary>,
    /// Whether the probes are detached, as no run is watched.
    rests: bool,
    /// Runs whose journal cannot be written, until somebody asks.
    failed: Vec<(u32, WriteError)>,
    /// Whether the ring buffers were empty when they were last read.
    has_read_all: bool,
}

/// Why no runs can be watched.
#[derive(Debug, thiserror::Error)]
pub enum ObserverError {
    /// No probes.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The kernel's maps refused.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// No canary.
    #[error(transparent)]
    Canary(#[from] CanaryError),
}

impl Observer {
    /// Loads the probes. `level` is the level of a run's cgroup in the hierarchy, `only` asks for one
    /// set, `cgroups` is the directory of the cgroup that holds all runs, `pins` is a directory in the BPF file system that keeps the programs when this process
    /// dies.
    ///
    /// # Errors
    ///
    /// When the kernel does not allow it.
    pub fn load(
        level: u32,
        only: Option<ProbeSet>,
        cgroups: &Path,
        pins: Option<&Path>,
    ) -> Result<Self, ObserverError> {
        let parent = fs::metadata(cgroups)
            .map_err(|source| LoadError::Cgroup { path: cgroups.display().to_string(), source })?
            .ino();
        let at = RunsAt { level, parent };
        let mut probes = Probes::load(at, only)?;
        let (maps, rings) = KernelMaps::take(&mut probes.object)?;
        probes.attach_addresses(cgroups)?;
        if let Some(pins) = pins {
            probes.pin(pins)?;
        }
        let slots = 0..u32::try_from(MAX_RUNS).expect("there are few slots");
        Ok(Self {
            probes,
            rings,
            maps: Rc::new(RefCell::new(maps)),
            at,
            cgroups: cgroups.to_owned(),
            runs: BTreeMap::new(),
            free: slots.collect(),
            canary: None,
            rests: false,
            failed: Vec::new(),
            has_read_all: false,
        })
    }

    /// Keeps a canary from now on, if there is none yet, and waits until it has shown that the hooks
    /// fire; gives what it has shown.
    ///
    /// # Errors
    ///
    /// When the canary cannot be set up.
    pub(crate) fn prove_hooks(&mut self) -> Result<CanaryResult, ObserverError> {
        self.wake()?;
        match &mut self.canary {
            Some(canary) => canary.hasten(),
            empty => *empty = Some(Canary::start(&self.cgroups, self.probes.set, &self.maps)?),
        }
        loop {
            self.read();
            if let Some(result) = self.try_hooks()? {
                return Ok(result);
            }
            thread::sleep(PROOF_LOOK);
        }
    }

    /// Lets the canary go on, between two readings; gives what came of its act, if one has ended.
    ///
    /// # Errors
    ///
    /// When the kernel's maps refuse.
    pub(crate) fn try_hooks(&mut self) -> Result<Option<CanaryResult>, MapsError> {
        match &mut self.canary {
            Some(canary) if !self.rests => canary.go_on(self.has_read_all),
            _ => Ok(None),
        }
    }

    /// Lets the probes rest where no run is watched and they cost the whole host: a program on each end
    /// of a system call slows down every one of every process.
    ///
    /// # Errors
    ///
    /// When the kernel or a map refuses.
    pub(crate) fn rest_if_idle(&mut self) -> Result<(), ObserverError> {
        let is_costly = self.probes.set == ProbeSet::Tracepoint;
        if is_costly && !self.rests && self.runs.is_empty() {
            self.probes.pause()?;
            // Nobody follows who comes and goes until the next run.
            self.maps.borrow_mut().forget_oversight()?;
            self.rests = true;
        }
        Ok(())
    }

    fn wake(&mut self) -> Result<(), LoadError> {
        if self.rests {
            self.probes.resume()?;
            self.rests = false;
        }
        Ok(())
    }

    /// How many runs it could watch besides.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Begins to watch a run, and gives its slot. What is counted of it counts in `totals` too.
    ///
    /// # Errors
    ///
    /// When the kernel, the request or the run directory does not allow it.
    pub fn watch(&mut self, request: &Watch, totals: &Arc<Totals>) -> Result<u32, WatchError> {
        if request.level != self.at.level {
            return Err(WatchError::Unfit("its cgroups lie at another level".to_owned()));
        }
        if let Some(set) = request.probe_set.filter(|&set| set != self.probes.set) {
            let message =
                format!("it has loaded the {} set, not {}", self.probes.set.name(), set.name());
            return Err(WatchError::Unfit(message));
        }
        let Some(slot) = self.free.pop_first() else {
            return Err(WatchError::Unfit(format!("it watches {MAX_RUNS} runs already")));
        };
        match Watching::start(request, &self.probes, &self.maps, slot, totals) {
            Ok(watching) => {
                self.runs.insert(slot, watching);
                Ok(slot)
            }
            Err(error) => {
                // What could not be taken back keeps the slot.
                if !matches!(error, WatchError::Maps(_)) {
                    self.free.insert(slot);
                }
                Err(error)
            }
        }
    }

    /// The run in a slot.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn run(&mut self, slot: u32) -> &mut Watching {
        self.runs.get_mut(&slot).expect("a run has its slot until it is released")
    }

    /// Reads from the ring buffers, at most a batch of effects, and journals it; gives how many that
    /// were.
    ///
    /// Violations are read first, so that responses come at once, and journaled after the effects
    /// that came before them: those may name the programs that the violations are of.
    pub fn read(&mut self) -> u64 {
        let Self { rings, runs, canary, failed, .. } = self;
        let mut violations = Vec::new();
        while let Some(item) = rings.violations.next() {
            match decode(&item) {
                Ok(decoded) => {
                    if let Some(run) = kept(runs, decoded.record.slot) {
                        run.keeper.foresee(&decoded);
                    }
                    note_canary(canary, &decoded);
                }
                Err(error) => note_unreadable(runs, &error),
            }
            violations.push(item.to_vec());
        }
        let mut count = violations.len() as u64;
        self.has_read_all = false;
        for _ in 0..BATCH {
            let Some(item) = rings.effects.next() else {
                self.has_read_all = true;
                break;
            };
            count += 1;
            match decode(&item) {
                Ok(decoded) => {
                    if let Some(run) = kept(runs, decoded.record.slot)
                        && let Err(error) = run.keeper.keep(&decoded)
                    {
                        failed.push((decoded.record.slot, error));
                    }
                    note_canary(canary, &decoded);
                }
                Err(error) => note_unreadable(runs, &error),
            }
        }
        // What does not decode is in the problems already.
        for decoded in violations.iter().filter_map(|item| decode(item).ok()) {
            if let Some(run) = kept(runs, decoded.record.slot)
                && let Err(error) = run.keeper.keep_foreseen(&decoded)
            {
                failed.push((decoded.record.slot, error));
            }
        }
        count
    }

    /// The runs whose journal could not be written since this was asked last.
    pub fn failed(&mut self) -> Vec<(u32, WriteError)> {
        std::mem::take(&mut self.failed)
    }

    /// Gives account of a run whose end has begun, when its last effects are in; then its slot is
    /// free.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written: the run is released all the same.
    pub fn account(&mut self, slot: u32) -> Result<Option<Evidence>, WriteError> {
        let Self { probes, runs, .. } = self;
        let run = runs.get_mut(&slot).expect("a run has its slot until it is released");
        let accounted = run.account(|| probes.skipped());
        match &accounted {
            Ok(None) => {}
            // Effects that are still on their way must not meet another run.
            Ok(Some(evidence)) => self.release(slot, evidence.adds_up()),
            Err(_) => self.release(slot, false),
        }
        accounted
    }

    /// Ends the watch over a run; its slot is free for another if that `is_clear`.
    pub fn release(&mut self, slot: u32, is_clear: bool) {
        let Some(mut run) = self.runs.remove(&slot) else { return };
        match run.release() {
            Ok(()) if is_clear => {
                self.free.insert(slot);
            }
            Ok(()) => {}
            Err(error) => tracing::error!(%error, slot, "a slot cannot be used again"),
        }
    }

    /// Tells the probes and the metrics that the observer lives, and does what else is due now and
    /// then; gives the runs for which that failed.
    ///
    /// # Errors
    ///
    /// When the processes that watch are no longer known.
    pub fn heartbeat(&mut self) -> Result<Vec<(u32, String)>, MapsError> {
        let mut failed = Vec::new();
        for (&slot, run) in self.runs.iter_mut().filter(|(_, run)| !run.given_up) {
            let beat = run.heartbeat().and_then(|()| run.count_drops()).map_err(|it| causes(&it));
            if let Err(error) = beat.and_then(|()| run.flush().map_err(|it| causes(&it))) {
                failed.push((slot, error));
            }
        }
        self.maps.borrow_mut().follow_oversight()?;
        Ok(failed)
    }
}

/// The run in a slot, as long as its record can be kept.
fn kept(runs: &mut BTreeMap<u32, Watching>, slot: u32) -> Option<&mut Watching> {
    runs.get_mut(&slot).filter(|run| !run.given_up)
}

fn note_canary(canary: &mut Option<Canary>, decoded: &Decoded<'_>) {
    if let Some(canary) = canary.as_mut().filter(|_| decoded.record.slot == CANARY_SLOT) {
        canary.record(decoded.record.outcome);
    }
}

/// A record that nobody can read may be anybody's.
fn note_unreadable(runs: &mut BTreeMap<u32, Watching>, error: &RecordError) {
    for run in runs.values_mut() {
        run.keeper.note(error.to_string());
    }
}

impl From<ObserverError> for WatchError {
    fn from(error: ObserverError) -> Self {
        match error {
            ObserverError::Load(error) => Self::Load(error),
            ObserverError::Maps(error) => Self::Maps(error),
            ObserverError::Canary(error) => Self::Canary(error),
        }
    }
}
