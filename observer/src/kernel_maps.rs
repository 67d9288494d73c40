//! The probes' maps, which all runs share.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError, RingBuf},
};
use ebpf_common::{
    Label, LabelId,
    address::AddressKey,
    maps::{Dropped, FileKey, LeafState, OVERSIGHT_SLOT, RunState, TABLE_BYTES, TaskState},
    opening::OpeningKey,
};
use zerocopy::{FromBytes as _, IntoBytes as _};

pub(crate) const LEAF_BYTES: usize = size_of::<LeafState>();
const TASK_BYTES: usize = size_of::<TaskState>();
pub(crate) const FILE_BYTES: usize = size_of::<FileKey>();
pub(crate) const ADDRESS_BYTES: usize = size_of::<AddressKey>();
pub(crate) const OPENING_BYTES: usize = size_of::<OpeningKey>();
pub(crate) const RUN_BYTES: usize = size_of::<RunState>();
pub(crate) const DROPPED_BYTES: usize = size_of::<Dropped>();

/// How many entries of the map of tasks are looked at, whatever comes and goes meanwhile: twice what
/// it holds.
const MOST_LISTED: usize = 1 << 18;

/// Why the kernel could not be told.
#[derive(Debug, thiserror::Error)]
pub enum MapsError {
    /// A map refused.
    #[error("cannot write the probes' map {map}")]
    Map {
        /// The map.
        map: &'static str,
        /// Why.
        #[source]
        source: Box<MapError>,
    },
    /// A process's threads could not be listed.
    #[error("cannot list the processes of {path}")]
    Processes {
        /// What was read.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

pub(crate) fn failed(map: &'static str) -> impl Fn(MapError) -> MapsError {
    move |source| MapsError::Map { map, source: Box::new(source) }
}

/// What was not there need not be removed.
pub(crate) fn removed(map: &'static str, result: Result<(), MapError>) -> Result<(), MapsError> {
    match result {
        Err(MapError::KeyNotFound) | Ok(()) => Ok(()),
        // bpf(2): what a hash map says of a key that it does not hold.
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Ok(())
        }
        Err(error) => Err(failed(map)(error)),
    }
}

/// The two ring buffers.
pub struct Rings {
    /// Effects without a violation.
    pub effects: RingBuf<MapData>,
    /// Violations.
    pub violations: RingBuf<MapData>,
}

/// Every other map.
pub struct KernelMaps {
    pub(crate) slots: HashMap<MapData, u64, u32>,
    pub(crate) runs: Array<MapData, [u8; RUN_BYTES]>,
    pub(crate) tables: Array<MapData, [u8; TABLE_BYTES]>,
    pub(crate) leaves: HashMap<MapData, u64, [u8; LEAF_BYTES]>,
    tasks: HashMap<MapData, u32, [u8; TASK_BYTES]>,
    pub(crate) files: HashMap<MapData, [u8; FILE_BYTES], u32>,
    pub(crate) ancestors: HashMap<MapData, [u8; FILE_BYTES], u32>,
    pub(crate) addresses: HashMap<MapData, [u8; ADDRESS_BYTES], u32>,
    pub(crate) openings: HashMap<MapData, [u8; OPENING_BYTES], u32>,
    pub(crate) next_seq: Array<MapData, u64>,
    pub(crate) dropped: Array<MapData, [u8; DROPPED_BYTES]>,
    oversight: Option<Oversight>,
}

/// The processes that watch.
struct Oversight {
    cgroup: u64,
    /// File that lists them.
    list: PathBuf,
    known: BTreeSet<u32>,
}

macro_rules! take {
    ($object:expr, $name:literal) => {
        $object
            .take_map($name)
            .expect("the object declares the map")
            .try_into()
            .map_err(failed($name))?
    };
}

impl KernelMaps {
    /// Takes the maps out of a loaded object.
    ///
    /// # Errors
    ///
    /// When a map is not what its name says.
    pub fn take(object: &mut Ebpf) -> Result<(Self, Rings), MapsError> {
        let maps = Self {
            slots: take!(object, "RUN_SLOTS"),
            runs: take!(object, "RUNS"),
            tables: take!(object, "TABLES"),
            leaves: take!(object, "LEAVES"),
            tasks: take!(object, "TASKS"),
            files: take!(object, "FILES"),
            ancestors: take!(object, "ANCESTORS"),
            addresses: take!(object, "ADDRESSES"),
            openings: take!(object, "OPENINGS"),
            next_seq: take!(object, "NEXT_SEQ"),
            dropped: take!(object, "DROPPED"),
            oversight: None,
        };
        let rings =
            Rings { effects: take!(object, "EFFECTS"), violations: take!(object, "VIOLATIONS") };
        Ok((maps, rings))
    }

