//! `fork`: tracepoint `task_newtask`, the superset of what makes tasks (all kernels of the matrix).
//!
//! `TP_PROTO(struct task_struct *task, u64 clone_flags)`, include/trace/events/task.h, Linux 6.18;
//! `unsigned long` before. A failed insert into the task map is counted as a lost fork: without
//! the entry, later acts could not be tied to their program.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use ebpf_common::{
    Label, LabelId, Verb,
    maps::{OVERSIGHT_SLOT, TaskState},
};

use crate::{
    emit,
    kernel::{self, load_u32},
    maps::{TASKS, offset},
    scratch, verdict, whose,
};

const CLONE_THREAD: u64 = 0x0001_0000;

#[btf_tracepoint(function = "task_newtask")]
pub(crate) fn task_newtask(ctx: BtfTracePointContext) -> i32 {
    let Some(slot) = whose::slot() else { return 0 };
    let child = ctx.arg::<*const u8>(0) as u64;
    let flags = ctx.arg::<u64>(1);
    let (_, tid) = kernel::current_ids();
    let leaf = kernel::leaf_of(child);
    let child_tid = load_u32(child, offset!(task_tid));
    let child_tgid = load_u32(child, offset!(task_tgid));
    // SAFETY: entries are removed only when their task exits, and this task is running.
    let exec_id = unsafe { TASKS.get(tid) }.map_or(0, |task| task.exec_id);
    let state = TaskState { leaf, exec_id, tgid: child_tgid, reserved: 0 };
    let inserted = TASKS.insert(child_tid, state, 0).is_ok();
    if slot == OVERSIGHT_SLOT {
        return 0;
    }
    if !inserted {
        emit::lost(slot, Verb::Fork);
    }
    if flags & CLONE_THREAD != 0 {
        return 0;
    }
    let mut record = scratch::subject(slot, Verb::Fork);
    record.args[0] = flags;
    record.object_id = leaf;
    record.object_number = child_tgid;
    record.object_extra = child_tid;
    let label = LabelId::of(if leaf == record.leaf { Label::SelfCall } else { Label::Agent });
    let judgement = verdict::judge(slot, record.leaf, Verb::Fork, label);
    scratch::judged(&mut record, label, judgement);
    emit::emit_alone(&mut record, 0);
    0
}
