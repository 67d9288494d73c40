//! What the loader writes before the programs load, constants to the verifier, and the bounds that all
//! programs share.

use aya_ebpf::helpers::generated::bpf_get_current_ancestor_cgroup_id;
use ebpf_common::offsets::Offsets;

/// Bytes for a record's strings. With the storage's own header the element stays within 8 KiB.
pub(crate) const STRING_SPACE: usize = 7680;

/// The most that one append may write: a file name of 255 bytes and its terminator.
pub(crate) const NAME_BYTES: usize = 256;

/// Where the last append may begin.
pub(crate) const LAST_START: usize = STRING_SPACE - 4096;

/// How many levels a walk climbs. A deeper file is `unknown`, which fails closed.
pub(crate) const MAX_DEPTH: u32 = 512;

/// Field offsets on this kernel.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = {
    // SAFETY: `Offsets` is a struct of integers, for which all-zero bytes are valid.
    unsafe { core::mem::zeroed() }
};

/// Level of a run's cgroup in the hierarchy.
#[unsafe(no_mangle)]
pub(crate) static RUN_LEVEL: u32 = 0;

/// Id of the cgroup that holds all runs.
#[unsafe(no_mangle)]
pub(crate) static RUNS_CGROUP: u64 = 0;

/// The cgroup of the current task at the level of runs. A task elsewhere, which is nearly everybody,
/// leaves here: two helpers cost less than a lookup.
#[inline(always)]
pub(crate) fn current_run() -> Option<u64> {
    // SAFETY: reads of statics that the loader wrote, and a helper without pointers.
    unsafe {
        let level = core::ptr::read_volatile(&raw const RUN_LEVEL) as i32;
        let runs = core::ptr::read_volatile(&raw const RUNS_CGROUP);
        if bpf_get_current_ancestor_cgroup_id(level - 1) != runs {
            return None;
        }
        Some(bpf_get_current_ancestor_cgroup_id(level))
    }
}

/// One field's offset. The verifier sees a constant: the map behind it is frozen.
macro_rules! offset {
    ($field:ident) => {{
        // SAFETY: a read of a static; volatile since the loader writes it behind the compiler.
        unsafe { core::ptr::read_volatile(&raw const $crate::globals::OFFSETS.$field) }
    }};
}
pub(crate) use offset;
