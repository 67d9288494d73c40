//! The floor that the benchmark holds the probes against: programs on the same hooks that capture
//! the same bytes of an act, resolve the same path by the same walk, and submit them. A process
//! that is in no run leaves at the same place.
//!
//! They look up no label, table, program image or leaf, count and number nothing, and refuse
//! nothing. Only hooks that an operation of the benchmark reaches are here, and of several on one
//! act only those without which its bytes could not be had. Where a program cannot be preempted it
//! writes to a buffer of the CPU, and where a record has no string straight to the ring buffer.
#![no_std]
#![no_main]

#[path = "../globals.rs"]
mod globals;
#[expect(dead_code, reason = "the floor needs fewer reads than the probes")]
#[path = "../kernel.rs"]
mod kernel;
#[path = "../task_storage.rs"]
mod task_storage;

mod buffer;
mod capture;
mod maps;
mod processes;
mod removal;
mod signals;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // No program can reach this: the verifier refuses what might.
    loop {}
}

// The helpers that the programs call are only for programs under a GPL-compatible licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
