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
    ObjectKind, Verb,
    record::{OUTCOME_UNKNOWN, record_flags},
};

use crate::{
    arguments::{self, Asked, Place, changes_files, nr as file, opens, punches},
    control::{self, controls, nr as process},
    emit, exec, kernel,
    kernel::{Address, Unknown, load_u32, load_u64, read_u64},
    kill::{self, Kind, Named},
    map,
    maps::offset,
    network, open,
    path::{self, AT_FDCWD, End, Written},
    power,
    scratch::{self, Scratch, stage},
    unix,
    verdict::Judgement,
    whose,
};

/// Numbers of the syscalls that are not on files, arch/x86/entry/syscalls/syscall_64.tbl.
pub(crate) mod nr {
    pub(crate) const MMAP: u64 = 9;
    pub(crate) const CONNECT: u64 = 42;
    pub(crate) const LISTEN: u64 = 50;
    pub(crate) const EXECVE: u64 = 59;
    pub(crate) const KILL: u64 = 62;
    pub(crate) const RT_SIGQUEUEINFO: u64 = 129;
    pub(crate) const TKILL: u64 = 200;
    pub(crate) const TGKILL: u64 = 234;
    pub(crate) const RT_TGSIGQUEUEINFO: u64 = 297;
    pub(crate) const EXECVEAT: u64 = 322;
    pub(crate) const PIDFD_SEND_SIGNAL: u64 = 424;
}

/// Numbers of the syscalls that ask for another identity.
mod identity {
    pub(super) const SETUID: u64 = 105;
    pub(super) const SETGID: u64 = 106;
    pub(super) const SETREUID: u64 = 113;
    pub(super) const SETREGID: u64 = 114;
    pub(super) const SETGROUPS: u64 = 116;
    pub(super) const SETRESUID: u64 = 117;
    pub(super) const SETRESGID: u64 = 119;
    pub(super) const CAPSET: u64 = 126;
}

const EPERM: i32 = 1;
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
        || opens(number)
        || changes_files(number)
        || controls(number)
        || number == nr::CONNECT
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
        scratch.syscall = number as u32;
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
    /// An open, which may make a file or get to write to one.
    Open,
    /// Any other change of files, see [`arguments`].
    File,
    /// An act on a process that is no signal, see [`control`].
    Control,
    /// A connection to a socket of this host, see [`unix`].
    Socket,
    /// A power over the kernel or the machine, see [`power`].
    Power,
}

/// What happened at the end of the syscall with these registers. `all`: no hook has seen the act
/// before, so what succeeded is recorded here too.
#[inline(always)]
fn ended(registers: Address, number: u64, outcome: i32, family: Family, all: bool) {
    let Some(slot) = whose::run_slot() else { return };
    if let Some(scratch) = scratch::existing() {
        let before = scratch.stage;
        scratch.stage = stage::NONE;
        if before == stage::PENDING {
            // Where the kernel has skipped the end of another syscall, which it counts, this outcome
            // is not that one's.
            let is_its_own = scratch.syscall == number as u32;
            if family == Family::Exec && is_its_own && outcome < 0 {
                exec::add_words(scratch, registers, number);
            }
            finished(scratch, if is_its_own { outcome } else { OUTCOME_UNKNOWN });
            return;
        }
        // No tracepoint has told of these in the middle of the syscall.
        let only_here =
            matches!(family, Family::Open | Family::File | Family::Control | Family::Socket);
        if before == stage::EMITTED && !(all && only_here) {
            return;
        }
    }
    match family {
        Family::Exec => exec_ended(slot, registers, number, outcome),
        Family::Signal => signal_ended(slot, registers, number, outcome, all),
        Family::Open => open_ended(slot, registers, number, outcome, all),
        Family::File if outcome < 0 || all => {
            changed(slot, arguments::asked(registers, number), outcome);
        }
        Family::Control if outcome < 0 || all => controlled(slot, registers, number, outcome),
        Family::Socket if outcome < 0 || all => unix::connected(slot, registers, outcome),
        Family::Power if power::was_refused(registers, number, outcome) => {
            power::refused(slot, registers, number, outcome);
        }
        Family::File | Family::Control | Family::Socket | Family::Power => {}
    }
}

