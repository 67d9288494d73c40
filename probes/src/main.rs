//! Belljar's kernel programs. Two sets share every map and every function: in the `lsm` set LSM
//! hooks decide and fexit programs on the syscalls see outcomes; in the `tracepoint` set
//! tracepoints observe and others enforce. User space loads the set that the kernel accepts. Beside
//! either, programs on the run's cgroup decide on addresses.
//!
//! A probe defers to an earlier denial, asks whose act it is, to what, and what the policy says,
//! records, and returns. Failing to record never changes a verdict.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod arguments;
mod attributes;
mod control;
mod control_file;
mod create;
mod emit;
mod exec;
mod exit;
mod fork;
mod globals;
mod kernel;
mod kill;
mod link;
mod map;
mod maps;
mod network;
mod open;
mod path;
mod power;
mod rename;
mod scratch;
mod syscall;
mod task_storage;
mod unix;
mod unlink;
mod verdict;
mod walk;
mod whose;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // No program can reach this: the verifier refuses what might.
    loop {}
}

// The helpers that the probes call are only for programs under a GPL-compatible licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
