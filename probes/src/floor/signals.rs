//! `kill`: in the `lsm` set LSM `task_kill` and the syscall's exit, in the `tracepoint` set
//! `signal_generate`, which tells the outcome too.

use aya_ebpf::{
    bindings::BPF_LOCAL_STORAGE_GET_F_CREATE,
    macros::{btf_tracepoint, fexit, lsm},
    programs::{BtfTracePointContext, FExitContext, LsmContext},
};
use ebpf_common::{Record, Verb};

use crate::{
    capture,
    kernel::{self, Address, load_u32},
    maps::{PENDING, offset, run_slot},
    removal,
};

#[inline(always)]
fn record(slot: u32, target: Address, signal: u32) -> Record {
    let mut record = capture::subject(slot, Verb::Kill);
    let tgid = load_u32(target, offset!(task_tgid));
    record.args = [u64::from(signal), u64::from(tgid)];
    record.object_id = kernel::leaf_of(target);
    record.object_number = tgid;
    record.object_extra = load_u32(target, offset!(task_tid));
    record
}

#[btf_tracepoint(function = "signal_generate")]
pub(crate) fn signal_generate(ctx: BtfTracePointContext) -> i32 {
    let Some(slot) = run_slot() else { return 0 };
    // SEND_SIG_NOINFO and SEND_SIG_PRIV are 0 and 1: the kernel's own signals, as to a parent.
    let info = ctx.arg::<*const u8>(1) as u64;
    if info <= 1 || kernel::read_i32(info, offset!(siginfo_code)) > 0 {
        return 0;
    }
    capture::submit(record(slot, ctx.arg::<*const u8>(2) as u64, ctx.arg::<u32>(0)));
    0
}

#[lsm(hook = "task_kill")]
pub(crate) fn task_kill(ctx: LsmContext) -> i32 {
    let Some(slot) = run_slot() else { return 0 };
    // SAFETY: plain data; the record is written whole here before anything reads it.
    let pending = unsafe { PENDING.current(u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE)) };
    let Some(buffer) = pending else { return 0 };
    buffer.record = record(slot, ctx.arg::<*const u8>(0) as u64, ctx.arg::<u32>(2));
    buffer.used = 0;
    buffer.pending = 1;
    0
}

#[fexit]
pub(crate) fn exit_kill(ctx: FExitContext) -> i32 {
    removal::ended(ctx.ret::<i64>().unwrap_or(0) as i32);
    0
}
