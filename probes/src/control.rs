//! Acts on another process that are no signals: `priority`, `affinity` and `rlimit`, and what gives power
//! over its memory, `ptrace_attach`, `ptrace_read` and `memory_access`; and the signal that the kernel sends on somebody's behalf when there is something to read.
//!
//! `int task_setnice(struct task_struct *p, int nice)`, `int task_setioprio(struct task_struct *p, int
//! ioprio)`, `int task_setscheduler(struct task_struct *p)`, `int task_setrlimit(struct task_struct *p,
//! unsigned int resource, struct rlimit *new_rlim)`, `int file_send_sigiotask(struct task_struct *tsk,
//! struct fown_struct *fown, int sig)`, `int ptrace_access_check(struct task_struct *child, unsigned int
//! mode)`, include/linux/lsm_hook_defs.h, Linux 6.1 to 7.3. All run after
//! the ownership check. What a process does to itself is nobody's business.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use ebpf_common::{
    Verb,
    record::{OUTCOME_UNKNOWN, record_flags},
    verb::MAX_ARGS,
};

use crate::{
    emit,
    kernel::{self, Address, load_i32, load_u32, load_u64},
    kill::{self, Kind, Named},
    maps::{TASKS, offset},
    scratch, syscall, verdict, whose,
};

/// Numbers of the syscalls, arch/x86/entry/syscalls/syscall_64.tbl.
pub(crate) mod nr {
    pub(crate) const PTRACE: u64 = 101;
    pub(crate) const SETPRIORITY: u64 = 141;
    pub(crate) const SCHED_SETPARAM: u64 = 142;
    pub(crate) const SCHED_SETSCHEDULER: u64 = 144;
    pub(crate) const SCHED_SETAFFINITY: u64 = 203;
    pub(crate) const IOPRIO_SET: u64 = 251;
    pub(crate) const MIGRATE_PAGES: u64 = 256;
    pub(crate) const MOVE_PAGES: u64 = 279;
    pub(crate) const PRLIMIT64: u64 = 302;
    pub(crate) const PROCESS_VM_READV: u64 = 310;
    pub(crate) const PROCESS_VM_WRITEV: u64 = 311;
    pub(crate) const SCHED_SETATTR: u64 = 314;
    pub(crate) const PIDFD_GETFD: u64 = 438;
    pub(crate) const PROCESS_MADVISE: u64 = 440;
    pub(crate) const PROCESS_MRELEASE: u64 = 448;
}

/// `PRIO_PROCESS`, `PRIO_PGRP` (setpriority(2)); `IOPRIO_WHO_PROCESS`, `IOPRIO_WHO_PGRP` (ioprio_set(2))
/// are one more each.
const PRIO_PROCESS: i32 = 0;
const PRIO_PGRP: i32 = 1;

/// Requests of ptrace(2) that attach to a task by its number.
const PTRACE_ATTACH: u64 = 16;
const PTRACE_SEIZE: u64 = 0x4206;

/// Bits of what is asked of `ptrace_access_check`, include/linux/ptrace.h: to attach and not only to
/// read; and that nobody is to hear of it, where a file in `/proc` shows more or less by it.
const PTRACE_MODE_ATTACH: u32 = 2;
const PTRACE_MODE_NOAUDIT: u32 = 4;

/// The signal of input and output that a process asked for without naming one, signal(7).
const SIGIO: u32 = 29;

/// Whether a syscall of this number acts on a process without a signal.
#[inline(always)]
pub(crate) fn controls(number: u64) -> bool {
    matches!(
        number,
        nr::SETPRIORITY
            | nr::SCHED_SETPARAM
            | nr::SCHED_SETSCHEDULER
            | nr::SCHED_SETAFFINITY
            | nr::IOPRIO_SET
            | nr::PRLIMIT64
            | nr::SCHED_SETATTR
    ) || takes_hold(number)
}

/// Whether a syscall of this number gives power over another process's memory or descriptors.
#[inline(always)]
fn takes_hold(number: u64) -> bool {
    matches!(
        number,
        nr::PTRACE
            | nr::PROCESS_VM_READV
            | nr::PROCESS_VM_WRITEV
            | nr::PROCESS_MADVISE
            | nr::PROCESS_MRELEASE
            | nr::PIDFD_GETFD
            | nr::MOVE_PAGES
            | nr::MIGRATE_PAGES
    )
}

