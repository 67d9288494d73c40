//! `fork`, `exec` and `exit`, from the same tracepoints as the probes.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use ebpf_common::{Verb, record::string};

use crate::{
    capture,
    kernel::{self, Known, load_i32, load_u32, load_u64},
    maps::{BUFFER, offset, run_slot},
};

const CLONE_THREAD: u64 = 0x0001_0000;

#[btf_tracepoint(function = "task_newtask")]
pub(crate) fn task_newtask(ctx: BtfTracePointContext) -> i32 {
    let Some(slot) = run_slot() else { return 0 };
    let flags = ctx.arg::<u64>(1);
    if flags & CLONE_THREAD != 0 {
        return 0;
    }
    let child = ctx.arg::<*const u8>(0) as u64;
    let mut record = capture::subject(slot, Verb::Fork);
    record.args[0] = flags;
    record.object_id = kernel::leaf_of(child);
    record.object_number = load_u32(child, offset!(task_tgid));
    record.object_extra = load_u32(child, offset!(task_tid));
    capture::submit(record);
    0
}

#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn sched_process_exec(ctx: BtfTracePointContext) -> i32 {
    let Some(slot) = run_slot() else { return 0 };
    let Some(buffer) = BUFFER.get_ptr_mut(0) else { return 0 };
    // SAFETY: the CPU's own element, and tracepoint programs are not preempted.
    let buffer = unsafe { &mut *buffer };
    buffer.used = 0;
    buffer.record = capture::subject(slot, Verb::Exec);
    let file = load_u64(ctx.arg::<*const u8>(2) as u64, offset!(binprm_file));
    let dentry = load_u64(file, offset!(file_path) + offset!(path_dentry));
    buffer.record.object_id = kernel::inode_number::<Known>(dentry);
    buffer.record.object_number = buffer.path::<Known>(dentry, string::PATH);
    buffer.arguments();
    capture::submit_buffer(buffer);
    0
}

#[btf_tracepoint(function = "sched_process_exit")]
pub(crate) fn sched_process_exit(ctx: BtfTracePointContext) -> i32 {
    let Some(slot) = run_slot() else { return 0 };
    let task = ctx.arg::<*const u8>(0) as u64;
    let signal = load_u64(task, offset!(task_signal));
    if load_i32(signal, offset!(signal_live)) != 0 {
        return 0;
    }
    let mut record = capture::subject(slot, Verb::Exit);
    record.args[0] = u64::from(load_i32(task, offset!(task_exit_code)) as u32);
    record.object_id = record.leaf;
    record.object_number = record.tgid;
    record.object_extra = record.tid;
    capture::submit(record);
    0
}
