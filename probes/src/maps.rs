//! The maps that probes and observer share. Shapes are in `ebpf_common::maps`.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, bpf_map_type},
    btf_maps::{Array, HashMap, RingBuf},
    macros::btf_map,
};
use ebpf_common::{
    maps::{Dropped, FileKey, LeafState, MAX_RUNS, MAX_TABLES, RunState, Table, TaskState},
    offsets::Offsets,
};

use crate::scratch::Scratch;

const NO_PREALLOC: usize = BPF_F_NO_PREALLOC as usize;

/// Run slot by the cgroup id at the run's level.
#[btf_map]
pub(crate) static RUN_SLOTS: HashMap<u64, u32, { MAX_RUNS + 1 }> = HashMap::new();

/// State of each run, by slot.
#[btf_map]
pub(crate) static RUNS: Array<RunState, MAX_RUNS> = Array::new();

/// Sequence number of each run's next effect, so also the number of effects emitted, by slot.
#[btf_map]
pub(crate) static NEXT_SEQ: Array<u64, MAX_RUNS> = Array::new();

/// Policy tables, two a run.
#[btf_map]
pub(crate) static TABLES: Array<Table, MAX_TABLES> = Array::new();

/// Lost effects, by slot.
#[btf_map]
pub(crate) static DROPPED: Array<Dropped, MAX_RUNS> = Array::new();

/// Labelled roots.
#[btf_map]
pub(crate) static FILES: HashMap<FileKey, u32, 65536, NO_PREALLOC> = HashMap::new();

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

/// A record under construction for each task of a run. aya-ebpf 0.2 has no type for task storage.
#[repr(C)]
pub(crate) struct TaskStorage<T> {
    r#type: *const [i32; bpf_map_type::BPF_MAP_TYPE_TASK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; NO_PREALLOC],
}

// SAFETY: the fields describe the map to the loader; nothing reads through them.
unsafe impl<T> Sync for TaskStorage<T> {}

impl<T> TaskStorage<T> {
    const fn new() -> Self {
        Self {
            r#type: core::ptr::null(),
            key: core::ptr::null(),
            value: core::ptr::null(),
            max_entries: core::ptr::null(),
            map_flags: core::ptr::null(),
        }
    }
}

#[btf_map]
pub(crate) static SCRATCH: TaskStorage<Scratch> = TaskStorage::new();

/// Field offsets on this kernel, written by the loader before the programs load.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = {
    // SAFETY: `Offsets` is a struct of integers, for which all-zero bytes are valid.
    unsafe { core::mem::zeroed() }
};

/// Level of a run's cgroup in the hierarchy, written by the loader.
#[unsafe(no_mangle)]
pub(crate) static RUN_LEVEL: u32 = 0;

/// One field's offset. The verifier sees a constant: the map behind it is frozen.
macro_rules! offset {
    ($field:ident) => {{
        // SAFETY: a read of a static; volatile since the loader writes it behind the compiler.
        unsafe { core::ptr::read_volatile(&raw const $crate::maps::OFFSETS.$field) }
    }};
}
pub(crate) use offset;
