//! A file as an object: by the kernel's dentry, or by the path that the caller wrote where no hook
//! was reached.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user_str};
use ebpf_common::{
    Verb,
    opening::makes_a_name,
    record::{MAX_STRING_BYTES, record_flags, string},
    verb::MAX_ARGS,
};

use crate::{
    emit,
    globals::LAST_START,
    kernel::{self, Address, Memory, Unknown},
    maps::offset,
    scratch::{self, Scratch},
    syscall,
    verdict::{self, Judgement},
    walk::{self, Walked},
    whose,
};

/// Where a relative path starts without a directory of its own: the working directory.
pub(crate) const AT_FDCWD: i32 = -100;

/// Fills in the object from its dentry.
#[inline(always)]
pub(crate) fn locate<M: Memory>(scratch: &mut Scratch, slot: u32, dentry: Address) -> Walked {
    scratch.record.object_id = kernel::inode_number::<M>(dentry);
    let walked = walk::walk::<M>(scratch, slot, dentry, string::PATH);
    scratch.record.object_number = walked.device;
    walked
}

/// Fills in the object from its dentry, and what the policy says to it.
#[inline(always)]
pub(crate) fn fill<M: Memory>(
    scratch: &mut Scratch,
    slot: u32,
    verb: Verb,
    dentry: Address,
) -> Judgement {
    let walked = locate::<M>(scratch, slot, dentry);
    let judgement = verdict::judge(slot, scratch.record.leaf, verb, walked.label);
    scratch.judged(walked.label, judgement);
    judgement
}

/// Fills in the object of a record that was begun, from a dentry that the verifier does not know, and
/// what the policy says to it.
#[inline(always)]
pub(crate) fn fill_unknown(scratch: &mut Scratch, slot: u32, dentry: Address) {
    let walked = locate::<Unknown>(scratch, slot, dentry);
    let judgement = verdict::judge(slot, scratch.record.leaf, scratch.record.verb, walked.label);
    scratch.judged(walked.label, judgement);
}

/// What an LSM hook does whose object is one dentry. `earlier` is what the modules before it said.
/// Without memory for a record the act is refused in `enforce` mode, since it could not be judged, and
/// counted as lost.
#[inline(always)]
pub(crate) fn decide<M: Memory>(
    earlier: i32,
    verb: Verb,
    args: [u64; MAX_ARGS],
    dentry: impl FnOnce() -> Address,
) -> i32 {
    if earlier != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, verb);
        return verdict::unjudged(slot);
    };
    syscall::flush(scratch);
    scratch.begin(slot, verb);
    scratch.record.args = args;
    let dentry = dentry();
    let judgement = fill::<M>(scratch, slot, verb, dentry);
    if makes_a_name(verb) {
        name(scratch, dentry);
    }
    let judgement = verdict::admit(&mut scratch.record, judgement);
    syscall::finish(scratch, judgement);
    judgement.answer()
}

/// Notes which name an act makes, which has no inode yet: by its directory and by what the kernel
/// hashes of it, with the directory's address in it (`struct qstr` begins with both halves,
/// include/linux/dcache.h, Linux 6.1 to 7.3).
#[inline(always)]
pub(crate) fn name(scratch: &mut Scratch, dentry: Address) {
    let parent = kernel::read_u64(dentry, offset!(dentry_parent));
    scratch.record.args[1] = kernel::inode_number::<Unknown>(parent);
    let hash = kernel::read_u64(dentry, offset!(dentry_name));
    scratch.record.object_extra = (hash >> 32) as u32 ^ hash as u32;
}

/// A path as the caller wrote it.
#[derive(Clone, Copy)]
pub(crate) enum Written {
    /// In the caller's memory.
    User(u64),
    /// In the kernel's copy of it.
    Kernel(u64),
}

/// Which end of an act a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum End {
    /// The object; its base is the string behind it.
    Object = string::PATH as u32,
    /// Where it goes.
    To = string::TO as u32,
}

const _: () = assert!(string::BASE == string::PATH + 1 && string::TO_BASE == string::TO + 1);

/// Fills in the path as the caller wrote it and the directory that it starts from. Which file that
/// was is for user space to find out, and so are label and verdict.
#[inline(always)]
pub(crate) fn fill_as_written(
    scratch: &mut Scratch,
    slot: u32,
    directory: i32,
    written: Written,
    end: End,
) {
    let (address, from_user) = match written {
        Written::User(address) => (address, true),
        Written::Kernel(address) => (address, false),
    };
    let how = end as u32 | if from_user { FROM_USER } else { 0 };
    fill_path(scratch, slot, directory, address, how);
}

/// Bit beside an [`End`]: the path lies in the caller's memory.
const FROM_USER: u32 = 1 << 8;

/// A function of its own, and without a result: the verifier forgets on return by which way through
/// it came, and looks once at what follows.
#[inline(never)]
fn fill_path(scratch: &mut Scratch, slot: u32, directory: i32, address: u64, how: u32) {
    let path = how as usize & 3;
    let base = path + 1;
    scratch.record.flags |= record_flags::USER_PATH;
    if directory != AT_FDCWD {
        scratch.record.flags |= record_flags::FROM_DIRECTORY;
    }
    let used = scratch.used as usize;
    if used > LAST_START {
        scratch.record.flags |= record_flags::TRUNCATED;
        return;
    }
    // SAFETY: `used` leaves room for the string; the helpers check the address.
    let read = unsafe {
        let to = (&raw mut scratch.strings).cast::<u8>().add(used).cast();
        if how & FROM_USER != 0 {
            bpf_probe_read_user_str(to, MAX_STRING_BYTES as u32, address as *const _)
        } else {
            bpf_probe_read_kernel_str(to, MAX_STRING_BYTES as u32, address as *const _)
        }
    };
    if read > 0 && read <= MAX_STRING_BYTES as i64 {
        scratch.used = (used + read as usize) as u32;
        scratch.record.string_bytes[path & 3] = read as u16;
    }
    // The table of open files is an array, into which the verifier follows no pointer. One way for
    // both keeps the program short.
    let dentry = if directory == AT_FDCWD {
        kernel::working_directory()
    } else {
        kernel::dentry_of::<Unknown>(kernel::open_file(directory))
    };
    if dentry == 0 {
        return;
    }
    let walked = walk::walk::<Unknown>(scratch, slot, dentry, base);
    if base == string::BASE {
        scratch.record.object_number = walked.device;
    } else {
        scratch.record.object_extra = walked.device;
    }
}