/// What a syscall of this family asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub verb: Verb,
    pub args: [u64; MAX_ARGS],
    pub named: Named,
}

/// Whom a syscall names by kind and number, counted as setpriority(2) does.
#[inline(always)]
fn named(which: i32, who: i32) -> Named {
    match which {
        PRIO_PROCESS => Named::by_task(who),
        PRIO_PGRP => Named { kind: Kind::Group, number: who as u32 },
        // All processes of a user.
        _ => Named::by_task(0),
    }
}

/// The verb and the arguments of an act of [`takes_hold`].
#[inline(always)]
fn hold(registers: Address, number: u64) -> (Verb, [u64; MAX_ARGS]) {
    match number {
        nr::PTRACE => (Verb::PtraceAttach, [number, load_u64(registers, offset!(regs_arg0))]),
        nr::PROCESS_VM_READV => (Verb::PtraceRead, [number, 0]),
        _ => (Verb::MemoryAccess, [number, 0]),
    }
}

/// Reads what was asked for of another process's memory or descriptors; none where it is the caller's own,
/// or of a tracer that has attached already, or looks into a process of its own run.
#[inline(always)]
fn asked_to_hold(slot: u32, registers: Address, number: u64) -> Option<Asked> {
    let (verb, args) = hold(registers, number);
    let first = load_i32(registers, offset!(regs_arg0));
    let named = match number {
        nr::PTRACE if args[1] != PTRACE_ATTACH && args[1] != PTRACE_SEIZE => return None,
        nr::PTRACE => Named::by_task(load_i32(registers, offset!(regs_arg1))),
        nr::PROCESS_MADVISE | nr::PROCESS_MRELEASE | nr::PIDFD_GETFD => {
            kill::named_by_descriptor(first)
        }
        nr::MOVE_PAGES | nr::MIGRATE_PAGES if first == 0 => return None,
        _ => Named::by_task(first),
    };
    // What stands for no process is refused as itself, whoever asks.
    if named.kind == Kind::Nobody || is_own(named.number) {
        return None;
    }
    // SAFETY: entries are plain integers.
    if verb == Verb::PtraceRead
        && let Some(task) = unsafe { TASKS.get(named.number) }
        && kill::is_of_run(slot, task.leaf)
    {
        return None;
    }
    Some(Asked { verb, args, named })
}

/// Reads what was asked for; none where nothing was to change, or nothing but the caller itself.
#[inline(always)]
pub(crate) fn asked(slot: u32, registers: Address, number: u64) -> Option<Asked> {
    if takes_hold(number) {
        return asked_to_hold(slot, registers, number);
    }
    let first = load_i32(registers, offset!(regs_arg0));
    let second = load_i32(registers, offset!(regs_arg1));
    let (verb, argument, which, given) = match number {
        nr::SETPRIORITY => (Verb::Priority, 0, first, second),
        nr::IOPRIO_SET => (Verb::Priority, 0, first.wrapping_sub(1), second),
        nr::SCHED_SETAFFINITY => (Verb::Affinity, 0, PRIO_PROCESS, first),
        nr::PRLIMIT64 if load_u64(registers, offset!(regs_arg2)) == 0 => return None,
        nr::PRLIMIT64 => (Verb::Rlimit, second as u32, PRIO_PROCESS, first),
        _ => (Verb::Priority, 0, PRIO_PROCESS, first),
    };
    let named = named(which, given);
    if which == PRIO_PROCESS && (given == 0 || is_own(named.number)) {
        return None;
    }
    let args = [u64::from(argument), 0];
    Some(Asked { verb, args, named })
}

/// Whether a task is of the caller's own process.
#[inline(always)]
fn is_own(tid: u32) -> bool {
    let (tgid, _) = kernel::current_ids();
    // SAFETY: entries are plain integers.
    tid == tgid || unsafe { TASKS.get(tid) }.is_some_and(|task| task.tgid == tgid)
}

