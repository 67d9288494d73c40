//! `open_write`, and `create` by an open, and `receive`: LSM `file_open` decides, after the ownership check; where no
//! LSM program loads, the open file tells at the syscall's end what the open has done.
//!
//! `int file_open(struct file *file)`, include/linux/lsm_hook_defs.h, Linux 6.1 to 7.3. It fires for
//! every open, also for reading: those leave here.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use ebpf_common::Verb;

use crate::{
    control, control_file,
    create::{S_IFMT, S_IFREG, type_of},
    emit,
    kernel::{self, Address, Known, Memory, Unknown, load_u32, load_u64},
    kill,
    maps::offset,
    path,
    scratch::{self, stage},
    verdict, whose,
};

// include/linux/fs.h, Linux 6.1 to 7.3.
const FMODE_WRITE: u32 = 1 << 1;
const FMODE_CREATED: u32 = 1 << 20;

/// A file system that nobody can mount, whose files end with their last descriptor: of pipes, pidfds
/// and memfds among others.
const SB_NOUSER: u64 = 1 << 31;

const S_IFBLK: u32 = 0o060_000;

/// The flags of open(2) that a record keeps: not O_LARGEFILE, which every 64-bit process gets, and not
/// O_CLOEXEC, which is the descriptor's.
const KEPT_FLAGS: u32 = 0x7f_ffff & !0x8000 & !0x8_0000;

/// What an open has done to its file, if that is an effect.
#[inline(always)]
fn done<M: Memory>(slot: u32, file: Address) -> Option<Verb> {
    if M::u32(file, offset!(file_mode)) & FMODE_CREATED != 0 {
        return Some(Verb::Create);
    }
    to_write::<M>(slot, file)
}

/// Whether what is written to a file lasts: whether it is a regular one or a block device, and not in
/// memory alone.
#[inline(always)]
pub(crate) fn lasts<M: Memory>(inode: Address) -> bool {
    let kind = u32::from(M::u16(inode, offset!(inode_mode))) & S_IFMT;
    if kind != S_IFREG && kind != S_IFBLK {
        return false;
    }
    !is_in_memory::<M>(inode)
}

/// Whether a file is of those that are in memory alone, and gone with their last descriptor.
#[inline(always)]
pub(crate) fn is_in_memory<M: Memory>(inode: Address) -> bool {
    let superblock = M::u64(inode, offset!(inode_superblock));
    M::u64(superblock, offset!(superblock_flags)) & SB_NOUSER != 0
}

/// What it means that a file is open for writing, if it is and that is an effect.
#[inline(always)]
fn to_write<M: Memory>(slot: u32, file: Address) -> Option<Verb> {
    if M::u32(file, offset!(file_mode)) & FMODE_WRITE == 0 {
        return None;
    }
    let inode = M::u64(file, offset!(file_inode));
    if !lasts::<M>(inode) {
        return None;
    }
    let superblock = M::u64(inode, offset!(inode_superblock));
    match M::u64(superblock, offset!(superblock_magic)) {
        kill::PROC_SUPER_MAGIC => control_file::of_process::<M>(slot, file, inode),
        control_file::CGROUP2_SUPER_MAGIC => Some(control_file::of_cgroup::<M>(file)),
        _ => Some(Verb::OpenWrite),
    }
}

/// Whether the current task is in the middle of an open that is judged as a whole: emptying the file
/// belongs to it.
#[inline(always)]
pub(crate) fn is_opening() -> bool {
    scratch::existing().is_some_and(|scratch| {
        scratch.stage == stage::PENDING
            && matches!(
                scratch.record.verb,
                Verb::OpenWrite | Verb::CgroupWrite | Verb::CgroupMove | Verb::CgroupKill
            )
    })
}

#[lsm(hook = "file_open")]
pub(crate) fn file_open(ctx: LsmContext) -> i32 {
    let earlier = ctx.arg::<i32>(1);
    if earlier != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let file = ctx.arg::<*const u8>(0) as u64;
    let verb = done::<Known>(slot, file);
    if let Some(scratch) = scratch::existing()
        && scratch.stage == stage::PENDING
        && scratch.record.verb.number() == Verb::Create.number()
    {
        if verb.is_some_and(|verb| verb.number() == Verb::Create.number()) {
            // Judged before it was made; the syscall's end tells the rest.
            return 0;
        }
        // It was there already: nothing was made.
        scratch.stage = stage::NONE;
    }
    match verb {
        // What was made passed the hook for that.
        None | Some(Verb::Create) => 0,
        Some(Verb::OomAdjust) => control_file::decide(slot, file),
        Some(verb) => {
            let flags = load_u32(file, offset!(file_flags)) & KEPT_FLAGS;
            path::decide::<Known>(0, verb, [u64::from(flags), 0], || {
                kernel::dentry_of::<Known>(file)
            })
        }
    }
}

/// `int file_receive(struct file *file)`, Linux 6.1 to 7.3: for each descriptor that a message brings.
#[lsm(hook = "file_receive")]
pub(crate) fn file_receive(ctx: LsmContext) -> i32 {
    let earlier = ctx.arg::<i32>(1);
    if earlier != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let file = ctx.arg::<*const u8>(0) as u64;
    // Taking a descriptor away from a process is judged as that.
    let is_taken =
        load_u64(kernel::current_registers(), offset!(regs_nr)) == control::nr::PIDFD_GETFD;
    if is_taken || to_write::<Known>(slot, file).is_none() {
        return 0;
    }
    let flags = load_u32(file, offset!(file_flags)) & KEPT_FLAGS;
    path::decide::<Known>(0, Verb::Receive, [u64::from(flags), 0], || {
        kernel::dentry_of::<Known>(file)
    })
}

/// What an open with these flags that was refused would have done, if that is an effect.
#[inline(always)]
pub(crate) fn asked(flags: u32) -> Option<(Verb, [u64; 2])> {
    const O_ACCMODE: u32 = 0o3;
    const O_CREAT: u32 = 0o100;
    const O_TRUNC: u32 = 0o1000;
    const O_PATH: u32 = 0o10_000_000;
    if flags & O_PATH != 0 {
        None
    } else if flags & O_CREAT != 0 {
        Some((Verb::Create, [u64::from(S_IFREG), 0]))
    } else if flags & (O_ACCMODE | O_TRUNC) != 0 {
        Some((Verb::OpenWrite, [u64::from(flags & KEPT_FLAGS), 0]))
    } else {
        None
    }
}

/// Records what an open has done that succeeded, by the descriptor that it gave.
#[inline(always)]
pub(crate) fn opened(slot: u32, descriptor: i32, flags: u32) {
    let file = kernel::open_file(descriptor);
    if file == 0 {
        return;
    }
    let Some(verb) = done::<Unknown>(slot, file) else { return };
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, verb);
        return;
    };
    if verb.number() == Verb::OomAdjust.number() {
        let _ = control_file::fill(scratch, slot, file);
    } else {
        scratch.begin(slot, verb);
        scratch.record.args[0] = argument(verb, file, flags);
        path::fill_unknown(scratch, slot, kernel::dentry_of::<Unknown>(file));
    }
    emit::emit(scratch, 0);
    scratch.stage = stage::NONE;
}

#[inline(always)]
fn argument(verb: Verb, file: Address, flags: u32) -> u64 {
    if verb.number() == Verb::Create.number() {
        let inode = Unknown::u64(file, offset!(file_inode));
        type_of(u32::from(Unknown::u16(inode, offset!(inode_mode))))
    } else {
        u64::from(flags & KEPT_FLAGS)
    }
}
