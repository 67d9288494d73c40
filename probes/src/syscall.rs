//! The end of a syscall: where an act's outcome is known, and where attempts that reached no hook
//! are seen at all.
//!
//! In the `lsm` set these are fexit programs on the syscalls' own functions, which cost bystanders
//! nothing; in the `tracepoint` set one program on `sys_exit`. Arguments are read here and not at
//! the entry: what seccomp refuses never enters.

use aya_ebpf::{
    macros::{btf_tracepoint, fexit},
    programs::{BtfTracePointContext, FExitContext},
};
use ebpf_common::{
    Verb,
    record::{OUTCOME_UNKNOWN, record_flags, string},
};

use crate::{
    emit, exec, kernel,
    kernel::{Address, load_u32, load_u64},
    kill::{self, Kind, Named},
    maps::offset,
    path::{self, AT_FDCWD, Written},
    scratch::{self, Scratch, stage},
    verdict::Judgement,
    whose,
};

/// Syscall numbers of x86_64, arch/x86/entry/syscalls/syscall_64.tbl.
pub(crate) mod nr {
    pub(crate) const EXECVE: u64 = 59;
    pub(crate) const KILL: u64 = 62;
    pub(crate) const RENAME: u64 = 82;
    pub(crate) const RMDIR: u64 = 84;
    pub(crate) const UNLINK: u64 = 87;
    pub(crate) const RT_SIGQUEUEINFO: u64 = 129;
    pub(crate) const TKILL: u64 = 200;
    pub(crate) const TGKILL: u64 = 234;
    pub(crate) const UNLINKAT: u64 = 263;
    pub(crate) const RENAMEAT: u64 = 264;
    pub(crate) const RT_TGSIGQUEUEINFO: u64 = 297;
    pub(crate) const RENAMEAT2: u64 = 316;
    pub(crate) const EXECVEAT: u64 = 322;
    pub(crate) const PIDFD_SEND_SIGNAL: u64 = 424;
}

const EPERM: i32 = 1;
const AT_REMOVEDIR: u32 = 0x200;
/// execveat(2) only asks whether the program could be executed, Linux 6.14.
const AT_EXECVE_CHECK: u32 = 0x1_0000;
const PF_IO_WORKER: u32 = 0x10;

/// Whether a syscall of this number sends signals.
#[inline(always)]
pub(crate) fn sends_signals(number: u64) -> bool {
    matches!(
        number,
        nr::KILL
            | nr::TKILL
            | nr::TGKILL
            | nr::RT_SIGQUEUEINFO
            | nr::RT_TGSIGQUEUEINFO
            | nr::PIDFD_SEND_SIGNAL
    )
}

/// Whether the end of a syscall of this number is seen by a program of ours.
#[inline(always)]
fn is_watched(number: u64) -> bool {
    sends_signals(number)
        || matches!(
            number,
            nr::UNLINK | nr::UNLINKAT | nr::RMDIR | nr::RENAME | nr::RENAMEAT | nr::RENAMEAT2
        )
}

/// Hands over a record whose outcome nobody will tell, before another takes its place.
#[inline(always)]
pub(crate) fn flush(scratch: &mut Scratch) {
    if scratch.stage == stage::PENDING {
        emit::emit(scratch, OUTCOME_UNKNOWN);
    }
}

/// Leaves a judged record for the syscall's end, or hands it over where none will come: an io_uring
/// worker does in its own thread what a syscall asked for long ago.
#[inline(always)]
pub(crate) fn finish(scratch: &mut Scratch, judgement: Judgement) {
    scratch.record.flags |= record_flags::JUDGED;
    let worker = load_u32(kernel::current() as Address, offset!(task_flags)) & PF_IO_WORKER != 0;
    let number = load_u64(kernel::current_registers(), offset!(regs_nr));
    if !worker && is_watched(number) {
        scratch.stage = stage::PENDING;
        return;
    }
    if worker {
        scratch.record.flags |= record_flags::IO_URING;
    }
    emit::emit(scratch, if judgement.refuses() { -1 } else { OUTCOME_UNKNOWN });
    // No program of ours sees the end of this syscall, and the next one's is not this record's.
    scratch.stage = stage::NONE;
}

