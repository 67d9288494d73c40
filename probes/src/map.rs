//! `map_exec` and `write_map`: LSM `mmap_file` decides; where no LSM program loads, mmap(2)'s end tells.
//!
//! `int mmap_file(struct file *file, unsigned long reqprot, unsigned long prot, unsigned long flags)`,
//! include/linux/lsm_hook_defs.h, Linux 6.1 to 7.3. It fires for every mapping, of memory alone too, and
//! for those of a program that is being started: those leave here.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use ebpf_common::{Label, Verb};

use crate::{
    emit,
    kernel::{self, Address, Known, Memory, Unknown, load_u64},
    maps::offset,
    open, path,
    scratch::{self, Scratch, stage},
    syscall::{self, nr},
    verdict, whose,
};

// include/uapi/asm-generic/mman-common.h and include/uapi/linux/mman.h.
const PROT_WRITE: u64 = 0x2;
const PROT_EXEC: u64 = 0x4;
const MAP_SHARED: u64 = 0x01;
const MAP_SHARED_VALIDATE: u64 = 0x03;
const MAP_TYPE: u64 = 0x0f;

/// What it means that a file is mapped with this protection and these flags, if that is an effect.
#[inline(always)]
fn asked(protection: u64, flags: u64) -> Option<Verb> {
    let kind = flags & MAP_TYPE;
    let is_shared = kind == MAP_SHARED || kind == MAP_SHARED_VALIDATE;
    if protection & PROT_EXEC != 0 {
        Some(Verb::MapExec)
    } else if protection & PROT_WRITE != 0 && is_shared {
        Some(Verb::WriteMap)
    } else {
        None
    }
}

#[inline(always)]
fn lasts<M: Memory>(file: Address) -> bool {
    open::lasts::<M>(M::u64(file, offset!(file_inode)))
}

/// Whether a judged mapping is no effect after all: libraries of the system's are everybody's.
#[inline(always)]
fn is_the_systems(scratch: &Scratch) -> bool {
    let record = &scratch.record;
    record.verb.number() == Verb::MapExec.number()
        && record.label == Label::System as u8
        && !record.verdict.is_violation()
}

#[lsm(hook = "mmap_file")]
pub(crate) fn mmap_file(ctx: LsmContext) -> i32 {
    let earlier = ctx.arg::<i32>(4);
    let file = ctx.arg::<*const u8>(0) as u64;
    let verb = asked(ctx.arg::<u64>(2), ctx.arg::<u64>(3));
    let (0, Some(verb)) = (earlier, verb) else { return verdict::pass_on(earlier) };
    if file == 0 {
        return 0;
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let number = load_u64(kernel::current_registers(), offset!(regs_nr));
    if matches!(number, nr::EXECVE | nr::EXECVEAT) || !lasts::<Known>(file) {
        return 0;
    }
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, verb);
        return verdict::unjudged(slot);
    };
    syscall::flush(scratch);
    scratch.begin(slot, verb);
    let judgement = path::fill::<Known>(scratch, slot, verb, kernel::dentry_of::<Known>(file));
    if is_the_systems(scratch) {
        return 0;
    }
    let judgement = verdict::admit(&mut scratch.record, judgement);
    syscall::finish(scratch, judgement);
    judgement.answer()
}

/// Records what the mmap(2) with these registers has mapped, or has been refused.
#[inline(always)]
pub(crate) fn ended(registers: Address, result: i64) {
    const MAX_ERRNO: i64 = 4095;
    let argument = |offset: u32| load_u64(registers, offset);
    let asked = asked(argument(offset!(regs_arg2)), argument(offset!(regs_arg3)));
    let descriptor = argument(offset!(regs_arg4)) as i32;
    let Some(verb) = asked else { return };
    if descriptor < 0 {
        return;
    }
    let Some(slot) = whose::run_slot() else { return };
    let file = kernel::open_file(descriptor);
    if file == 0 || !lasts::<Unknown>(file) {
        return;
    }
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, verb);
        return;
    };
    syscall::flush(scratch);
    scratch.begin(slot, verb);
    path::fill_unknown(scratch, slot, kernel::dentry_of::<Unknown>(file));
    if is_the_systems(scratch) {
        return;
    }
    let outcome = if (-MAX_ERRNO..0).contains(&result) { result as i32 } else { 0 };
    emit::emit(scratch, outcome);
    scratch.stage = stage::NONE;
}
