//! One empty program of each kind, for the benchmark: loaded once for each hook of the probes, they are
//! what it costs to have a program there at all.
#![no_std]
#![no_main]

use aya_ebpf::{
    macros::{btf_tracepoint, fexit, lsm},
    programs::{BtfTracePointContext, FExitContext, LsmContext},
};

/// Agrees, whatever is asked.
#[lsm(hook = "file_open")]
pub(crate) fn empty_lsm(_ctx: LsmContext) -> i32 {
    0
}

#[fexit]
pub(crate) fn empty_fexit(_ctx: FExitContext) -> i32 {
    0
}

#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn empty_tracepoint(_ctx: BtfTracePointContext) -> i32 {
    0
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // No program can reach this: the verifier refuses what might.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
