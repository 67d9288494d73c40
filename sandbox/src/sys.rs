//! The crate's unsafe code: system calls that have no safe wrapper.
#![allow(unsafe_code)]

use std::{
    ffi::OsString,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use nix::errno::Errno;

/// `CLONE_INTO_CGROUP`, Linux 5.7; it does not fit libc's type for it everywhere.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// `LANDLOCK_CREATE_RULESET_VERSION`, Linux 5.13.
const LANDLOCK_CREATE_RULESET_VERSION: u32 = 1;
/// `KEYCTL_JOIN_SESSION_KEYRING`, keyctl(2).
const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;

/// The highest signal (`_NSIG`, include/uapi/asm-generic/signal.h).
const MAX_SIGNAL: libc::c_int = 64;

/// The descriptor over which a child reports, beside its standard ones.
pub(crate) const REPORT_FD: RawFd = 3;

/// On which side of a fork one is.
pub(crate) enum Fork {
    Parent { child: u32 },
    Child,
}

/// Forks a child that is born in the cgroup whose directory this is (clone3(2), Linux 5.7).
///
/// The caller must have one thread only: the child may then use all of the program, because no lock
/// can be held by a thread that it does not have.
pub(crate) fn fork_into_cgroup(cgroup: BorrowedFd<'_>) -> Result<Fork, Errno> {
    /// `struct clone_args` up to its member `cgroup`, include/uapi/linux/sched.h.
    #[repr(C)]
    #[derive(Default)]
    struct CloneArgs {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    let args = CloneArgs {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: cgroup.as_raw_fd() as u64,
        ..CloneArgs::default()
    };
    // SAFETY: the arguments have the layout and size that the kernel expects and live through the
    // call. Without CLONE_VM the child has a copy of the memory and goes on on a copy of the stack,
    // as after fork(2); the program has one thread, as the caller warrants.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match Errno::result(result)? {
        0 => Ok(Fork::Child),
        child => Ok(Fork::Parent {
            child: u32::try_from(child).expect("the kernel's process ids are positive"),
        }),
    }
}

/// Has these as standard input, output and error, `report` as [`REPORT_FD`] closed on exec, and no
/// other descriptor. The sources must all lie above [`REPORT_FD`], or be it.
pub(crate) fn keep_descriptors(
    stdio: [BorrowedFd<'_>; 3],
    report: BorrowedFd<'_>,
) -> Result<(), Errno> {
    // In this order none is overwritten before it has been copied: sources are never 0, 1 or 2, and
    // a source that is 3 has been copied before 3 is replaced.
    for (target, source) in (0..).zip(stdio) {
        // SAFETY: duplicating onto a standard descriptor, which nobody owns.
        Errno::result(unsafe { libc::dup2(source.as_raw_fd(), target) })?;
    }
    if report.as_raw_fd() == REPORT_FD {
        // SAFETY: setting a flag of a descriptor that is open.
        Errno::result(unsafe { libc::fcntl(REPORT_FD, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    } else {
        // SAFETY: the owner of 3, if any, is a variable of the caller that a forked child never
        // gets to use or drop: it executes or exits.
        Errno::result(unsafe { libc::dup3(report.as_raw_fd(), REPORT_FD, libc::O_CLOEXEC) })?;
    }
    // SAFETY: as above, for all owners of higher descriptors.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_close_range, REPORT_FD + 1, libc::c_uint::MAX, 0)
    })
    .map(drop)
}

/// Takes over the child's report descriptor after [`keep_descriptors`]. To be called once.
pub(crate) fn take_report() -> OwnedFd {
    take(REPORT_FD)
}

/// Takes ownership of a descriptor that the kernel has just given to this process.
pub(crate) fn take(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the descriptor was installed for us by recvmsg(2) or by `keep_descriptors`, and nobody
    // else knows its number.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Gives every signal its default effect and blocks none.
pub(crate) fn reset_signals() {
    // Past the C library, which keeps two signals to itself: whoever started the client may have
    // left them ignored. `struct sigaction` of the kernel's is no longer than this, and all zeros
    // are the default disposition and an empty mask.
    let default = [0_u64; 4];
    for signal in 1..=MAX_SIGNAL {
        // SAFETY: the kernel reads a structure that is not longer than `default`, and writes
        // nothing. A default disposition runs no code of ours. SIGKILL and SIGSTOP are refused
        // without harm.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null_mut::<libc::c_void>(),
                size_of::<u64>(),
            );
        }
    }
    // SAFETY: the kernel reads a signal set of 8 bytes, and writes nothing.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            default.as_ptr(),
            ptr::null_mut::<libc::c_void>(),
            size_of::<u64>(),
        );
    }
}

/// Ends the process at once: no destructor and no exit handler of the forked program runs.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: does not return and touches no memory.
    unsafe { libc::_exit(code) }
}

/// How a child ended.
pub(crate) enum Ended {
    Code(i32),
    Signal(i32),
}

/// Reaps a child that has ended, if one has. nix's `waitpid` loses a child that died of a real-time
/// signal: it knows no name for that.
pub(crate) fn reap_child() -> Result<Option<(u32, Ended)>, Errno> {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let child = Errno::result(unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) })?;
    let ended = if libc::WIFSIGNALED(status) {
        Ended::Signal(libc::WTERMSIG(status))
    } else {
        Ended::Code(libc::WEXITSTATUS(status))
    };
    Ok(u32::try_from(child).ok().filter(|child| *child != 0).map(|child| (child, ended)))
}

/// Replaces the environment of this process, which must have one thread.
pub(crate) fn replace_environment(variables: &[(OsString, OsString)]) {
    for (name, _) in std::env::vars_os() {
        // SAFETY: no other thread can read the environment, as the caller warrants.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in variables {
        // SAFETY: as above.
        unsafe { std::env::set_var(name, value) };
    }
}

/// Leaves the session keyring that was inherited, for a new one without a name. Where the kernel has
/// no keyrings there is none to leave.
pub(crate) fn leave_session_keyring() {
    // SAFETY: the second argument may be null: a keyring without a name.
    unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, ptr::null::<libc::c_char>());
    }
}

/// The version of Landlock's interface that the running kernel offers.
pub(crate) fn landlock_abi() -> Result<u32, Errno> {
    // SAFETY: with this flag the kernel reads no memory.
    let abi = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            ptr::null::<libc::c_void>(),
            0_usize,
            LANDLOCK_CREATE_RULESET_VERSION,
        )
    };
    Errno::result(abi).map(|abi| u32::try_from(abi).unwrap_or(0))
}