/// Which kind of record a syscall makes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Exec,
    Signal,
    Remove,
    Rename,
}

/// What happened at the end of the syscall with these registers. `all`: no hook has seen the act
/// before, so what succeeded is recorded here too.
#[inline(always)]
fn ended(registers: Address, number: u64, outcome: i32, family: Family, all: bool) {
    let Some(slot) = whose::run_slot() else { return };
    let existing = scratch::existing();
    if let Some(scratch) = existing {
        let before = scratch.stage;
        scratch.stage = stage::NONE;
        if before == stage::PENDING {
            emit::emit(scratch, outcome);
            scratch.stage = stage::NONE;
            return;
        }
        if before == stage::EMITTED && family != Family::Remove && family != Family::Rename {
            return;
        }
        if before == stage::EMITTED && !all {
            return;
        }
    }
    let argument = |offset: u32| load_u64(registers, offset);
    let swept = family == Family::Signal
        && outcome == 0
        && swept_nobody(registers, number, argument(offset!(regs_arg0)) as i32, all);
    let outcome = if swept { -EPERM } else { outcome };
    let refused = outcome < 0 && !(family == Family::Exec && only_asks(registers, number));
    let wanted = match family {
        Family::Exec => refused,
        // Signal 0 is generated nowhere; what was generated is recorded already.
        Family::Signal => refused || (all && signal_argument(registers, number) == 0),
        Family::Remove | Family::Rename => refused || all,
    };
    if !wanted {
        return;
    }
    let verb = match family {
        Family::Exec => Verb::Exec,
        Family::Signal => Verb::Kill,
        Family::Remove => Verb::Unlink,
        Family::Rename => Verb::Rename,
    };
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, verb);
        return;
    };
    match family {
        Family::Exec => {
            let at = number == nr::EXECVEAT;
            let directory = if at { argument(offset!(regs_arg0)) as i32 } else { AT_FDCWD };
            let user_path = argument(if at { offset!(regs_arg1) } else { offset!(regs_arg0) });
            exec::as_written(scratch, slot, directory, Written::User(user_path));
        }
        Family::Signal => {
            let signal = signal_argument(registers, number);
            let first = argument(offset!(regs_arg0)) as i32;
            let given = match number {
                nr::TGKILL | nr::RT_TGSIGQUEUEINFO => argument(offset!(regs_arg1)) as i32,
                _ => first,
            };
            let named = match number {
                nr::KILL => Named::by_kill(given),
                nr::PIDFD_SEND_SIGNAL => kill::named_by_descriptor(given),
                _ => Named::by_task(given),
            };
            // Where a descriptor was given, what it stands for is what was meant.
            let by_descriptor = number == nr::PIDFD_SEND_SIGNAL && named.kind == Kind::Task;
            let given = if by_descriptor { named.number } else { given as u32 };
            kill::refused(scratch, slot, named, given, signal, outcome);
        }
        Family::Remove => {
            let at = number == nr::UNLINKAT;
            let directory = if at { argument(offset!(regs_arg0)) as i32 } else { AT_FDCWD };
            let user_path = argument(if at { offset!(regs_arg1) } else { offset!(regs_arg0) });
            let rmdir = number == nr::RMDIR
                || (at && argument(offset!(regs_arg2)) as u32 & AT_REMOVEDIR != 0);
            scratch.begin(slot, if rmdir { Verb::Rmdir } else { Verb::Unlink });
            let written = Written::User(user_path);
            path::fill_as_written(scratch, slot, directory, written, string::PATH, string::BASE);
        }
        Family::Rename => {
            let at = number != nr::RENAME;
            let first = argument(offset!(regs_arg0));
            let second = argument(offset!(regs_arg1));
            let third = argument(offset!(regs_arg2));
            let (from, to) =
                if at { (second, argument(offset!(regs_arg3))) } else { (first, second) };
            let (from_dir, to_dir) =
                if at { (first as i32, third as i32) } else { (AT_FDCWD, AT_FDCWD) };
            scratch.begin(slot, Verb::Rename);
            if number == nr::RENAMEAT2 {
                scratch.record.args[0] = argument(offset!(regs_arg4));
            }
            path::fill_as_written(
                scratch,
                slot,
                from_dir,
                Written::User(from),
                string::PATH,
                string::BASE,
            );
            path::fill_as_written(
                scratch,
                slot,
                to_dir,
                Written::User(to),
                string::TO,
                string::TO_BASE,
            );
        }
    }
    emit::emit(scratch, outcome);
    scratch.stage = stage::NONE;
}

