//! `kill` and `signal_probe`: LSM `task_kill` decides; tracepoint `signal_generate` sees what was
//! sent where no LSM program loads; the syscall's exit sees what was refused before either.
//!
//! `int task_kill(struct task_struct *p, struct kernel_siginfo *info, int sig, const struct cred
//! *cred)`, include/linux/lsm_hook_defs.h; `TP_PROTO(int sig, struct kernel_siginfo *info, struct
//! task_struct *task, int group, int result)`, include/trace/events/signal.h; Linux 6.1 to 7.3. The
//! hook runs after the ownership check.

use aya_ebpf::{
    macros::{btf_tracepoint, lsm},
    programs::{BtfTracePointContext, LsmContext},
};
use ebpf_common::{
    Label, LabelId, Verb,
    record::{OUTCOME_UNKNOWN, record_flags},
    verb::MAX_ARGS,
};

use crate::{
    emit,
    kernel::{self, Address, load_i32, load_u32, load_u64, read_i32, read_u32, read_u64},
    maps::{LEAVES, TASKS, offset},
    scratch::{self, Scratch, stage},
    syscall::{self, nr},
    verdict::{self, Judgement},
    whose,
};

/// What a process in `leaf` means to the current task's run.
#[inline(always)]
fn label_of_leaf(slot: u32, own_leaf: u64, leaf: u64) -> LabelId {
    if leaf == own_leaf {
        return LabelId::of(Label::SelfCall);
    }
    // SAFETY: entries are plain integers, written before the leaf has a process.
    match unsafe { LEAVES.get(leaf) } {
        Some(state) if state.slot == slot || state.label == Label::Oversight as u32 => {
            LabelId::from_number(state.label as u8)
        }
        _ => LabelId::of(Label::Host),
    }
}

/// The verb of a signal: signal 0 only asks.
#[inline(always)]
fn verb_of(signal: u32) -> Verb {
    if signal == 0 { Verb::SignalProbe } else { Verb::Kill }
}

/// Fills in a record of a signal to a task that the kernel has found.
#[inline(always)]
fn fill_signal(scratch: &mut Scratch, slot: u32, target: Address, signal: u32) -> Judgement {
    let args = [u64::from(signal), u64::from(load_u32(target, offset!(task_tgid)))];
    fill(scratch, slot, verb_of(signal), args, target)
}

/// Fills in a record of an act on a task that the kernel has found.
#[inline(always)]
pub(crate) fn fill(
    scratch: &mut Scratch,
    slot: u32,
    verb: Verb,
    args: [u64; MAX_ARGS],
    target: Address,
) -> Judgement {
    scratch.begin(slot, verb);
    let leaf = kernel::leaf_of(target);
    let tgid = load_u32(target, offset!(task_tgid));
    scratch.record.args = args;
    scratch.record.object_id = leaf;
    scratch.record.object_number = tgid;
    scratch.record.object_extra = load_u32(target, offset!(task_tid));
    let label = label_of_leaf(slot, scratch.record.leaf, leaf);
    let judgement = verdict::judge(slot, scratch.record.leaf, verb, label);
    scratch.judged(label, judgement);
    judgement
}

/// Whether the current syscall names one target, so that its outcome is this signal's.
#[inline(always)]
fn single_target() -> bool {
    let registers = kernel::current_registers();
    load_u64(registers, offset!(regs_nr)) != nr::KILL || load_i32(registers, offset!(regs_arg0)) > 0
}

#[lsm(hook = "task_kill")]
pub(crate) fn task_kill(ctx: LsmContext) -> i32 {
    let earlier = ctx.arg::<i32>(4);
    if earlier != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let signal = ctx.arg::<u32>(2);
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, verb_of(signal));
        return verdict::unjudged(slot);
    };
    syscall::flush(scratch);
    let judgement = fill_signal(scratch, slot, ctx.arg::<*const u8>(0) as u64, signal);
    let judgement = verdict::admit(&mut scratch.record, judgement);
    scratch.record.flags |= record_flags::JUDGED;
    if single_target() {
        syscall::finish(scratch, judgement);
    } else {
        emit::emit(scratch, if judgement.refuses() { -1 } else { OUTCOME_UNKNOWN });
    }
    judgement.answer()
}

// si_code values of signals that a process asked for, include/uapi/asm-generic/siginfo.h.
const SI_USER: i32 = 0;
const SI_QUEUE: i32 = -1;
const SI_TKILL: i32 = -6;

// What stands in for a siginfo, include/linux/sched/signal.h.
const SEND_SIG_NOINFO: Address = 0;
const SEND_SIG_PRIV: Address = 1;

#[btf_tracepoint(function = "signal_generate")]
pub(crate) fn signal_generate(ctx: BtfTracePointContext) -> i32 {
    let Some(slot) = whose::run_slot() else { return 0 };
    let signal = ctx.arg::<u32>(0);
    let info = ctx.arg::<*const u8>(1) as u64;
    let registers = kernel::current_registers();
    let number = load_u64(registers, offset!(regs_nr));
    if !syscall::sends_signals(number) {
        return 0;
    }
    let code = match info {
        // The kernel's own signals; since 7.x also kill(2)'s, which says nothing but who sent it.
        SEND_SIG_NOINFO if number == nr::KILL => SI_USER,
        SEND_SIG_NOINFO | SEND_SIG_PRIV => return 0,
        info => read_i32(info, offset!(siginfo_code)),
    };
    let queued = number != nr::KILL && number != nr::TKILL && number != nr::TGKILL;
    // A child that the signal kills tells its parent while the same syscall's registers stand.
    if !(code == SI_USER || code == SI_QUEUE || code == SI_TKILL || (queued && code < 0)) {
        return 0;
    }
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, Verb::Kill);
        return 0;
    };
    if scratch.stage == stage::PENDING {
        emit::emit(scratch, OUTCOME_UNKNOWN);
    }
    let _ = fill_signal(scratch, slot, ctx.arg::<*const u8>(2) as u64, signal);
    if single_target() {
        scratch.stage = stage::PENDING;
        scratch.syscall = number as u32;
    } else {
        emit::emit(scratch, 0);
    }
    0
}

