//! A record under construction. It lives in task storage: hooks may be preempted and another task
//! may run the same program on the same CPU, so a per-CPU buffer would mix two records; and what a
//! hook begins, another program ends.

use aya_ebpf::{
    bindings::BPF_LOCAL_STORAGE_GET_F_CREATE,
    helpers::{bpf_get_current_comm, bpf_get_current_uid_gid, bpf_ktime_get_boot_ns},
};
use ebpf_common::{LabelId, Record, Verb, Verdict, record::record_flags};

use crate::{
    kernel,
    maps::{EXEC_SCRATCH, SCRATCH, TASKS},
    verdict::Judgement,
};

/// Bytes for a record's strings. With the storage's own header the element stays within 8 KiB.
pub(crate) const STRING_SPACE: usize = 7680;
/// The most that one append may write: a file name of 255 bytes and its terminator.
pub(crate) const NAME_BYTES: usize = 256;
/// Where the last append may begin.
pub(crate) const LAST_START: usize = STRING_SPACE - 4096;

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
    /// Bytes used of `strings`.
    pub used: u32,
    /// Where a walk is. What changes from step to step lives here and not in registers: the verifier
    /// takes a map value for unknown at each step and so finds one step like the other, instead of
    /// following every combination.
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

/// The current task's scratch, made if need be; `None` when memory is short.
#[inline(always)]
pub(crate) fn get() -> Option<&'static mut Scratch> {
    storage(u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE))
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
    let (tgid, tid) = kernel::current_ids();
    // SAFETY: entries are removed only when their task exits, and this task is running.
    let exec_id = unsafe { TASKS.get(tid) }.map_or(0, |task| task.exec_id);
    Record {
        seq: 0,
        // SAFETY: takes no arguments.
        boot_ns: unsafe { bpf_ktime_get_boot_ns() },
        leaf: kernel::current_leaf(),
        exec_id,
        args: [0; 2],
        object_id: 0,
        object_number: 0,
        object_extra: 0,
        tgid,
        tid,
        uid: bpf_get_current_uid_gid() as u32,
        outcome: 0,
        slot,
        flags: 0,
        verb,
        verdict: Verdict::Allow,
        label: 0,
        to_label: 0,
        reserved: [0; 6],
        string_bytes: [0; 4],
        comm: bpf_get_current_comm().unwrap_or([0; 16]),
    }
}

/// Notes in a record what the policy said.
#[inline(always)]
pub(crate) fn judged(record: &mut Record, label: LabelId, judgement: Judgement) {
    record.label = label.number();
    record.verdict = judgement.verdict;
    if judgement.enforced {
        record.flags |= record_flags::ENFORCED;
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
