//! Who did it, and the way to the ring buffer.

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::{
        bpf_get_current_comm, bpf_get_current_uid_gid, bpf_ktime_get_boot_ns,
        generated::bpf_ringbuf_output,
    },
};
use ebpf_common::{Record, Verb, Verdict, record::RECORD_BYTES};

use crate::{
    buffer::{Buffer, STRING_SPACE},
    kernel,
    maps::RECORDS,
};

/// A record of an act of the current task, object and outcome not filled in.
#[inline(always)]
pub(crate) fn subject(slot: u32, verb: Verb) -> Record {
    let (tgid, tid) = kernel::current_ids();
    Record {
        seq: 0,
        // SAFETY: takes no arguments.
        boot_ns: unsafe { bpf_ktime_get_boot_ns() },
        leaf: kernel::current_leaf(),
        exec_id: 0,
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

/// Submits a record without strings.
#[inline(always)]
pub(crate) fn submit(record: Record) {
    if let Some(mut entry) = RECORDS.reserve_untyped::<Record>(0) {
        entry.write(record);
        entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    }
}

/// Submits what a buffer holds.
#[inline(always)]
pub(crate) fn submit_buffer(buffer: &mut Buffer) {
    let strings = buffer.used as u64;
    let bytes = RECORD_BYTES as u64
        + if strings > STRING_SPACE as u64 { STRING_SPACE as u64 } else { strings };
    // SAFETY: record and strings are one piece of a map value, `bytes` within it.
    unsafe {
        bpf_ringbuf_output(
            (&raw const RECORDS).cast_mut().cast(),
            (&raw mut buffer.record).cast(),
            bytes,
            u64::from(BPF_RB_NO_WAKEUP),
        );
    }
}
