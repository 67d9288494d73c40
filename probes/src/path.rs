//! A file as an object: by the kernel's dentry, or by the path that the caller wrote where no hook
//! was reached.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user_str};
use ebpf_common::{
    Verb,
    record::{MAX_STRING_BYTES, record_flags, string},
};

use crate::{
    globals::LAST_START,
    kernel::{self, Address, Known, Unknown, read_u64},
    maps::offset,
    scratch::Scratch,
    verdict::{self, Judgement},
    walk::{self, Walked},
};

/// Where a relative path starts without a directory of its own: the working directory.
pub(crate) const AT_FDCWD: i32 = -100;

/// Fills in the object from its dentry.
#[inline(always)]
pub(crate) fn locate(scratch: &mut Scratch, slot: u32, dentry: Address) -> Walked {
    scratch.record.object_id = kernel::inode_number::<Known>(dentry);
    let walked = walk::walk::<Known>(scratch, slot, dentry, string::PATH);
    scratch.record.object_number = walked.device;
    walked
}

/// Fills in the object from its dentry, and what the policy says to it.
#[inline(always)]
pub(crate) fn fill(scratch: &mut Scratch, slot: u32, verb: Verb, dentry: Address) -> Judgement {
    let walked = locate(scratch, slot, dentry);
    let judgement = verdict::judge(slot, scratch.record.leaf, verb, walked.label);
    scratch.judged(walked.label, judgement);
    judgement
}

/// A path as the caller wrote it.
#[derive(Clone, Copy)]
pub(crate) enum Written {
    /// In the caller's memory.
    User(u64),
    /// In the kernel's copy of it.
    Kernel(u64),
}

/// Fills in the path as the caller wrote it and the directory that it starts from. Which file that
/// was is for user space to find out, and so are label and verdict.
#[inline(always)]
pub(crate) fn fill_as_written(
    scratch: &mut Scratch,
    slot: u32,
    directory: i32,
    written: Written,
    path: usize,
    base: usize,
) {
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
        match written {
            Written::User(path) => {
                bpf_probe_read_user_str(to, MAX_STRING_BYTES as u32, path as *const _)
            }
            Written::Kernel(path) => {
                bpf_probe_read_kernel_str(to, MAX_STRING_BYTES as u32, path as *const _)
            }
        }
    };
    if read > 0 && read <= MAX_STRING_BYTES as i64 {
        scratch.used = (used + read as usize) as u32;
        scratch.record.string_bytes[path & 3] = read as u16;
    }
    let walked = if directory == AT_FDCWD {
        walk::walk::<Known>(scratch, slot, kernel::working_directory(), base)
    } else {
        // The table of open files is an array, into which the verifier follows no pointer.
        let file = kernel::open_file(directory);
        let dentry = read_u64(file, offset!(file_path) + offset!(path_dentry));
        if dentry == 0 {
            return;
        }
        walk::walk::<Unknown>(scratch, slot, dentry, base)
    };
    if base == string::BASE {
        scratch.record.object_number = walked.device;
    } else {
        scratch.record.object_extra = walked.device;
    }
}
