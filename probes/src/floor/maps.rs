//! The floor's maps.

use aya_ebpf::{
    btf_maps::{HashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use ebpf_common::maps::MAX_RUNS;

pub(crate) use crate::globals::offset;
use crate::{buffer::Buffer, globals::current_run, task_storage::TaskStorage};

/// Run slot by the cgroup id at the run's level.
#[btf_map]
pub(crate) static RUN_SLOTS: HashMap<u64, u32, { MAX_RUNS + 1 }> = HashMap::new();

/// What was captured.
#[btf_map]
pub(crate) static RECORDS: RingBuf<u8, { 32 << 20 }> = RingBuf::new();

/// Where a program that is not preempted puts a record together.
#[btf_map]
pub(crate) static BUFFER: PerCpuArray<Buffer, 1> = PerCpuArray::new();

/// Where a record waits for its syscall's outcome.
#[btf_map]
pub(crate) static PENDING: TaskStorage<Buffer> = TaskStorage::new();

/// The slot of the current task's run.
#[inline(always)]
pub(crate) fn run_slot() -> Option<u32> {
    // SAFETY: slots are written before the programs are attached.
    unsafe { RUN_SLOTS.get(current_run()?) }.copied()
}
