//! `exec`: LSM `bprm_creds_for_exec` decides (once per exec, before an interpreter is looked for, so
//! that the object is a script and not its interpreter); tracepoint `sched_process_exec` records
//! what runs; the syscall's exit records what was refused.
//!
//! `int bprm_creds_for_exec(struct linux_binprm *bprm)`, include/linux/lsm_hook_defs.h;
//! `TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`,
//! include/trace/events/sched.h; both in Linux 6.1 to 7.3.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::{
        bpf_get_current_comm, bpf_probe_read_user,
        generated::{bpf_loop, bpf_probe_read_user_str},
    },
    macros::{btf_tracepoint, lsm},
    programs::{BtfTracePointContext, LsmContext},
};
use ebpf_common::{
    Verb,
    record::{MAX_ARGV_BYTES, record_flags, string},
};

use crate::{
    emit,
    globals::LAST_START,
    kernel,
    kernel::{Address, Known, load_u64},
    maps::{TASKS, offset},
    path::{self, AT_FDCWD, End, Written},
    scratch::{self, Scratch, stage},
    syscall,
    verdict::{self, Judgement},
    whose,
};

/// Fills in a record of an exec of the program that `binprm` holds.
#[inline(always)]
fn judge(scratch: &mut Scratch, slot: u32, binprm: Address) -> Judgement {
    scratch.begin(slot, Verb::Exec);
    let file = load_u64(binprm, offset!(binprm_file));
    let dentry = load_u64(file, offset!(file_path) + offset!(path_dentry));
    path::fill::<Known>(scratch, slot, Verb::Exec, dentry)
}

/// Adds what the program was given.
#[inline(always)]
fn add_arguments(scratch: &mut Scratch) {
    let used = scratch.used as usize;
    if used > LAST_START {
        return;
    }
    // SAFETY: `used` leaves room for the bytes.
    let to = unsafe { (&raw mut scratch.strings).cast::<u8>().add(used) };
    let (read, all) = kernel::arguments(to);
    scratch.record.args[0] = all;
    scratch.used = (used as u64 + read) as u32;
    scratch.record.string_bytes[string::ARGV] = read as u16;
}

/// How many words of an exec that does not happen are kept, and how long each may be with its end.
const MAX_WORDS: u32 = 32;
const WORD_BYTES: usize = 256;

/// What the reads of the words of one exec share.
struct Words<'a> {
    scratch: &'a mut Scratch,
    /// Address of the next word's address.
    next: Address,
    /// Up to where in `strings` words may begin.
    bound: u32,
}

/// Adds what a program was to be given that does not run, as the caller wrote it: nobody but the caller
/// can have changed it since, and nothing came of it.
#[inline(always)]
pub(crate) fn add_words(scratch: &mut Scratch, registers: Address, number: u64) {
    let begin = scratch.used;
    let second = number == syscall::nr::EXECVEAT;
    let next = load_u64(registers, if second { offset!(regs_arg2) } else { offset!(regs_arg1) });
    let bound = begin + (MAX_ARGV_BYTES - WORD_BYTES) as u32;
    let mut words = Words { scratch, next, bound };
    // SAFETY: the callback has the form that the helper asks for, and the context outlives the call.
    unsafe {
        bpf_loop(MAX_WORDS, word as *mut c_void, (&raw mut words).cast(), 0);
    }
    let scratch = words.scratch;
    scratch.record.string_bytes[string::ARGV] = scratch.used.wrapping_sub(begin) as u16;
}

extern "C" fn word(_index: u32, words: *mut c_void) -> i64 {
    const STOP: i64 = 1;
    // SAFETY: `add_words` passes what nothing else uses meanwhile.
    let words = unsafe { &mut *words.cast::<Words<'_>>() };
    // SAFETY: the helper checks the address.
    let from = unsafe { bpf_probe_read_user(words.next as *const u64) }.unwrap_or(0);
    words.next += 8;
    let used = words.scratch.used as usize;
    if from == 0 || used > words.bound as usize || used > LAST_START {
        return STOP;
    }
    // SAFETY: `used` leaves room for the word; the helper checks the address.
    let read = unsafe {
        let to = (&raw mut words.scratch.strings).cast::<u8>().add(used);
        bpf_probe_read_user_str(to.cast(), WORD_BYTES as u32, from as *const _)
    };
    if read <= 0 || read > WORD_BYTES as i64 {
        return STOP;
    }
    words.scratch.used = used as u32 + read as u32;
    0
}

#[lsm(hook = "bprm_creds_for_exec")]
pub(crate) fn bprm_creds_for_exec(ctx: LsmContext) -> i32 {
    let earlier = ctx.arg::<i32>(1);
    if earlier != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let registers = kernel::current_registers();
    if syscall::only_asks(registers, load_u64(registers, offset!(regs_nr))) {
        return 0;
    }
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, Verb::Exec);
        return verdict::unjudged(slot);
    };
    syscall::flush(scratch);
    let judgement = judge(scratch, slot, ctx.arg::<*const u8>(0) as u64);
    let judgement = verdict::admit(&mut scratch.record, judgement);
    scratch.record.flags |= record_flags::JUDGED;
    if judgement.refuses() {
        add_words(scratch, registers, load_u64(registers, offset!(regs_nr)));
        emit::emit(scratch, -1);
    } else {
        // Whether the program runs is known later: below, or at the end of the syscall.
        scratch.stage = stage::PENDING;
        scratch.syscall = load_u64(registers, offset!(regs_nr)) as u32;
    }
    judgement.answer()
}

/// The current task's record of an exec that the hook above has judged. What else waits for an end
/// of a syscall that was not seen is handed over.
#[inline(always)]
fn begun() -> Option<&'static mut Scratch> {
    let scratch = scratch::existing()?;
    let waits = scratch.stage == stage::PENDING;
    if waits && scratch.record.verb.number() == Verb::Exec.number() {
        return Some(scratch);
    }
    syscall::flush(scratch);
    None
}

#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn sched_process_exec(ctx: BtfTracePointContext) -> i32 {
    let Some(slot) = whose::run_slot() else { return 0 };
    let binprm = ctx.arg::<*const u8>(2) as u64;
    let seq = match begun() {
        Some(scratch) => {
            // The program has its name and the thread its leader's number by now.
            scratch.record.tid = kernel::current_ids().1;
            scratch.record.comm = bpf_get_current_comm().unwrap_or([0; 16]);
            add_arguments(scratch);
            emit::emit(scratch, 0)
        }
        None => {
            let Some(scratch) = scratch::of_processor() else {
                emit::lost(slot, Verb::Exec);
                return 0;
            };
            let written = load_u64(binprm, offset!(binprm_filename));
            if load_u64(binprm, offset!(binprm_interpreter)) == written {
                let _ = judge(scratch, slot, binprm);
            } else {
                // The file is the interpreter's by now; of the script there is only its path.
                as_written(scratch, slot, AT_FDCWD, Written::Kernel(written));
            }
            add_arguments(scratch);
            emit::emit(scratch, 0)
        }
    };
    let (_, tid) = kernel::current_ids();
    if let Some(task) = TASKS.get_ptr_mut(tid) {
        // SAFETY: the entry is removed only when this task exits; 8 aligned bytes.
        unsafe { (*task).exec_id = seq + 1 };
    }
    0
}

/// Fills in a record of an exec of a program of which only the path is known.
#[inline(always)]
pub(crate) fn as_written(scratch: &mut Scratch, slot: u32, directory: i32, written: Written) {
    scratch.begin(slot, Verb::Exec);
    path::fill_as_written(scratch, slot, directory, written, End::Object);
}