/// Whether a signal to everybody reached nobody. kill(2) with -1 succeeds also where every single
/// signal was refused by ownership (`kill_something_info`, kernel/signal.c, Linux 6.1 to 7.3); had one
/// been sent, its record would stand already. Where no LSM hook sees signal 0, it leaves no trace.
#[inline(always)]
fn swept_nobody(registers: Address, number: u64, pid: i32, all: bool) -> bool {
    number == nr::KILL && pid == -1 && !(all && signal_argument(registers, number) == 0)
}

/// Whether the syscall with these registers is an execveat(2) that executes nothing.
#[inline(always)]
pub(crate) fn only_asks(registers: Address, number: u64) -> bool {
    number == nr::EXECVEAT && load_u32(registers, offset!(regs_arg4)) & AT_EXECVE_CHECK != 0
}

/// The signal that a syscall of the signal family sends.
#[inline(always)]
fn signal_argument(registers: Address, number: u64) -> u32 {
    let third = number == nr::TGKILL || number == nr::RT_TGSIGQUEUEINFO;
    load_u32(registers, if third { offset!(regs_arg2) } else { offset!(regs_arg1) })
}

/// `TP_PROTO(struct pt_regs *regs, long ret)`, include/trace/events/syscalls.h, Linux 6.1 to 7.3.
#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    let registers = ctx.arg::<*const u8>(0) as u64;
    let number = load_u64(registers, offset!(regs_nr));
    let outcome = ctx.arg::<i64>(1) as i32;
    match number {
        nr::EXECVE | nr::EXECVEAT => ended(registers, number, outcome, Family::Exec, true),
        nr::UNLINK | nr::UNLINKAT | nr::RMDIR => {
            ended(registers, number, outcome, Family::Remove, true);
        }
        nr::RENAME | nr::RENAMEAT | nr::RENAMEAT2 => {
            ended(registers, number, outcome, Family::Rename, true);
        }
        _ if sends_signals(number) => ended(registers, number, outcome, Family::Signal, true),
        _ => {}
    }
    0
}

/// `long __x64_sys_NAME(const struct pt_regs *regs)`, arch/x86/include/asm/syscall_wrapper.h,
/// Linux 6.1 to 7.3. 32-bit entries have functions of their own; the seccomp filter refuses them.
macro_rules! syscall_exit {
    ($($program:ident: $number:ident, $family:ident;)+) => {
        $(#[fexit]
        pub(crate) fn $program(ctx: FExitContext) -> i32 {
            let outcome = ctx.ret::<i64>().unwrap_or(i64::from(OUTCOME_UNKNOWN)) as i32;
            ended(ctx.arg::<*const u8>(0) as u64, nr::$number, outcome, Family::$family, false);
            0
        })+
    };
}

syscall_exit! {
    exit_execve: EXECVE, Exec;
    exit_execveat: EXECVEAT, Exec;
    exit_kill: KILL, Signal;
    exit_tkill: TKILL, Signal;
    exit_tgkill: TGKILL, Signal;
    exit_rt_sigqueueinfo: RT_SIGQUEUEINFO, Signal;
    exit_rt_tgsigqueueinfo: RT_TGSIGQUEUEINFO, Signal;
    exit_pidfd_send_signal: PIDFD_SEND_SIGNAL, Signal;
    exit_unlink: UNLINK, Remove;
    exit_unlinkat: UNLINKAT, Remove;
    exit_rmdir: RMDIR, Remove;
    exit_rename: RENAME, Rename;
    exit_renameat: RENAMEAT, Rename;
    exit_renameat2: RENAMEAT2, Rename;
}
