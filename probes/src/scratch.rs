//! A record under construction. It lives in task storage: hooks may be preempted and another task
//! may run the same program on the same CPU, so a per-CPU buffer would mix two records; and what a
//! hook begins, another program ends.

use aya_ebpf::bindings::BPF_LOCAL_STORAGE_GET_F_CREATE;
use ebpf_common::{LabelId, Record, Verb, record::record_flags};

use crate::{
    globals::STRING_SPACE,
    kernel,
    maps::{EXEC_SCRATCH, SCRATCH, TASKS},
    verdict::Judgement,
};

/// What is known of the syscall that the task is in.
pub(crate) mod stage {
    /// Nothing was recorded of it.
    pub(crate) const NONE: u32 = 0;
    /// The record waits for the syscall's outcome.
    pub(crate) const PENDING: u32 = 1;
    /// A hook has recorded it already.
    pub(crate) const EMITTED: u32 = 2;
}

/// The state of a walk from a dentry to its file system's root.
#[repr(C)]
pub(crate) struct Walk {
    pub device: u32,
    /// Number of the label found so far.
    pub label: u32,
}

/// One task's record under construction.
#[repr(C)]
pub(crate) struct Scratch {
    /// One of [`stage`].
    pub stage: u32,
    /// Number of the syscall whose outcome the record waits for.
    pub syscall: u32,
    /// Bytes used of `strings`.
    pub used: u32,
    /// Keeps the layout free of padding.
    pub reserved: u32,
    /// What a walk has found.
    pub walk: Walk,
    pub record: Record,
    /// Directly behind the record: both go to the ring buffer in one piece.
    pub strings: [u8; STRING_SPACE],
}

#[inline(always)]
fn storage(flags: u64) -> Option<&'static mut Scratch> {
    // SAFETY: a scratch is plain data but for its record's verb and verdict, which `begin` writes
    // before anything reads them; only the task's own probes use it.
    unsafe { SCRATCH.current(flags) }
}

/// The current task's scratch, if a probe has made one.
#[inline(always)]
pub(crate) fn existing() -> Option<&'static mut Scratch> {
    storage(0)
}

/// The current task's scratch, made if need be; `None` when memory is short. Linux 7.x takes memory
/// for it without waiting (`kmalloc_nolock`), which fails where another holds a lock for a moment: what
/// fails is tried again before an effect counts as lost.
#[inline(always)]
pub(crate) fn get() -> Option<&'static mut Scratch> {
    const CREATE: u64 = BPF_LOCAL_STORAGE_GET_F_CREATE as u64;
    storage(CREATE).or_else(|| storage(CREATE)).or_else(|| storage(CREATE))
}

/// The CPU's scratch, for a tracepoint program that leaves nothing behind for the task. One program
/// alone may use it: the kernel does not run a tracepoint program again on a CPU where it is
/// running already (`__bpf_trace_run`, kernel/trace/bpf_trace.c, Linux 6.1), so that the record is
/// whole even where programs are preempted. A task's own costs each short-lived process 8 KiB.
#[inline(always)]
pub(crate) fn of_processor() -> Option<&'static mut Scratch> {
    // SAFETY: as for a task's; one program uses it, one run of it at a time.
    unsafe { EXEC_SCRATCH.get_ptr_mut(0)?.as_mut() }
}

/// A record of an act of the current task, object not filled in.
#[inline(always)]
pub(crate) fn subject(slot: u32, verb: Verb) -> Record {
    let (_, tid) = kernel::current_ids();
    // SAFETY: entries are removed only when their task exits, and this task is running.
    let exec_id = unsafe { TASKS.get(tid) }.map_or(0, |task| task.exec_id);
    kernel::subject(slot, verb, exec_id)
}

/// Notes in a record what the policy said.
#[inline(always)]
pub(crate) fn judged(record: &mut Record, label: LabelId, judgement: Judgement) {
    record.label = label.number();
    record.verdict = judgement.verdict;
    if judgement.enforced {
        record.flags |= record_flags::ENFORCED;
    }
    if judgement.unwatched {
        record.flags |= record_flags::UNWATCHED;
    }
}

impl Scratch {
    /// Begins a record of an act of the current task.
    #[inline(always)]
    pub(crate) fn begin(&mut self, slot: u32, verb: Verb) {
        self.stage = stage::NONE;
        self.used = 0;
        self.record = subject(slot, verb);
    }

    /// Notes what the policy said.
    #[inline(always)]
    pub(crate) fn judged(&mut self, label: LabelId, judgement: Judgement) {
        judged(&mut self.record, label, judgement);
    }
}