/// What happened to a syscall that the sandbox's filter has refused: it ends where it began.
#[inline(always)]
pub(crate) fn not_entered(slot: u32, registers: Address) {
    if let Some(scratch) = scratch::existing() {
        flush(scratch);
    }
    let number = load_u64(registers, offset!(regs_nr));
    let outcome = load_u64(registers, offset!(regs_ret)) as i32;
    if controls(number) {
        controlled(slot, registers, number, outcome);
    } else {
        power::refused(slot, registers, number, outcome);
    }
}

#[inline(always)]
fn controlled(slot: u32, registers: Address, number: u64, outcome: i32) {
    let Some(asked) = control::asked(slot, registers, number) else { return };
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, asked.verb);
        return;
    };
    let _ = kill::fill_named(scratch, slot, asked.verb, asked.args, asked.named, outcome);
    finished(scratch, outcome);
}

#[inline(always)]
fn exec_ended(slot: u32, registers: Address, number: u64, outcome: i32) {
    if outcome >= 0 || only_asks(registers, number) {
        return;
    }
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, Verb::Exec);
        return;
    };
    let argument = |offset: u32| load_u64(registers, offset);
    let at = number == nr::EXECVEAT;
    let directory = if at { argument(offset!(regs_arg0)) as i32 } else { AT_FDCWD };
    let user_path = argument(if at { offset!(regs_arg1) } else { offset!(regs_arg0) });
    exec::as_written(scratch, slot, directory, Written::User(user_path));
    exec::add_words(scratch, registers, number);
    finished(scratch, outcome);
}

#[inline(always)]
fn signal_ended(slot: u32, registers: Address, number: u64, outcome: i32, all: bool) {
    let argument = |offset: u32| load_u64(registers, offset);
    let first = argument(offset!(regs_arg0)) as i32;
    let signal = signal_argument(registers, number);
    let swept = outcome == 0 && swept_nobody(number, first, signal, all);
    let outcome = if swept { -EPERM } else { outcome };
    // Signal 0 is generated nowhere; what was generated is recorded already.
    if outcome >= 0 && !(all && signal == 0) {
        return;
    }
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, Verb::Kill);
        return;
    };
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
    finished(scratch, outcome);
}

#[inline(always)]
fn open_ended(slot: u32, registers: Address, number: u64, outcome: i32, all: bool) {
    if outcome >= 0 && !all {
        return;
    }
    let flags = arguments::open_flags(registers, number);
    if outcome >= 0 {
        open::opened(slot, outcome, flags);
    } else if let Some((verb, args)) = open::asked(flags) {
        let place = arguments::open_place(registers, number);
        changed(slot, Asked { verb, args, place, to: place, followed: true }, outcome);
    }
}

/// Records a change of files from what the caller asked for.
#[inline(always)]
fn changed(slot: u32, asked: Asked, outcome: i32) {
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, asked.verb);
        return;
    };
    scratch.begin(slot, asked.verb);
    scratch.record.args = asked.args;
    if asked.place.is_descriptor() {
        let file = kernel::open_file(asked.place.directory);
        if file == 0 || open::is_in_memory::<Unknown>(read_u64(file, offset!(file_inode))) {
            return;
        }
        path::fill_unknown(scratch, slot, kernel::dentry_of::<Unknown>(file));
    } else {
        if asked.followed {
            scratch.record.flags |= record_flags::FOLLOWED;
        }
        let Place { directory, path } = asked.place;
        path::fill_as_written(scratch, slot, directory, Written::User(path), End::Object);
        if asked.verb.object() == ObjectKind::FilePair {
            let Place { directory, path } = asked.to;
            path::fill_as_written(scratch, slot, directory, Written::User(path), End::To);
        }
    }
    finished(scratch, outcome);
}

