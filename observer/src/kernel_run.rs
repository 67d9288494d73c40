//! One run as the kernel's maps hold it.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use aya::maps::MapError;
use ebpf_common::{
    Label, LabelId, Verb,
    maps::{Dropped, FileKey, RunState, Table, run_flags},
    opening::OpeningKey,
    verb::MAX_VERBS,
};
use journal::manifest::Mode;
use policy::AddressPattern;
use zerocopy::IntoBytes as _;

use crate::{
    kernel_maps::{
        ADDRESS_BYTES, DROPPED_BYTES, FILE_BYTES, KernelMaps, MapsError, OPENING_BYTES, RUN_BYTES,
        failed, removed,
    },
    mounts::OpenRoot,
};

/// The maps' entries of one run.
pub(crate) struct KernelRun {
    maps: Rc<RefCell<KernelMaps>>,
    slot: u32,
    cgroup: u64,
    state: RunState,
    // What is to be taken out again.
    leaves: BTreeSet<u64>,
    files: BTreeSet<[u8; FILE_BYTES]>,
    ancestors: BTreeSet<[u8; FILE_BYTES]>,
    addresses: BTreeSet<[u8; ADDRESS_BYTES]>,
    openings: BTreeSet<[u8; OPENING_BYTES]>,
}

impl KernelRun {
    /// The run in a slot that nobody else has.
    #[must_use]
    pub(crate) fn new(maps: Rc<RefCell<KernelMaps>>, slot: u32, cgroup: u64) -> Self {
        Self {
            maps,
            slot,
            cgroup,
            state: RunState::default(),
            leaves: BTreeSet::new(),
            files: BTreeSet::new(),
            ancestors: BTreeSet::new(),
            addresses: BTreeSet::new(),
            openings: BTreeSet::new(),
        }
    }

    /// Puts a policy in force: the table is written where nobody reads, then one write of the run's
    /// state points to it. `hooks_decide` where the probe set can refuse: only there can it deny what
    /// needs oversight while nobody watches.
    ///
    /// # Errors
    ///
    /// When a map refuses.
    pub(crate) fn set_policy(
        &mut self,
        table: &Table,
        mode: Mode,
        hooks_decide: bool,
    ) -> Result<(), MapsError> {
        // The run's two tables lie side by side.
        let first = self.slot * 2;
        let idle = if self.state.table == first { first + 1 } else { first };
        self.maps.borrow_mut().tables.set(idle, table.verdicts, 0).map_err(failed("TABLES"))?;
        self.state.table = idle;
        self.state.flags = match mode {
            Mode::Enforce if hooks_decide => run_flags::ENFORCE | run_flags::DEAD_MANS_SWITCH,
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
    pub(crate) fn heartbeat(&mut self, boot_ns: u64) -> Result<(), MapsError> {
        self.state.heartbeat_boot_ns = boot_ns;
        self.write_state()
    }

    fn write_state(&mut self) -> Result<(), MapsError> {
        let mut bytes = [0; RUN_BYTES];
        bytes.copy_from_slice(self.state.as_bytes());
        self.maps.borrow_mut().runs.set(self.slot, bytes, 0).map_err(failed("RUNS"))
    }

    fn file_key(&self, file: &OpenRoot) -> [u8; FILE_BYTES] {
        let mut key = [0; FILE_BYTES];
        key.copy_from_slice(FileKey { slot: self.slot, ..file.key }.as_bytes());
        key
    }

    /// Labels a root.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub(crate) fn label(&mut self, root: &OpenRoot, label: Label) -> Result<(), MapsError> {
        let key = self.file_key(root);
        self.files.insert(key);
        self.maps.borrow_mut().files.insert(key, label as u32, 0).map_err(failed("FILES"))
    }

    /// Notes that something labelled lies below a directory.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub(crate) fn above(&mut self, directory: &OpenRoot, label: Label) -> Result<(), MapsError> {
        let key = self.file_key(directory);
        self.ancestors.insert(key);
        let ancestors = &mut self.maps.borrow_mut().ancestors;
        let known = match ancestors.get(&key, 0) {
            Ok(below) => below,
            Err(MapError::KeyNotFound) => 0,
            Err(error) => return Err(failed("ANCESTORS")(error)),
        };
        let below = known | 1 << label as u32;
        ancestors.insert(key, below, 0).map_err(failed("ANCESTORS"))
    }

