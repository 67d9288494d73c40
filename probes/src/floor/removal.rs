//! `unlink`: in the `lsm` set LSM `path_unlink` and the syscall's exit, in the `tracepoint` set
//! `sys_exit` with the path that the caller wrote and the directory that it starts from.

use aya_ebpf::{
    bindings::BPF_LOCAL_STORAGE_GET_F_CREATE,
    macros::{btf_tracepoint, fexit, lsm},
    programs::{BtfTracePointContext, FExitContext, LsmContext},
};
use ebpf_common::{Verb, record::string};

use crate::{
    capture,
    kernel::{self, Known, Unknown, load_u64},
    maps::{BUFFER, PENDING, offset, run_slot},
};

/// arch/x86/entry/syscalls/syscall_64.tbl.
const UNLINK: u64 = 87;

#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    let registers = ctx.arg::<*const u8>(0) as u64;
    if load_u64(registers, offset!(regs_nr)) != UNLINK {
        return 0;
    }
    let Some(slot) = run_slot() else { return 0 };
    let Some(buffer) = BUFFER.get_ptr_mut(0) else { return 0 };
    // SAFETY: the CPU's own element, and tracepoint programs are not preempted.
    let buffer = unsafe { &mut *buffer };
    buffer.used = 0;
    buffer.record = capture::subject(slot, Verb::Unlink);
    buffer.record.outcome = ctx.arg::<i64>(1) as i32;
    buffer.user_path(load_u64(registers, offset!(regs_arg0)));
    buffer.record.object_number = buffer.path::<Unknown>(kernel::working_directory(), string::BASE);
    capture::submit_buffer(buffer);
    0
}

#[lsm(hook = "path_unlink")]
pub(crate) fn path_unlink(ctx: LsmContext) -> i32 {
    let Some(slot) = run_slot() else { return 0 };
    // SAFETY: plain data; the record is written whole here before anything reads it.
    let pending = unsafe { PENDING.current(u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE)) };
    let Some(buffer) = pending else { return 0 };
    buffer.used = 0;
    buffer.record = capture::subject(slot, Verb::Unlink);
    let dentry = ctx.arg::<*const u8>(1) as u64;
    buffer.record.object_id = kernel::inode_number::<Known>(dentry);
    buffer.record.object_number = buffer.path::<Known>(dentry, string::PATH);
    buffer.pending = 1;
    0
}

#[fexit]
pub(crate) fn exit_unlink(ctx: FExitContext) -> i32 {
    ended(ctx.ret::<i64>().unwrap_or(0) as i32);
    0
}

/// Submits the record that waits for this outcome.
#[inline(always)]
pub(crate) fn ended(outcome: i32) {
    if run_slot().is_none() {
        return;
    }
    // SAFETY: plain data; the record was written whole where `pending` was set.
    if let Some(buffer) = unsafe { PENDING.current(0) }
        && buffer.pending == 1
    {
        buffer.pending = 0;
        buffer.record.outcome = outcome;
        capture::submit_buffer(buffer);
    }
}