/// What the caller of a syscall named as the target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A task.
    Task,
    /// A process group, as kill(2) takes it; 0 is the caller's own.
    Group,
    /// Whatever a descriptor stands for that is no process's any more, or never was.
    Nobody,
}

/// Whom the caller of a syscall named as the target. The number stands beside the kind and not in it:
/// Linux 6.1 refuses code that loads it where it was not set, though nothing then uses it.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    pub(crate) kind: Kind,
    pub(crate) number: u32,
}

impl Named {
    /// As kill(2) reads a number.
    #[inline(always)]
    pub(crate) fn by_kill(pid: i32) -> Self {
        if pid > 0 {
            Self { kind: Kind::Task, number: pid as u32 }
        } else {
            Self { kind: Kind::Group, number: pid.wrapping_neg() as u32 }
        }
    }

    /// As the syscalls read one that know no groups.
    #[inline(always)]
    pub(crate) fn by_task(pid: i32) -> Self {
        if pid > 0 { Self { kind: Kind::Task, number: pid as u32 } } else { Self::NOBODY }
    }

    const NOBODY: Self = Self { kind: Kind::Nobody, number: 0 };
}

const ESRCH: i32 = -3;

/// Fills in a record of a signal that reached no target, from what the caller named.
#[inline(always)]
pub(crate) fn refused(
    scratch: &mut Scratch,
    slot: u32,
    named: Named,
    given: u32,
    signal: u32,
    outcome: i32,
) {
    let args = [u64::from(signal), u64::from(given)];
    let _ = fill_named(scratch, slot, verb_of(signal), args, named, outcome);
}

/// Fills in a record of an act on a process, from what the caller named.
#[inline(always)]
pub(crate) fn fill_named(
    scratch: &mut Scratch,
    slot: u32,
    verb: Verb,
    args: [u64; MAX_ARGS],
    named: Named,
    outcome: i32,
) -> Judgement {
    scratch.begin(slot, verb);
    scratch.record.args = args;
    let own_leaf = scratch.record.leaf;
    let Named { kind, number } = named;
    if kind == Kind::Group {
        scratch.record.flags |= record_flags::GROUP;
    }
    scratch.record.object_number = number;
    let label = if outcome == ESRCH || kind == Kind::Nobody {
        // There was nobody whose label it could be.
        LabelId::of(Label::Unknown)
    } else {
        // SAFETY: entries are plain integers.
        match unsafe { TASKS.get(number) } {
            Some(task) => {
                scratch.record.object_id = task.leaf;
                if kind == Kind::Task {
                    scratch.record.object_number = task.tgid;
                    scratch.record.object_extra = number;
                }
                label_of_leaf(slot, own_leaf, task.leaf)
            }
            None if kind == Kind::Group && number == 0 => LabelId::of(Label::SelfCall),
            None => LabelId::of(Label::Host),
        }
    };
    let judgement = verdict::judge(slot, own_leaf, verb, label);
    let judgement = if outcome == ESRCH { judgement.of_absent() } else { judgement };
    scratch.judged(label, judgement);
    judgement
}

const PIDFS_MAGIC: u64 = 0x5049_4446;
pub(crate) const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Number of the process in whose directory of `/proc` an inode lies, 0 for none.
#[inline(always)]
pub(crate) fn number_of_proc_inode(inode: Address) -> u32 {
    // `PROC_I`, fs/proc/internal.h, Linux 6.1 to 7.3: the inode lies within a `proc_inode`.
    let around = inode.wrapping_sub(u64::from(offset!(proc_inode_inode)));
    let pid = read_u64(around, offset!(proc_inode_pid));
    if pid == 0 { 0 } else { number_of(pid) }
}

/// The number of a `struct pid` in the initial namespace.
#[inline(always)]
pub(crate) fn number_of(pid: Address) -> u32 {
    read_u32(pid, offset!(pid_numbers) + offset!(upid_number))
}

/// Whether a process in `leaf` was started by the agent of this run.
#[inline(always)]
pub(crate) fn is_of_run(slot: u32, leaf: u64) -> bool {
    let label = label_of_leaf(slot, kernel::current_leaf(), leaf).number();
    label == Label::SelfCall as u8 || label == Label::Agent as u8
}

/// The process that a descriptor of the current task stands for where it is a pidfd, or a directory
/// `/proc/TGID`, which pidfd_send_signal(2) takes for one.
#[inline(always)]
pub(crate) fn named_by_descriptor(descriptor: i32) -> Named {
    let file = kernel::open_file(descriptor);
    if file == 0 {
        return Named::NOBODY;
    }
    let inode = read_u64(file, offset!(file_inode));
    let superblock = read_u64(inode, offset!(inode_superblock));
    let pid = match read_u64(superblock, offset!(superblock_magic)) {
        // Linux 6.9 gave pidfds a file system of their own, where the inode holds the pid.
        PIDFS_MAGIC => read_u64(inode, offset!(inode_private)),
        PROC_SUPER_MAGIC => return Named::by_task(number_of_proc_inode(inode) as i32),
        _ => read_u64(file, offset!(file_private)),
    };
    Named::by_task(number_of(pid) as i32)
}
