//! Powers over the kernel or the machine: no hook judges them, since the sandbox's seccomp filter, or
//! the lack of a capability, refuses them before. What is refused is on record all the same.
//!
//! Where trampolines are, fexit on seccomp's own verdict sees what the filter refuses: `int
//! __secure_computing(const struct seccomp_data *sd)`, kernel/seccomp.c, Linux 6.1, without an argument
//! from 6.15 on, where -1 is a refusal; `bool __seccomp_permit_syscall(void)` in Linux 7.3, where false is
//! one. The caller's registers hold what it is told. The kernel calls them for processes with a filter
//! alone, so that others pay nothing. Elsewhere the syscall's exit tells.

use aya_ebpf::{macros::fexit, programs::FExitContext};
use ebpf_common::{
    LabelId, Record, Verb,
    record::OUTCOME_UNKNOWN,
    syscall::{COMPAT_BIT, X32_BIT, verb_at},
};

use crate::{
    emit,
    kernel::{self, Address, load_i32, load_u32, load_u64},
    maps::offset,
    scratch, syscall, verdict, whose,
};

const EPERM: i32 = -1;
const ENOSYS: i32 = -38;
const SIGSYS: u32 = 31;
const IOCTL: u64 = 16;
/// Requests of ioctl(2) that type on a terminal, ioctl_tty(2).
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;
/// The task is in a syscall of the 32-bit ABI, arch/x86/include/asm/thread_info.h.
const TS_COMPAT: u32 = 2;

/// Whether a syscall that ended so is a power that was refused. `ioctl` is one with some requests alone;
/// the others of the table fail with these errors for no other reason.
#[inline(always)]
pub(crate) fn was_refused(registers: Address, number: u64, outcome: i32) -> bool {
    match verb_of(number) {
        Some(Verb::IoUring) => outcome == ENOSYS,
        Some(_) if number == IOCTL => {
            let request = load_u32(registers, offset!(regs_arg1));
            outcome == EPERM && (request == TIOCSTI || request == TIOCLINUX)
        }
        Some(_) => outcome == EPERM,
        None => false,
    }
}

/// The verb that tells of a syscall; numbers of the x32 ABI are refused whatever they name.
#[inline(always)]
fn verb_of(number: u64) -> Option<Verb> {
    if number & X32_BIT != 0 { Some(Verb::SyscallRefused) } else { verb_at(number) }
}

/// Fills in a record of a power: there is no object but the kernel.
#[inline(always)]
fn fill(record: &mut Record, slot: u32, number: u64, argument: u64) {
    let verb = record.verb;
    record.args[0] = number;
    record.args[1] = argument;
    let Some(label) = verb.fixed_label() else { return };
    let label = LabelId::of(label);
    let judgement = verdict::judge(slot, record.leaf, verb, label);
    scratch::judged(record, label, judgement);
}

/// Records a power that was refused.
#[inline(always)]
pub(crate) fn refused(slot: u32, registers: Address, number: u64, outcome: i32) {
    let Some(verb) = verb_of(number) else { return };
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, verb);
        return;
    };
    scratch.begin(slot, verb);
    let argument = match verb {
        Verb::Bpf | Verb::Unshare => load_u64(registers, offset!(regs_arg0)) & 0xffff_ffff,
        _ => 0,
    };
    fill(&mut scratch.record, slot, number, argument);
    syscall::finished(scratch, outcome);
}

/// Records that the filter has killed the current task for a syscall of the 32-bit ABI: nothing else
/// tells of it, since such a syscall has no end.
#[inline(always)]
pub(crate) fn killed_for(slot: u32, task: Address) {
    let status = load_u32(task, offset!(task_thread_info) + offset!(thread_info_status));
    let signal = load_i32(task, offset!(task_exit_code)) as u32 & 0x7f;
    if status & TS_COMPAT == 0 || signal != SIGSYS {
        return;
    }
    let number = load_u64(kernel::current_registers(), offset!(regs_nr)) & 0x3fff_ffff;
    let mut record = scratch::subject(slot, Verb::SyscallRefused);
    fill(&mut record, slot, COMPAT_BIT | number, 0);
    emit::emit_alone(&mut record, OUTCOME_UNKNOWN);
}

#[fexit(function = "__secure_computing")]
pub(crate) fn secure_computing(ctx: FExitContext) -> i32 {
    if ctx.ret::<i64>().unwrap_or(0) as i32 != 0 {
        refuses();
    }
    0
}

#[fexit(function = "__seccomp_permit_syscall")]
pub(crate) fn permit_syscall(ctx: FExitContext) -> i32 {
    // Only the lowest byte of the register is the function's answer.
    if ctx.ret::<i64>().unwrap_or(1) as u8 == 0 {
        refuses();
    }
    0
}

/// The filter has refused the current task's syscall.
#[inline(always)]
fn refuses() {
    if let Some(slot) = whose::run_slot() {
        syscall::not_entered(slot, kernel::current_registers());
    }
}
