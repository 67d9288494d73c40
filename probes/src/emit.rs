//! From a finished record to the ring buffer, with exact accounting of what does not get there.

use core::arch::asm;

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_ringbuf_output, bpf_ringbuf_query},
};
use ebpf_common::{
    Record, Verb,
    record::{RECORD_BYTES, record_flags},
    verb::MAX_VERBS,
};

use crate::{
    globals::STRING_SPACE,
    maps::{DROPPED, EFFECTS, NEXT_SEQ, VIOLATIONS},
    scratch::{Scratch, stage},
};

/// Waking the reader for each record costs microseconds: it polls, and is woken when this much waits.
const WAKE_AT_BYTES: u64 = 1 << 20;
const EPERM: i32 = -1;
const EACCES: i32 = -13;

/// Adds one to a counter in a map and gives what it was. rustc 1.95 takes BPF to have no atomic
/// read-modify-write (`AtomicU64::fetch_add` is missing, the intrinsic is refused for the default
/// CPU); Linux has had the instruction since 5.12.
///
/// # Safety
///
/// `counter` is aligned and lies in a map value.
#[inline(always)]
unsafe fn increment(counter: *mut u64) -> u64 {
    let mut value = 1_u64;
    // SAFETY: the instruction touches the counter alone, which the caller promises is one.
    unsafe {
        asm!(
            "{value} = atomic_fetch_add((u64 *)({counter} + 0), {value})",
            value = inout(reg) value,
            counter = in(reg) counter,
            options(nostack),
        );
    }
    value
}

/// Takes the run's next sequence number. It counts as emitted from here on.
#[inline(always)]
fn next_seq(slot: u32) -> u64 {
    match NEXT_SEQ.get_ptr_mut(slot) {
        // SAFETY: an element of a map of u64.
        Some(next) => unsafe { increment(next) },
        None => 0,
    }
}

#[inline(always)]
fn count_drop(slot: u32, verb: Verb) {
    if let Some(dropped) = DROPPED.get_ptr_mut(slot) {
        // The compiler knows that a verb's number is small, the verifier does not: without the black
        // box the bound is optimised away.
        let index = core::hint::black_box(verb.number() as usize) % MAX_VERBS;
        // SAFETY: within the array, aligned, in a map.
        unsafe {
            increment((&raw mut (*dropped).by_verb).cast::<u64>().add(index));
        }
    }
}

/// Accounts for an effect that could not even be written down.
#[inline(never)]
pub(crate) fn lost(slot: u32, verb: Verb) {
    next_seq(slot);
    count_drop(slot, verb);
}

/// Hands the record over; gives its sequence number. A function of its own, so that the verifier looks
/// once at what follows.
#[inline(never)]
pub(crate) fn emit(scratch: &mut Scratch, outcome: i32) -> u64 {
    scratch.stage = stage::EMITTED;
    let strings = scratch.used as u64;
    let bytes = RECORD_BYTES as u64
        + if strings > STRING_SPACE as u64 { STRING_SPACE as u64 } else { strings };
    // SAFETY: record and strings are one piece of a map value, `bytes` within it.
    unsafe { hand_over(&raw mut scratch.record, bytes, outcome) }
}

/// Hands over a record without strings.
#[inline(always)]
pub(crate) fn emit_alone(record: &mut Record, outcome: i32) {
    // SAFETY: the record is whole.
    unsafe { hand_over(record, RECORD_BYTES as u64, outcome) };
}

/// # Safety
///
/// The record is the first of `bytes` bytes.
#[inline(always)]
unsafe fn hand_over(whole: *mut Record, bytes: u64, outcome: i32) -> u64 {
    // SAFETY: the caller's promise.
    let record = unsafe { &mut *whole };
    let seq = next_seq(record.slot);
    record.seq = seq;
    record.outcome = outcome;
    // What was refused is most likely a violation, though only user space can tell for a path that
    // the kernel did not resolve.
    let refused =
        record.flags & record_flags::USER_PATH != 0 && (outcome == EPERM || outcome == EACCES);
    let violation = record.verdict.is_violation() || refused;
    let data = whole.cast();
    // SAFETY: the caller's promise; the maps are ring buffers.
    let result = unsafe {
        if violation {
            bpf_ringbuf_output((&raw const VIOLATIONS).cast_mut().cast(), data, bytes, 0)
        } else {
            let ring = (&raw const EFFECTS).cast_mut().cast();
            let waiting = bpf_ringbuf_query(ring, u64::from(BPF_RB_AVAIL_DATA));
            let wake = if waiting > WAKE_AT_BYTES { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
            bpf_ringbuf_output(ring, data, bytes, u64::from(wake))
        }
    };
    if result != 0 {
        count_drop(record.slot, record.verb);
    }
    seq
}
