//! The maps that probes and observer share. Shapes are in `ebpf_common::maps`.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use ebpf_common::{
    address::AddressKey,
    maps::{Dropped, FileKey, LeafState, MAX_SLOTS, MAX_TABLES, RunState, Table, TaskState},
    opening::{MAX_OPENINGS, OpeningKey},
};

pub(crate) use crate::globals::offset;
use crate::{scratch::Scratch, task_storage::TaskStorage};

const NO_PREALLOC: usize = BPF_F_NO_PREALLOC as usize;

/// Run slot by the cgroup id at the run's level.
#[btf_map]
pub(crate) static RUN_SLOTS: HashMap<u64, u32, { MAX_SLOTS + 1 }> = HashMap::new();

/// State of each run, by slot.
#[btf_map]
pub(crate) static RUNS: Array<RunState, MAX_SLOTS> = Array::new();

/// Sequence number of each run's next effect, so also the number of effects emitted, by slot.
#[btf_map]
pub(crate) static NEXT_SEQ: Array<u64, MAX_SLOTS> = Array::new();

/// Policy tables, two a run.
#[btf_map]
pub(crate) static TABLES: Array<Table, MAX_TABLES> = Array::new();

/// Lost effects, by slot.
#[btf_map]
pub(crate) static DROPPED: Array<Dropped, MAX_SLOTS> = Array::new();

/// Labelled roots.
#[btf_map]
pub(crate) static FILES: HashMap<FileKey, u32, 65536, NO_PREALLOC> = HashMap::new();

/// Labelled addresses.
#[btf_map]
pub(crate) static ADDRESSES: HashMap<AddressKey, u32, 16384, NO_PREALLOC> = HashMap::new();

/// Acts that were asked for and approved, each with its question's number. Whoever uses one takes it
/// out.
#[btf_map]
pub(crate) static OPENINGS: HashMap<OpeningKey, u32, MAX_OPENINGS, NO_PREALLOC> = HashMap::new();

/// Directories above labelled roots, with a bit for the number of each label below.
#[btf_map]
pub(crate) static ANCESTORS: HashMap<FileKey, u32, 65536, NO_PREALLOC> = HashMap::new();

/// Leaf cgroups, by id.
#[btf_map]
pub(crate) static LEAVES: HashMap<u64, LeafState, 65536, NO_PREALLOC> = HashMap::new();

/// Tasks of all leaves, by thread id in the initial pid namespace.
#[btf_map]
pub(crate) static TASKS: HashMap<u32, TaskState, 131072, NO_PREALLOC> = HashMap::new();

/// Effects without a violation. The observer polls it; see `emit`.
#[btf_map]
pub(crate) static EFFECTS: RingBuf<u8, { 32 << 20 }> = RingBuf::new();

/// Violations, in a buffer of their own: a flood of harmless effects cannot evict them.
#[btf_map]
pub(crate) static VIOLATIONS: RingBuf<u8, { 8 << 20 }> = RingBuf::new();

/// A record under construction for each task of a run.
#[btf_map]
pub(crate) static SCRATCH: TaskStorage<Scratch> = TaskStorage::new();

/// A record under construction for each CPU, of the one program that names it.
#[btf_map]
pub(crate) static EXEC_SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();