/// Whether the current syscall names one target, so that its outcome is this act's.
#[inline(always)]
fn single_target() -> bool {
    let registers = kernel::current_registers();
    let which = load_i32(registers, offset!(regs_arg0));
    match load_u64(registers, offset!(regs_nr)) {
        nr::SETPRIORITY => which == PRIO_PROCESS,
        nr::IOPRIO_SET => which == PRIO_PROCESS + 1,
        _ => true,
    }
}

#[inline(always)]
fn decide(earlier: i32, verb: Verb, argument: u32, target: Address) -> i32 {
    decide_with(earlier, verb, [u64::from(argument), 0], target)
}

#[inline(always)]
fn decide_with(earlier: i32, verb: Verb, args: [u64; MAX_ARGS], target: Address) -> i32 {
    if earlier != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    if load_u32(target, offset!(task_tgid)) == kernel::current_ids().0 {
        return 0;
    }
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, verb);
        return verdict::unjudged(slot);
    };
    syscall::flush(scratch);
    let judgement = kill::fill(scratch, slot, verb, args, target);
    let judgement = verdict::admit(&mut scratch.record, judgement);
    if verb != Verb::Kill && single_target() {
        syscall::finish(scratch, judgement);
    } else {
        scratch.record.flags |= record_flags::JUDGED;
        emit::emit(scratch, if judgement.refuses() { -1 } else { OUTCOME_UNKNOWN });
    }
    judgement.answer()
}

#[lsm(hook = "task_setnice")]
pub(crate) fn task_setnice(ctx: LsmContext) -> i32 {
    decide(ctx.arg::<i32>(2), Verb::Priority, 0, ctx.arg::<*const u8>(0) as u64)
}

#[lsm(hook = "task_setioprio")]
pub(crate) fn task_setioprio(ctx: LsmContext) -> i32 {
    decide(ctx.arg::<i32>(2), Verb::Priority, 0, ctx.arg::<*const u8>(0) as u64)
}

#[lsm(hook = "task_setscheduler")]
pub(crate) fn task_setscheduler(ctx: LsmContext) -> i32 {
    let number = load_u64(kernel::current_registers(), offset!(regs_nr));
    let verb = if number == nr::SCHED_SETAFFINITY { Verb::Affinity } else { Verb::Priority };
    decide(ctx.arg::<i32>(1), verb, 0, ctx.arg::<*const u8>(0) as u64)
}

#[lsm(hook = "task_setrlimit")]
pub(crate) fn task_setrlimit(ctx: LsmContext) -> i32 {
    let resource = ctx.arg::<u32>(1);
    decide(ctx.arg::<i32>(3), Verb::Rlimit, resource, ctx.arg::<*const u8>(0) as u64)
}

#[lsm(hook = "file_send_sigiotask")]
pub(crate) fn file_send_sigiotask(ctx: LsmContext) -> i32 {
    let signal = match ctx.arg::<u32>(2) {
        0 => SIGIO,
        signal => signal,
    };
    decide(ctx.arg::<i32>(3), Verb::Kill, signal, ctx.arg::<*const u8>(0) as u64)
}

/// Runs where a lock is held and for every look into `/proc` that shows another's secrets.
#[lsm(hook = "ptrace_access_check")]
pub(crate) fn ptrace_access_check(ctx: LsmContext) -> i32 {
    let earlier = ctx.arg::<i32>(2);
    let mode = ctx.arg::<u32>(1);
    if earlier != 0 || mode & PTRACE_MODE_NOAUDIT != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let target = ctx.arg::<*const u8>(0) as u64;
    let registers = kernel::current_registers();
    let number = load_u64(registers, offset!(regs_nr));
    let (verb, args) = if takes_hold(number) {
        hold(registers, number)
    } else if mode & PTRACE_MODE_ATTACH != 0 {
        (Verb::MemoryAccess, [number, 0])
    } else {
        (Verb::PtraceRead, [number, 0])
    };
    // What a process sees of its own run's is nobody's business.
    if verb == Verb::PtraceRead && kill::is_of_run(slot, kernel::leaf_of(target)) {
        return 0;
    }
    decide_with(earlier, verb, args, target)
}
