//! `exec`: LSM `bprm_creds_for_exec` decides (once per exec, before an interpreter is looked for);
//! tracepoint `sched_process_exec` records what runs; the syscall's exit records what was refused.
//!
//! `int bprm_creds_for_exec(struct linux_binprm *bprm)`, include/linux/lsm_hook_defs.h;
//! `TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`,
//! include/trace/events/sched.h; both in Linux 6.1 to 7.3.

use aya_ebpf::{
    macros::{btf_tracepoint, lsm},
    programs::{BtfTracePointContext, LsmContext},
};
use ebpf_common::{
    Verb,
    record::{record_flags, string},
};

use crate::{
    emit, kernel,
    kernel::{Address, read_u64},
    maps::{TASKS, offset},
    path,
    scratch::{self, Scratch},
    verdict::{self, Judgement},
    whose,
};

/// Fills in a record of an exec of the program that `binprm` holds.
#[inline(always)]
fn judge(scratch: &mut Scratch, slot: u32, binprm: Address) -> Judgement {
    scratch.begin(slot, Verb::Exec);
    let file = read_u64(binprm, offset!(binprm_file));
    let dentry = read_u64(file, offset!(file_path) + offset!(path_dentry));
    path::fill(scratch, slot, Verb::Exec, dentry)
}

#[lsm(hook = "bprm_creds_for_exec")]
pub(crate) fn bprm_creds_for_exec(ctx: LsmContext) -> i32 {
    let earlier = ctx.arg::<i32>(1);
    if earlier != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, Verb::Exec);
        return verdict::unjudged(slot);
    };
    let judgement = judge(scratch, slot, ctx.arg::<*const u8>(0) as u64);
    if judgement.refuses() {
        scratch.record.flags |= record_flags::JUDGED;
        emit::emit(scratch, -1);
    }
    judgement.answer()
}

#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn sched_process_exec(ctx: BtfTracePointContext) -> i32 {
    let Some(slot) = whose::run_slot() else { return 0 };
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, Verb::Exec);
        return 0;
    };
    let _ = judge(scratch, slot, ctx.arg::<*const u8>(2) as u64);
    let seq = emit::emit(scratch, 0);
    let (_, tid) = kernel::current_ids();
    if let Some(task) = TASKS.get_ptr_mut(tid) {
        // SAFETY: the entry is removed only when this task exits; 8 aligned bytes.
        unsafe { (*task).exec_id = seq + 1 };
    }
    0
}

/// Fills in a record of an exec that came to nothing, from the syscall's arguments.
#[inline(always)]
pub(crate) fn refused(scratch: &mut Scratch, slot: u32, directory: i32, user_path: u64) {
    scratch.begin(slot, Verb::Exec);
    path::fill_from_user(scratch, slot, directory, user_path, string::PATH, string::BASE);
}