    pub(crate) fn insert_leaf(
        &mut self,
        leaf: u64,
        slot: u32,
        label: LabelId,
    ) -> Result<(), MapsError> {
        let mut bytes = [0; LEAF_BYTES];
        bytes.copy_from_slice(LeafState { slot, label: u32::from(label.number()) }.as_bytes());
        self.leaves.insert(leaf, bytes, 0).map_err(failed("LEAVES"))
    }

    /// Names oversight's cgroup and the processes that are in it by now; those that they start
    /// follow by themselves.
    ///
    /// # Errors
    ///
    /// When a map refuses or the processes cannot be listed.
    pub(crate) fn oversight(&mut self, cgroup: u64, path: &Path) -> Result<(), MapsError> {
        let list = path.join("cgroup.procs");
        if self.oversight.as_ref().is_none_or(|known| known.cgroup != cgroup) {
            self.insert_leaf(cgroup, OVERSIGHT_SLOT, LabelId::of(Label::Oversight))?;
            self.oversight = Some(Oversight { cgroup, list, known: BTreeSet::new() });
        }
        self.follow_oversight()?;
        self.slots.insert(cgroup, OVERSIGHT_SLOT, 0).map_err(failed("RUN_SLOTS"))
    }

    /// Forgets the processes that watch, until they are named again.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub(crate) fn forget_oversight(&mut self) -> Result<(), MapsError> {
        let Some(Oversight { cgroup, .. }) = self.oversight.take() else { return Ok(()) };
        self.forget_tasks(|task| task.leaf == cgroup)
    }

    /// Follows who has come to oversight's cgroup and who has left it: a process that left would
    /// hand its place on to whoever gets its number.
    ///
    /// # Errors
    ///
    /// When a map refuses or the processes cannot be listed.
    pub(crate) fn follow_oversight(&mut self) -> Result<(), MapsError> {
        let Some(oversight) = &mut self.oversight else { return Ok(()) };
        let path = &oversight.list;
        let listed = |source| MapsError::Processes { path: path.display().to_string(), source };
        let list = fs::read_to_string(path).map_err(listed)?;
        let now: BTreeSet<u32> = list.lines().filter_map(|tgid| tgid.parse().ok()).collect();
        if now == oversight.known {
            return Ok(());
        }
        let cgroup = oversight.cgroup;
        let come: Vec<u32> = now.difference(&oversight.known).copied().collect();
        let has_left = oversight.known.difference(&now).next().is_some();
        oversight.known.clone_from(&now);
        for tgid in come {
            self.insert_tasks(cgroup, tgid)?;
        }
        if has_left {
            self.forget_tasks(|task| task.leaf == cgroup && !now.contains(&task.tgid))?;
        }
        Ok(())
    }

    fn insert_tasks(&mut self, leaf: u64, tgid: u32) -> Result<(), MapsError> {
        // A process that is gone by now needs no entry.
        let Ok(threads) = fs::read_dir(format!("/proc/{tgid}/task")) else { return Ok(()) };
        let tids =
            threads.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        for tid in tids {
            let mut bytes = [0; TASK_BYTES];
            let state = TaskState { leaf, tgid, ..TaskState::default() };
            bytes.copy_from_slice(state.as_bytes());
            self.tasks.insert(tid, bytes, 0).map_err(failed("TASKS"))?;
        }
        Ok(())
    }

    /// Forgets the tasks of which `is_gone` holds.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub(crate) fn forget_tasks(
        &mut self,
        is_gone: impl Fn(&TaskState) -> bool,
    ) -> Result<(), MapsError> {
        let mut gone = Vec::new();
        // An entry that goes while it is looked at starts the listing anew.
        for entry in self.tasks.iter().take(MOST_LISTED) {
            // An entry that is removed meanwhile by its task's end is what is wished for.
            let Ok((tid, bytes)) = entry else { continue };
            if TaskState::read_from_bytes(&bytes).is_ok_and(|task| is_gone(&task)) {
                gone.push(tid);
            }
        }
        gone.into_iter().try_for_each(|tid| removed("TASKS", self.tasks.remove(&tid)))
    }
}
