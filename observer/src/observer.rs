//! Loaded probes and the runs that they watch.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::Path,
    rc::Rc,
    sync::Arc,
};

use ebpf_common::{
    maps::MAX_RUNS,
    record::{RecordError, decode},
};
use journal::{evidence::Evidence, manifest::ProbeSet, writer::WriteError};

use crate::{
    kernel_maps::{KernelMaps, MapsError, Rings},
    probes::{LoadError, Probes},
    protocol::Watch,
    session::causes,
    totals::Totals,
    watching::{WatchError, Watching},
};

/// How many effects are read before violations are looked for again: a flood must not delay them, nor
/// the heartbeat.
const BATCH: usize = 4096;

/// The probes, and every run that they watch, by slot.
pub struct Observer {
    /// The probes, alive as long as this is.
    pub probes: Probes,
    /// What they record.
    pub rings: Rings,
    maps: Rc<RefCell<KernelMaps>>,
    level: u32,
    runs: BTreeMap<u32, Watching>,
    free: BTreeSet<u32>,
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
        let mut probes = Probes::load(level, only)?;
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
            level,
            runs: BTreeMap::new(),
            free: slots.collect(),
        })
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
        if request.level != self.level {
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
    /// were, and the runs whose journal cannot be written.
    ///
    /// Violations are read first, so that responses come at once, and journaled after the effects
    /// that came before them: those may name the programs that the violations are of.
    pub fn read(&mut self) -> (u64, Vec<(u32, WriteError)>) {
        let Self { rings, runs, .. } = self;
        let mut violations = Vec::new();
        while let Some(item) = rings.violations.next() {
            match decode(&item) {
                Ok(decoded) => {
                    if let Some(run) = kept(runs, decoded.record.slot) {
                        run.keeper.foresee(&decoded);
                    }
                }
                Err(error) => note_unreadable(runs, &error),
            }
            violations.push(item.to_vec());
        }
        let mut count = violations.len() as u64;
        let mut failed = Vec::new();
        for _ in 0..BATCH {
            let Some(item) = rings.effects.next() else { break };
            count += 1;
            match decode(&item) {
                Ok(decoded) => {
                    if let Some(run) = kept(runs, decoded.record.slot)
                        && let Err(error) = run.keeper.keep(&decoded)
                    {
                        failed.push((decoded.record.slot, error));
                    }
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
        (count, failed)
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
        }
    }
}
