//! Who did it, and the way to the ring buffer.

use aya_ebpf::{bindings::BPF_RB_NO_WAKEUP, helpers::generated::bpf_ringbuf_output};
use ebpf_common::{Record, Verb, record::RECORD_BYTES};

use crate::{buffer::Buffer, globals::STRING_SPACE, kernel, maps::RECORDS};

/// A record of an act of the current task, object and outcome not filled in.
#[inline(always)]
pub(crate) fn subject(slot: u32, verb: Verb) -> Record {
    kernel::subject(slot, verb, 0)
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
