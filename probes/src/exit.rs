//! `exit`: tracepoint `sched_process_exit`, recorded once a process, when its last thread ends.
//!
//! `TP_PROTO(struct task_struct *p)`, include/trace/events/sched.h, Linux 6.1; 6.16 and later add
//! `bool group_dead`. `signal->live` counts the threads that have not begun to exit; two that end
//! together may both read 0, and the removal of the process's entry lets one through.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use ebpf_common::{Label, LabelId, Verb, maps::OVERSIGHT_SLOT};

use crate::{
    emit,
    kernel::{self, load_i32, load_u64},
    maps::{TASKS, offset},
    power, scratch, syscall, verdict, whose,
};

#[btf_tracepoint(function = "sched_process_exit")]
pub(crate) fn sched_process_exit(ctx: BtfTracePointContext) -> i32 {
    let Some(slot) = whose::slot() else { return 0 };
    let task = ctx.arg::<*const u8>(0) as u64;
    let (tgid, tid) = kernel::current_ids();
    let signal = load_u64(task, offset!(task_signal));
    let last = load_i32(signal, offset!(signal_live)) == 0;
    let recorded = last && slot != OVERSIGHT_SLOT;
    if let Some(scratch) = scratch::existing() {
        // The end of the thread's last syscall was not seen.
        syscall::flush(scratch);
    }
    if slot != OVERSIGHT_SLOT {
        power::killed_for(slot, task);
    }
    // The record is built first: it names the program by the task's entry.
    let record = if recorded { Some(scratch::subject(slot, Verb::Exit)) } else { None };
    if tid != tgid {
        // An entry that is not there belongs to a task from before the run.
        let _ = TASKS.remove(tid);
    }
    if !last || (TASKS.remove(tgid).is_err() && recorded) {
        return 0;
    }
    let Some(mut record) = record else { return 0 };
    record.args[0] = u64::from(load_i32(task, offset!(task_exit_code)) as u32);
    record.object_id = record.leaf;
    record.object_number = tgid;
    record.object_extra = tid;
    let label = LabelId::of(Label::SelfCall);
    let judgement = verdict::judge(slot, record.leaf, Verb::Exit, label);
    scratch::judged(&mut record, label, judgement);
    emit::emit_alone(&mut record, 0);
    0
}