/// Hands over a record of a syscall that has ended.
#[inline(always)]
pub(crate) fn finished(scratch: &mut Scratch, outcome: i32) {
    emit::emit(scratch, outcome);
    scratch.stage = stage::NONE;
}

/// Whether a signal to everybody reached nobody. kill(2) with -1 succeeds also where every single
/// signal was refused by ownership (`kill_something_info`, kernel/signal.c, Linux 6.1 to 7.3); had one
/// been sent, its record would stand already. Where no LSM hook sees signal 0, it leaves no trace.
#[inline(always)]
fn swept_nobody(number: u64, pid: i32, signal: u32, all: bool) -> bool {
    number == nr::KILL && pid == -1 && !(all && signal == 0)
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
#[inline(always)]
pub(crate) fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    let registers = ctx.arg::<*const u8>(0) as u64;
    let number = load_u64(registers, offset!(regs_nr));
    let outcome = ctx.arg::<i64>(1) as i32;
    match number {
        nr::EXECVE | nr::EXECVEAT => ended(registers, number, outcome, Family::Exec, true),
        nr::CONNECT => ended(registers, number, outcome, Family::Socket, true),
        nr::LISTEN => network::listened(registers, outcome),
        nr::MMAP => map::ended(registers, ctx.arg::<i64>(1)),
        file::FALLOCATE if punches(registers) => {
            ended(registers, number, outcome, Family::File, true);
        }
        _ if sends_signals(number) => ended(registers, number, outcome, Family::Signal, true),
        _ if opens(number) => ended(registers, number, outcome, Family::Open, true),
        _ if changes_files(number) => ended(registers, number, outcome, Family::File, true),
        _ if controls(number) => ended(registers, number, outcome, Family::Control, true),
        _ if power::was_refused(registers, number, outcome) => {
            ended(registers, number, outcome, Family::Power, true);
        }
        _ => {}
    }
    0
}

/// `long __x64_sys_NAME(const struct pt_regs *regs)`, arch/x86/include/asm/syscall_wrapper.h,
/// Linux 6.1 to 7.3. 32-bit entries have functions of their own; the seccomp filter refuses them.
macro_rules! syscall_exit {
    ($($program:ident: $number:expr, $family:ident;)+) => {
        $(#[fexit]
        pub(crate) fn $program(ctx: FExitContext) -> i32 {
            let outcome = ctx.ret::<i64>().unwrap_or(i64::from(OUTCOME_UNKNOWN)) as i32;
            ended(ctx.arg::<*const u8>(0) as u64, $number, outcome, Family::$family, false);
            0
        })+
    };
}

