//! Whose act it is: a process that is in no run leaves here, after one helper.

use ebpf_common::maps::{OVERSIGHT_SLOT, RunState};

use crate::{
    globals::current_run,
    maps::{RUN_SLOTS, RUNS},
};

/// The slot of the current task's run, or [`OVERSIGHT_SLOT`].
#[inline(always)]
pub(crate) fn slot() -> Option<u32> {
    // SAFETY: slots are written before a run starts and removed after it has ended.
    unsafe { RUN_SLOTS.get(current_run()?) }.copied()
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
