//! What the loader writes before the programs load, constants to the verifier.

use ebpf_common::offsets::Offsets;

/// Field offsets on this kernel.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = {
    // SAFETY: `Offsets` is a struct of integers, for which all-zero bytes are valid.
    unsafe { core::mem::zeroed() }
};

/// Level of a run's cgroup in the hierarchy.
#[unsafe(no_mangle)]
pub(crate) static RUN_LEVEL: u32 = 0;

/// One field's offset. The verifier sees a constant: the map behind it is frozen.
macro_rules! offset {
    ($field:ident) => {{
        // SAFETY: a read of a static; volatile since the loader writes it behind the compiler.
        unsafe { core::ptr::read_volatile(&raw const $crate::globals::OFFSETS.$field) }
    }};
}
pub(crate) use offset;