syscall_exit! {
    exit_execve: nr::EXECVE, Exec;
    exit_execveat: nr::EXECVEAT, Exec;
    exit_kill: nr::KILL, Signal;
    exit_tkill: nr::TKILL, Signal;
    exit_tgkill: nr::TGKILL, Signal;
    exit_rt_sigqueueinfo: nr::RT_SIGQUEUEINFO, Signal;
    exit_rt_tgsigqueueinfo: nr::RT_TGSIGQUEUEINFO, Signal;
    exit_pidfd_send_signal: nr::PIDFD_SEND_SIGNAL, Signal;
    exit_open: file::OPEN, Open;
    exit_creat: file::CREAT, Open;
    exit_openat: file::OPENAT, Open;
    exit_openat2: file::OPENAT2, Open;
    exit_unlink: file::UNLINK, File;
    exit_unlinkat: file::UNLINKAT, File;
    exit_rmdir: file::RMDIR, File;
    exit_rename: file::RENAME, File;
    exit_renameat: file::RENAMEAT, File;
    exit_renameat2: file::RENAMEAT2, File;
    exit_mkdir: file::MKDIR, File;
    exit_mkdirat: file::MKDIRAT, File;
    exit_mknod: file::MKNOD, File;
    exit_mknodat: file::MKNODAT, File;
    exit_symlink: file::SYMLINK, File;
    exit_symlinkat: file::SYMLINKAT, File;
    exit_link: file::LINK, File;
    exit_linkat: file::LINKAT, File;
    exit_truncate: file::TRUNCATE, File;
    exit_ftruncate: file::FTRUNCATE, File;
    exit_chmod: file::CHMOD, File;
    exit_fchmod: file::FCHMOD, File;
    exit_fchmodat: file::FCHMODAT, File;
    exit_fchmodat2: file::FCHMODAT2, File;
    exit_chown: file::CHOWN, File;
    exit_fchown: file::FCHOWN, File;
    exit_lchown: file::LCHOWN, File;
    exit_fchownat: file::FCHOWNAT, File;
    exit_setxattr: file::SETXATTR, File;
    exit_lsetxattr: file::LSETXATTR, File;
    exit_fsetxattr: file::FSETXATTR, File;
    exit_removexattr: file::REMOVEXATTR, File;
    exit_lremovexattr: file::LREMOVEXATTR, File;
    exit_fremovexattr: file::FREMOVEXATTR, File;
    exit_setxattrat: file::SETXATTRAT, File;
    exit_removexattrat: file::REMOVEXATTRAT, File;
    exit_connect: nr::CONNECT, Socket;
    exit_setpriority: process::SETPRIORITY, Control;
    exit_ioprio_set: process::IOPRIO_SET, Control;
    exit_sched_setparam: process::SCHED_SETPARAM, Control;
    exit_sched_setscheduler: process::SCHED_SETSCHEDULER, Control;
    exit_sched_setattr: process::SCHED_SETATTR, Control;
    exit_sched_setaffinity: process::SCHED_SETAFFINITY, Control;
    exit_prlimit64: process::PRLIMIT64, Control;
    exit_ptrace: process::PTRACE, Control;
    exit_process_vm_readv: process::PROCESS_VM_READV, Control;
    exit_process_vm_writev: process::PROCESS_VM_WRITEV, Control;
    exit_process_madvise: process::PROCESS_MADVISE, Control;
    exit_process_mrelease: process::PROCESS_MRELEASE, Control;
    exit_pidfd_getfd: process::PIDFD_GETFD, Control;
    exit_move_pages: process::MOVE_PAGES, Control;
    exit_migrate_pages: process::MIGRATE_PAGES, Control;
    exit_setuid: identity::SETUID, Power;
    exit_setgid: identity::SETGID, Power;
    exit_setreuid: identity::SETREUID, Power;
    exit_setregid: identity::SETREGID, Power;
    exit_setgroups: identity::SETGROUPS, Power;
    exit_setresuid: identity::SETRESUID, Power;
    exit_setresgid: identity::SETRESGID, Power;
    exit_capset: identity::CAPSET, Power;
}

/// `long do_utimes(int dfd, const char __user *filename, struct timespec64 *times, int flags)`, fs/utimes.c,
/// Linux 6.1 to 7.3: the one road of the four system calls that set times.
#[fexit(function = "do_utimes")]
pub(crate) fn exit_times(ctx: FExitContext) -> i32 {
    let outcome = ctx.ret::<i64>().unwrap_or(i64::from(OUTCOME_UNKNOWN)) as i32;
    let registers = kernel::current_registers();
    ended(registers, load_u64(registers, offset!(regs_nr)), outcome, Family::File, false);
    0
}

/// No hook sees a hole made by itself: what came of it is recorded here whether it was made or not.
#[fexit(function = "__x64_sys_fallocate")]
pub(crate) fn exit_fallocate(ctx: FExitContext) -> i32 {
    let outcome = ctx.ret::<i64>().unwrap_or(i64::from(OUTCOME_UNKNOWN)) as i32;
    let registers = ctx.arg::<*const u8>(0) as u64;
    if punches(registers) {
        ended(registers, file::FALLOCATE, outcome, Family::File, true);
    }
    0
}
