//! From a dentry to its label and path, by the file system's own ancestry.
//!
//! The walk follows `d_parent` and not the mount tree: a bind mount of a subdirectory would
//! otherwise hide the label of what lies above it. The nearest labelled ancestor counts, except
//! that oversight wins over all.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_kernel_str};
use ebpf_common::{Label, LabelId, maps::FileKey, record::record_flags};

use crate::{
    globals::{LAST_START, MAX_DEPTH, NAME_BYTES},
    kernel::{self, Address, Memory},
    maps::{FILES, offset},
    scratch::{Scratch, Walk},
};

/// Where a walk ended.
#[derive(Clone, Copy)]
pub(crate) struct Walked {
    pub label: LabelId,
    pub device: u32,
}

/// Climbs from `dentry`, appending each name to the scratch's strings, last component first.
/// `string` says which of the record's strings the path becomes.
#[inline(never)]
pub(crate) fn walk<M: Memory>(
    scratch: &mut Scratch,
    slot: u32,
    start: Address,
    string: usize,
) -> Walked {
    let superblock = M::u64(start, offset!(dentry_superblock));
    let device = M::u32(superblock, offset!(superblock_device));
    let begin = scratch.used;
    scratch.walk = Walk { device, label: Label::Unknown as u32 };
    let mut climb = Climb { scratch, dentry: start, slot, at_root: 0 };
    // SAFETY: the callback has the form that the helper asks for, and the context is a `Climb` that
    // outlives the call.
    unsafe {
        bpf_loop(MAX_DEPTH, step::<M> as *mut c_void, (&raw mut climb).cast(), 0);
    }
    let at_root = climb.at_root != 0;
    let scratch = climb.scratch;
    let found = if !at_root || superblock == 0 {
        scratch.record.flags |= record_flags::UNFINISHED_WALK;
        // What lies above the bound may be oversight's.
        Label::Unknown as u32
    } else if scratch.walk.label == Label::Unknown as u32 {
        Label::System as u32
    } else {
        scratch.walk.label
    };
    let used = scratch.used;
    scratch.record.string_bytes[string & 3] = used.wrapping_sub(begin) as u16;
    Walked { label: LabelId::from_number(found as u8), device }
}

/// What the steps of one walk share.
struct Climb<'a> {
    scratch: &'a mut Scratch,
    /// It lies on the stack, where the verifier goes on to know what it points to.
    dentry: Address,
    slot: u32,
    at_root: u32,
}

const GO_ON: i64 = 0;
const STOP: i64 = 1;

/// Looks at one dentry and climbs to its parent. The callback of `bpf_loop`, Linux 5.17: the verifier
/// looks at it once and not once a level.
extern "C" fn step<M: Memory>(_level: u32, climb: *mut c_void) -> i64 {
    // SAFETY: `walk` passes a `Climb` that nothing else uses meanwhile.
    let climb = unsafe { &mut *climb.cast::<Climb<'_>>() };
    let (scratch, slot) = (&mut *climb.scratch, climb.slot);
    let dentry = climb.dentry;
    let key =
        FileKey { inode: kernel::inode_number::<M>(dentry), device: scratch.walk.device, slot };
    // SAFETY: entries are plain integers, written before the run and removed after it.
    if let Some(&label) = unsafe { FILES.get(key) }
        && (scratch.walk.label == Label::Unknown as u32 || label == Label::Oversight as u32)
    {
        scratch.walk.label = label;
    }
    let parent = M::u64(dentry, offset!(dentry_parent));
    if parent == dentry || parent == 0 {
        climb.at_root = 1;
        return STOP;
    }
    // Read before the bound is checked: Linux 6.1 forgets the bound of what is kept across a call.
    let name = M::u64(dentry, offset!(dentry_name) + offset!(qstr_name));
    let used = scratch.used as usize;
    if used <= LAST_START {
        // SAFETY: `used` leaves room for the name; the helper checks the address.
        let read = unsafe {
            bpf_probe_read_kernel_str(
                (&raw mut scratch.strings).cast::<u8>().add(used).cast(),
                NAME_BYTES as u32,
                name as *const _,
            )
        };
        if read > 0 && read <= NAME_BYTES as i64 {
            scratch.used = used as u32 + read as u32;
        }
    } else {
        scratch.record.flags |= record_flags::TRUNCATED;
    }
    climb.dentry = parent;
    GO_ON
}
