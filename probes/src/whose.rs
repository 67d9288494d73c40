//! Whose act it is: a process that is in no run leaves here, after one helper and one lookup.

use aya_ebpf::helpers::generated::bpf_get_current_ancestor_cgroup_id;
use ebpf_common::maps::{OVERSIGHT_SLOT, RunState};

use crate::maps::{RUN_LEVEL, RUN_SLOTS, RUNS};

/// The slot of the current task's run, or [`OVERSIGHT_SLOT`].
#[inline(always)]
pub(crate) fn slot() -> Option<u32> {
    // SAFETY: a read of a static that the loader wrote, and a helper without pointers.
    let run = unsafe {
        bpf_get_current_ancestor_cgroup_id(core::ptr::read_volatile(&raw const RUN_LEVEL) as i32)
    };
    // SAFETY: slots are written before a run starts and removed after it has ended.
    unsafe { RUN_SLOTS.get(run) }.copied()
}

/// The slot of the current task's run; oversight's own processes are nobody here.
#[inline(always)]
pub(crate) fn run_slot() -> Option<u32> {
    slot().filter(|&slot| slot != OVERSIGHT_SLOT)
}

/// What user space says of a run.
#[inline(always)]
pub(crate) fn run(slot: u32) -> Option<&'static RunState> {
    RUNS.get(slot)
}
