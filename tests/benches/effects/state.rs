//! What is attached while a block runs, and what it leaves in the ring buffers.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aya::maps::{HashMap, MapData, RingBuf};
use ebpf_common::record::decode;
use journal::{
    files::RunDir,
    manifest::{Mode, ProbeSet},
    redact::Redaction,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use observer::{
    Observer,
    probes::{EmptyPrograms, Probes},
    protocol::Watch,
    totals::Totals,
};

use crate::{operation::Operation, place::Places, worker::Worker};

/// How long a block may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long the observer lets the ring buffers rest.
const POLL: Duration = Duration::from_millis(10);

/// What is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing.
    Off,
    /// An empty program on each hook that the probes are on.
    Empty,
    /// The floor.
    Floor,
    /// The probes; what they record is thrown away after the block.
    On,
    /// The probes; the observer decodes, journals and counts meanwhile.
    Observed,
}

impl State {
    pub(crate) const ALL: [Self; 5] =
        [Self::Off, Self::Empty, Self::Floor, Self::On, Self::Observed];

    /// Whether what a run does is recorded.
    const fn records(self) -> bool {
        !matches!(self, Self::Off | Self::Empty)
    }
}

/// Empty programs, the floor and the probes, loaded once.
pub(crate) struct Attachments {
    empty: EmptyPrograms,
    floor: Probes,
    floor_records: RingBuf<MapData>,
    observer: Observer,
}

impl Attachments {
    /// Loads all; attaches nothing.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub(crate) fn load(
        places: &Places,
        set: Option<ProbeSet>,
        files: &Path,
        journal: &Path,
    ) -> Result<Self> {
        let mut observer = watch(places, set, files, journal).context("cannot load the probes")?;
        observer.probes.pause()?;
        let mut floor = Probes::load_floor(observer.at, observer.probes.set)
            .context("cannot load the floor")?;
        floor.pause()?;
        let slots = floor.object.take_map("RUN_SLOTS").context("the floor has RUN_SLOTS")?;
        let mut slots: HashMap<_, u64, u32> = slots.try_into()?;
        slots.insert(places.run.cgroup().id(), 0, 0)?;
        let records = floor.object.take_map("RECORDS").context("the floor has RECORDS")?;
        let empty = EmptyPrograms::load(&observer.probes).context("cannot load empty programs")?;
        Ok(Self { empty, floor, floor_records: records.try_into()?, observer })
    }

    /// The set of both.
    pub(crate) fn set(&self) -> ProbeSet {
        self.observer.probes.set
    }

    /// Why it is not the `lsm` set, where it is not.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.observer.probes.reason.as_deref()
    }

    /// Attaches what belongs to the state and detaches everything else.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub(crate) fn enter(&mut self, state: State) -> Result<()> {
        self.empty.pause();
        self.floor.pause()?;
        self.observer.probes.pause()?;
        match state {
            State::Off => {}
            State::Empty => self.empty.resume()?,
            State::Floor => self.floor.resume()?,
            State::On | State::Observed => {
                self.heartbeat()?;
                self.observer.probes.resume()?;
            }
        }
        Ok(())
    }

    /// Has a block done; gives the nanoseconds of one operation. Checks that it left the records that it must.
    ///
    /// # Errors
    ///
    /// When the worker fails or the records are not what they must be.
    pub(crate) fn block(
        &mut self,
        state: State,
        worker: &mut Worker,
        operation: Operation,
        count: u64,
        in_a_run: bool,
    ) -> Result<f64> {
        let deadline = Instant::now() + DEADLINE;
        let mut records = 0;
        worker.ask(operation, count)?;
        let rest = if state == State::Observed { POLL } else { DEADLINE };
        while !readable(worker, rest)? {
            if Instant::now() >= deadline {
                bail!("{} did not end within {} s", operation.name(), DEADLINE.as_secs());
            }
            if state == State::Observed {
                records += self.read()?;
            }
        }
        let nanoseconds = worker.answer()?;
        records += match state {
            State::Off | State::Empty => 0,
            State::Floor => count_records(&mut self.floor_records)?,
            State::On => {
                let rings = &mut self.observer.rings;
                count_records(&mut rings.effects)? + count_records(&mut rings.violations)?
            }
            State::Observed => self.read_all()?,
        };
        let per_operation = match state {
            // It has programs where something goes, and none where something comes.
            State::Floor => operation.floor_records(),
            _ => operation.records(),
        };
        let due = if in_a_run && state.records() { per_operation * count } else { 0 };
        if records != due {
            bail!("{count} {} in {state:?} left {records} records, not {due}", operation.name());
        }
        Ok(nanoseconds)
    }
}

impl Attachments {
    fn heartbeat(&mut self) -> Result<()> {
        match self.observer.heartbeat()?.pop() {
            Some((_, error)) => bail!(error),
            None => Ok(()),
        }
    }

    fn read(&mut self) -> Result<u64> {
        let count = self.observer.read();
        match self.observer.failed().pop() {
            Some((_, error)) => Err(error.into()),
            None => Ok(count),
        }
    }

    /// Has the observer read whatever there is: one read takes only so much.
    fn read_all(&mut self) -> Result<u64> {
        let mut all = 0;
        loop {
            match self.read()? {
                0 => return Ok(all),
                some => all += some,
            }
        }
    }
}

fn readable(worker: &Worker, timeout: Duration) -> Result<bool> {
    let mut ready = [PollFd::new(worker.answer_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut ready, PollTimeout::try_from(timeout)?)? > 0)
}

fn count_records(ring: &mut RingBuf<MapData>) -> Result<u64> {
    let mut count = 0;
    while let Some(item) = ring.next() {
        decode(&item)?;
        count += 1;
    }
    Ok(count)
}

/// Watches the run as an observer would: the shipped policy, enforced, and a labelled workspace.
fn watch(places: &Places, set: Option<ProbeSet>, files: &Path, journal: &Path) -> Result<Observer> {
    let directory = RunDir::create(journal)?;
    let request = Watch {
        binds: Vec::new(),
        run: places.run.name().to_owned(),
        directory: directory.path().to_owned(),
        cgroup: places.run.cgroup().id(),
        cgroup_path: places.run.path().to_owned(),
        level: places.level,
        oversight_cgroup: places.oversight.id(),
        oversight_path: places.oversight.path().to_owned(),
        policy: (
            include_str!("../../../policies/default.toml").to_owned(),
            "policies/default.toml".to_owned(),
        ),
        tier: 2,
        mode: Mode::Enforce,
        scenario: "bench".to_owned(),
        components: Vec::new(),
        roots: vec![("workspace".to_owned(), files.to_owned())],
        addresses: Vec::new(),
        boot_time_unix_ns: 0,
        metrics: None,
        probe_set: set,
        pins: None,
        redaction: Redaction::default(),
    };
    let runs = places.run.path().parent().context("a run lies in a cgroup")?;
    let mut observer = Observer::load(places.level, set, runs, None)?;
    let slot = observer.watch(&request, &Totals::new())?;
    let subject = places.subject.path().to_owned();
    observer.run(slot).call(1, places.subject.id(), subject)?;
    Ok(observer)
}
