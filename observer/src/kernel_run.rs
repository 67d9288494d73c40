//! One run as the kernel's maps hold it.

use std::{fs, io, path::Path};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError, RingBuf},
};
use ebpf_common::{
    Label, LabelId, Verb,
    maps::{
        Dropped, FileKey, LeafState, OVERSIGHT_SLOT, RunState, TABLE_BYTES, Table, TaskState,
        run_flags,
    },
    verb::MAX_VERBS,
};
use journal::manifest::Mode;
use zerocopy::IntoBytes as _;

use crate::mounts::OpenRoot;

/// The slot of the one run that an observer watches.
const SLOT: u32 = 0;

const LEAF_BYTES: usize = size_of::<LeafState>();
const TASK_BYTES: usize = size_of::<TaskState>();
const FILE_BYTES: usize = size_of::<FileKey>();
const RUN_BYTES: usize = size_of::<RunState>();
const DROPPED_BYTES: usize = size_of::<Dropped>();

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

fn failed(map: &'static str) -> impl Fn(MapError) -> MapsError {
    move |source| MapsError::Map { map, source: Box::new(source) }
}

fn file_key(file: &OpenRoot) -> [u8; FILE_BYTES] {
    let mut key = [0; FILE_BYTES];
    key.copy_from_slice(FileKey { slot: SLOT, ..file.key }.as_bytes());
    key
}

/// The maps of one run.
pub struct KernelRun {
    slots: HashMap<MapData, u64, u32>,
    runs: Array<MapData, [u8; RUN_BYTES]>,
    tables: Array<MapData, [u8; TABLE_BYTES]>,
    leaves: HashMap<MapData, u64, [u8; LEAF_BYTES]>,
    tasks: HashMap<MapData, u32, [u8; TASK_BYTES]>,
    files: HashMap<MapData, [u8; FILE_BYTES], u32>,
    ancestors: HashMap<MapData, [u8; FILE_BYTES], u32>,
    next_seq: Array<MapData, u64>,
    dropped: Array<MapData, [u8; DROPPED_BYTES]>,
    /// Effects without a violation.
    pub effects: RingBuf<MapData>,
    /// Violations.
    pub violations: RingBuf<MapData>,
    state: RunState,
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

impl KernelRun {
    /// Takes the maps out of a loaded object.
    ///
    /// # Errors
    ///
    /// When a map is not what its name says.
    pub fn take(object: &mut Ebpf) -> Result<Self, MapsError> {
        Ok(Self {
            slots: take!(object, "RUN_SLOTS"),
            runs: take!(object, "RUNS"),
            tables: take!(object, "TABLES"),
            leaves: take!(object, "LEAVES"),
            tasks: take!(object, "TASKS"),
            files: take!(object, "FILES"),
            ancestors: take!(object, "ANCESTORS"),
            next_seq: take!(object, "NEXT_SEQ"),
            dropped: take!(object, "DROPPED"),
            effects: take!(object, "EFFECTS"),
            violations: take!(object, "VIOLATIONS"),
            state: RunState::default(),
        })
    }

    /// Puts a policy in force: the table is written where nobody reads, then one write of the run's
    /// state points to it.
    ///
    /// # Errors
    ///
    /// When a map refuses.
    pub fn set_policy(&mut self, table: &Table, mode: Mode) -> Result<(), MapsError> {
        let idle = 1 - self.state.table;
        self.tables.set(idle, table.verdicts, 0).map_err(failed("TABLES"))?;
        self.state.table = idle;
        self.state.flags = match mode {
            Mode::Enforce => run_flags::ENFORCE,
            Mode::Observe => 0,
        };
        self.write_state()
    }

    /// Tells the probes that the observer lives.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub fn heartbeat(&mut self, boot_ns: u64) -> Result<(), MapsError> {
        self.state.heartbeat_boot_ns = boot_ns;
        self.write_state()
    }

    fn write_state(&mut self) -> Result<(), MapsError> {
        let mut bytes = [0; RUN_BYTES];
        bytes.copy_from_slice(self.state.as_bytes());
        self.runs.set(SLOT, bytes, 0).map_err(failed("RUNS"))
    }

    /// Labels a root.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub fn label(&mut self, root: &OpenRoot, label: Label) -> Result<(), MapsError> {
        self.files.insert(file_key(root), label as u32, 0).map_err(failed("FILES"))
    }

    /// Notes that something labelled lies below a directory.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub fn above(&mut self, directory: &OpenRoot, label: Label) -> Result<(), MapsError> {
        let key = file_key(directory);
        let known = match self.ancestors.get(&key, 0) {
            Ok(below) => below,
            Err(MapError::KeyNotFound) => 0,
            Err(error) => return Err(failed("ANCESTORS")(error)),
        };
        let below = known | 1 << label as u32;
        self.ancestors.insert(key, below, 0).map_err(failed("ANCESTORS"))
    }

    /// Names a leaf.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub fn leaf(&mut self, leaf: u64, label: LabelId) -> Result<(), MapsError> {
        self.insert_leaf(leaf, SLOT, label)
    }

    fn insert_leaf(&mut self, leaf: u64, slot: u32, label: LabelId) -> Result<(), MapsError> {
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
    pub fn oversight(&mut self, cgroup: u64, path: &Path) -> Result<(), MapsError> {
        let list = path.join("cgroup.procs");
        let listed = |source| MapsError::Processes { path: list.display().to_string(), source };
        self.insert_leaf(cgroup, OVERSIGHT_SLOT, LabelId::of(Label::Oversight))?;
        for tgid in fs::read_to_string(&list).map_err(listed)?.lines() {
            let Ok(tgid) = tgid.parse::<u32>() else { continue };
            // A process that is gone by now needs no entry.
            let Ok(threads) = fs::read_dir(format!("/proc/{tgid}/task")) else { continue };
            for tid in threads
                .flatten()
                .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            {
                let mut bytes = [0; TASK_BYTES];
                let state = TaskState { leaf: cgroup, tgid, ..TaskState::default() };
                bytes.copy_from_slice(state.as_bytes());
                self.tasks.insert(tid, bytes, 0).map_err(failed("TASKS"))?;
            }
        }
        self.slots.insert(cgroup, OVERSIGHT_SLOT, 0).map_err(failed("RUN_SLOTS"))
    }

    /// Begins to watch: from here on the run's processes are somebody.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub fn start(&mut self, cgroup: u64) -> Result<(), MapsError> {
        self.slots.insert(cgroup, SLOT, 0).map_err(failed("RUN_SLOTS"))
    }

    /// How many effects the probes have numbered.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub fn emitted(&self) -> Result<u64, MapsError> {
        self.next_seq.get(&SLOT, 0).map_err(failed("NEXT_SEQ"))
    }

    /// How many effects were lost, by verb.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub fn dropped(&self) -> Result<impl Iterator<Item = (Verb, u64)> + use<>, MapsError> {
        let bytes = self.dropped.get(&SLOT, 0).map_err(failed("DROPPED"))?;
        let mut counts = Dropped { by_verb: [0; MAX_VERBS] };
        counts.as_mut_bytes().copy_from_slice(&bytes);
        Ok(Verb::ALL.iter().map(move |&verb| (verb, counts.by_verb[verb.number() as usize])))
    }
}
