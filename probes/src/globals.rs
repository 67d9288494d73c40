//! What the loader writes before the programs load, constants to the verifier, and the bounds that all
//! programs share.

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

/// One field's offset. The verifier sees a constant: the map behind it is frozen.
macro_rules! offset {
    ($field:ident) => {{
        // SAFETY: a read of a static; volatile since the loader writes it behind the compiler.
        unsafe { core::ptr::read_volatile(&raw const $crate::globals::OFFSETS.$field) }
    }};
}
pub(crate) use offset;