    /// Labels an address. Of two labels for one address `oversight` counts, else the later one.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub(crate) fn label_address(
        &mut self,
        pattern: &AddressPattern,
        label: LabelId,
    ) -> Result<(), MapsError> {
        let mut key = [0; ADDRESS_BYTES];
        key.copy_from_slice(pattern.key(self.slot).as_bytes());
        self.addresses.insert(key);
        let addresses = &mut self.maps.borrow_mut().addresses;
        let oversight = u32::from(LabelId::of(Label::Oversight).number());
        if addresses.get(&key, 0).is_ok_and(|before| before == oversight) {
            return Ok(());
        }
        addresses.insert(key, u32::from(label.number()), 0).map_err(failed("ADDRESSES"))
    }

    /// Names a leaf.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub(crate) fn leaf(&mut self, leaf: u64, label: LabelId) -> Result<(), MapsError> {
        self.leaves.insert(leaf);
        self.maps.borrow_mut().insert_leaf(leaf, self.slot, label)
    }

    /// Opens an act, once, by the approval of a question.
    ///
    /// # Errors
    ///
    /// When the map refuses: then nothing is opened.
    pub(crate) fn open(&mut self, act: OpeningKey, question: u32) -> Result<(), MapsError> {
        let mut key = [0; OPENING_BYTES];
        key.copy_from_slice(act.as_bytes());
        self.openings.insert(key);
        self.maps.borrow_mut().openings.insert(key, question, 0).map_err(failed("OPENINGS"))
    }

    /// Begins to watch: from here on the run's processes are somebody.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub(crate) fn start(&mut self) -> Result<(), MapsError> {
        self.maps.borrow_mut().slots.insert(self.cgroup, self.slot, 0).map_err(failed("RUN_SLOTS"))
    }

    /// How many effects the probes have numbered.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub(crate) fn emitted(&self) -> Result<u64, MapsError> {
        self.maps.borrow().next_seq.get(&self.slot, 0).map_err(failed("NEXT_SEQ"))
    }

    /// How many effects were lost, by verb.
    ///
    /// # Errors
    ///
    /// When the map refuses.
    pub(crate) fn dropped(&self) -> Result<impl Iterator<Item = (Verb, u64)> + use<>, MapsError> {
        let bytes = self.maps.borrow().dropped.get(&self.slot, 0).map_err(failed("DROPPED"))?;
        let mut counts = Dropped { by_verb: [0; MAX_VERBS] };
        counts.as_mut_bytes().copy_from_slice(&bytes);
        Ok(Verb::ALL.iter().map(move |&verb| (verb, counts.by_verb[verb.number() as usize])))
    }

    /// Takes everything of the run out of the maps, so that another can have its slot. No process of
    /// the run may be alive.
    ///
    /// # Errors
    ///
    /// When a map refuses: then nobody may have the slot.
    pub(crate) fn release(&mut self) -> Result<(), MapsError> {
        let mut maps = self.maps.borrow_mut();
        removed("RUN_SLOTS", maps.slots.remove(&self.cgroup))?;
        for leaf in &self.leaves {
            removed("LEAVES", maps.leaves.remove(leaf))?;
        }
        maps.forget_tasks(|task| self.leaves.contains(&task.leaf))?;
        for key in &self.files {
            removed("FILES", maps.files.remove(key))?;
        }
        for key in &self.ancestors {
            removed("ANCESTORS", maps.ancestors.remove(key))?;
        }
        for key in &self.addresses {
            removed("ADDRESSES", maps.addresses.remove(key))?;
        }
        for key in &self.openings {
            removed("OPENINGS", maps.openings.remove(key))?;
        }
        maps.runs.set(self.slot, [0; RUN_BYTES], 0).map_err(failed("RUNS"))?;
        maps.dropped.set(self.slot, [0; DROPPED_BYTES], 0).map_err(failed("DROPPED"))?;
        maps.next_seq.set(self.slot, 0, 0).map_err(failed("NEXT_SEQ"))
    }
}
