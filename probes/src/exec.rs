//! `exec`: LSM `bprm_creds_for_exec` decides (once per exec, before an interpreter is looked for, so
//! that the object is a script and not its interpreter); tracepoint `sched_process_exec` records
//! what runs; the syscall's exit records what was refused.
//!
//! `int bprm_creds_for_exec(struct linux_binprm *bprm)`, include/linux/lsm_hook_defs.h;
//! `TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`,
//! include/trace/events/sched.h; both in Linux 6.1 to 7.3.

use aya_ebpf::{
    helpers::bpf_get_current_comm,
    macros::{btf_tracepoint, lsm},
    programs::{BtfTracePointContext, LsmContext},
};
use ebpf_common::{
    Verb,
    record::{record_flags, string},
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
    scratch.record.flags |= record_flags::JUDGED;
    if judgement.refuses() {
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
