//! The system calls that the acts are made of, each exactly one: a library's wrapper may choose
//! another road to the same end.
#![allow(unsafe_code)]

use std::{
    ffi::CStr,
    fs::File,
    os::fd::{FromRawFd as _, RawFd},
    ptr,
};

use io_uring::{IoUring, opcode, squeue, types::Fd};
use libc::{c_int, c_long, c_uint};
use nix::{
    errno::Errno,
    sys::wait::WaitPidFlag,
    unistd::{ForkResult, Pid},
};

/// `AT_FDCWD`: relative to the working directory.
pub(crate) const WORKING_DIRECTORY: RawFd = libc::AT_FDCWD;
/// `AT_REMOVEDIR`: unlinkat(2) removes a directory.
pub(crate) const REMOVE_DIRECTORY: c_int = libc::AT_REMOVEDIR;
/// `RENAME_NOREPLACE`, renameat2(2).
pub(crate) const NO_REPLACE: c_uint = libc::RENAME_NOREPLACE;
/// `RENAME_EXCHANGE`, renameat2(2).
pub(crate) const EXCHANGE: c_uint = libc::RENAME_EXCHANGE;

/// `siginfo_t` as rt_sigqueueinfo(2) reads it: 128 bytes, signal, errno and code first.
type SignalInfo = [c_int; 32];

fn queued(signal: c_int) -> SignalInfo {
    let mut info = [0; 32];
    info[0] = signal;
    // The kernel lets only the process itself say that a signal came from kill(2) or the kernel.
    info[2] = libc::SI_QUEUE;
    info
}

fn done(result: c_long) -> Result<i64, Errno> {
    Errno::result(result)
}

/// fchmodat2(2), Linux 6.6.
pub(crate) const FCHMODAT2: c_long = 452;

/// Any system call on numbers and addresses, at most six. The callers' addresses are those of live
/// strings and arrays.
pub(crate) fn call<const N: usize>(number: c_long, arguments: [c_long; N]) -> Result<i64, Errno> {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    let [a, b, c, d, e, f] = all;
    // SAFETY: the kernel reads what the addresses point to, and checks them.
    done(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// A system call by the 32-bit entry, whose numbers are those of i386. Addresses must lie below 4 GiB.
pub(crate) fn old_call(number: c_int, first: c_int, second: c_int) -> Result<i64, Errno> {
    let result: c_int;
    // SAFETY: the entry keeps all registers but eax, and zeroes r8 to r11; rbx is the compiler's own,
    // so it is put back.
    unsafe {
        std::arch::asm!(
            "xchg {first:r}, rbx",
            "int 0x80",
            "xchg {first:r}, rbx",
            first = inout(reg) i64::from(first) => _,
            inout("eax") number => result,
            in("ecx") second,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    if result < 0 { Err(Errno::from_raw(-result)) } else { Ok(result.into()) }
}

/// A page of this process below 4 GiB that holds a string.
pub(crate) fn low_string(text: &CStr) -> Result<c_int, Errno> {
    let bytes = text.to_bytes_with_nul();
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
    );
    // SAFETY: a new mapping, long enough for what is copied into it.
    unsafe {
        let page = libc::mmap(ptr::null_mut(), 4096, protection, flags, -1, 0);
        if page == libc::MAP_FAILED || bytes.len() > 4096 {
            return Err(Errno::last());
        }
        ptr::copy_nonoverlapping(bytes.as_ptr(), page.cast(), bytes.len());
        c_int::try_from(page.addr()).map_err(|_| Errno::EFAULT)
    }
}

/// Stores a byte at the start of a file through a shared mapping.
pub(crate) fn store(file: RawFd) -> Result<i64, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping of a page; the file holds its first byte.
    unsafe {
        let page = libc::mmap(ptr::null_mut(), 4096, protection, libc::MAP_SHARED, file, 0);
        if page == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        page.cast::<u8>().write_volatile(b'!');
    }
    Ok(0)
}

/// openat2(2), relative to the working directory.
pub(crate) fn openat2(path: &CStr, flags: c_int, mode: c_int) -> Result<i64, Errno> {
    let mode = if flags & libc::O_CREAT == 0 { 0 } else { mode };
    let how = [u64::from(flags as u32), u64::from(mode as u32), 0];
    let size = size_of_val(&how);
    let (path, how) = (path.as_ptr(), how.as_ptr());
    // SAFETY: the kernel reads the path and `size` bytes of `how`, which live through the call.
    done(unsafe { libc::syscall(libc::SYS_openat2, WORKING_DIRECTORY, path, how, size) })
}

pub(crate) fn kill(pid: i32, signal: c_int) -> Result<i64, Errno> {
    // SAFETY: takes numbers only.
    done(unsafe { libc::syscall(libc::SYS_kill, pid, signal) })
}

pub(crate) fn tkill(tid: i32, signal: c_int) -> Result<i64, Errno> {
    // SAFETY: takes numbers only.
    done(unsafe { libc::syscall(libc::SYS_tkill, tid, signal) })
}

pub(crate) fn tgkill(tgid: i32, tid: i32, signal: c_int) -> Result<i64, Errno> {
    // SAFETY: takes numbers only.
    done(unsafe { libc::syscall(libc::SYS_tgkill, tgid, tid, signal) })
}

pub(crate) fn rt_sigqueueinfo(tgid: i32, signal: c_int) -> Result<i64, Errno> {
    let info = queued(signal);
    // SAFETY: the kernel reads `info`, which is as large as a siginfo_t and lives through the call.
    done(unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, tgid, signal, info.as_ptr()) })
}

pub(crate) fn rt_tgsigqueueinfo(tgid: i32, tid: i32, signal: c_int) -> Result<i64, Errno> {
    let info = queued(signal);
    // SAFETY: as above.
    done(unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, tgid, tid, signal, info.as_ptr()) })
}

/// Opens a pidfd and signals through it.
pub(crate) fn pidfd_send_signal(pid: i32, signal: c_int) -> Result<i64, Errno> {
    // SAFETY: takes numbers only.
    let descriptor = done(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let none = ptr::null::<SignalInfo>();
    // SAFETY: without a siginfo the kernel makes its own.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor, signal, none, 0) };
    let sent = done(sent);
    // SAFETY: the descriptor was opened above and is nobody else's.
    unsafe { libc::close(descriptor as c_int) };
    sent
}

/// Signals through a directory of `/proc`, which the kernel takes for a pidfd.
pub(crate) fn signal_by_directory(directory: RawFd, signal: c_int) -> Result<i64, Errno> {
    let none = ptr::null::<SignalInfo>();
    // SAFETY: without a siginfo the kernel makes its own.
    done(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, directory, signal, none, 0) })
}

/// Asks whether a program could be executed, and executes nothing. Linux 6.14; an older one knows no
/// such flag.
pub(crate) fn execveat_check(path: &CStr) -> Result<i64, Errno> {
    const AT_EXECVE_CHECK: c_int = 0x1_0000;
    let none = ptr::null::<*const libc::c_char>();
    let arguments = [path.as_ptr(), ptr::null()];
    let words = arguments.as_ptr();
    // SAFETY: path and words end with NUL and live through the call; the flag makes it return.
    done(unsafe {
        let here = WORKING_DIRECTORY;
        libc::syscall(libc::SYS_execveat, here, path.as_ptr(), words, none, AT_EXECVE_CHECK)
    })
}

pub(crate) fn unlink(path: &CStr) -> Result<i64, Errno> {
    // SAFETY: `path` ends with NUL and lives through the call.
    done(unsafe { libc::syscall(libc::SYS_unlink, path.as_ptr()) })
}

pub(crate) fn unlinkat(directory: RawFd, path: &CStr, flags: c_int) -> Result<i64, Errno> {
    // SAFETY: as above.
    done(unsafe { libc::syscall(libc::SYS_unlinkat, directory, path.as_ptr(), flags) })
}

pub(crate) fn rmdir(path: &CStr) -> Result<i64, Errno> {
    // SAFETY: as above.
    done(unsafe { libc::syscall(libc::SYS_rmdir, path.as_ptr()) })
}

pub(crate) fn rename(from: &CStr, to: &CStr) -> Result<i64, Errno> {
    // SAFETY: as above, for both paths.
    done(unsafe { libc::syscall(libc::SYS_rename, from.as_ptr(), to.as_ptr()) })
}

/// A path and the directory that it starts from.
pub(crate) type At<'a> = (RawFd, &'a CStr);

pub(crate) fn renameat(from: At<'_>, to: At<'_>) -> Result<i64, Errno> {
    // SAFETY: as above, for both paths.
    done(unsafe { libc::syscall(libc::SYS_renameat, from.0, from.1.as_ptr(), to.0, to.1.as_ptr()) })
}

pub(crate) fn renameat2(from: At<'_>, to: At<'_>, flags: c_uint) -> Result<i64, Errno> {
    // SAFETY: as above, for both paths.
    done(unsafe {
        libc::syscall(libc::SYS_renameat2, from.0, from.1.as_ptr(), to.0, to.1.as_ptr(), flags)
    })
}

/// Forks; nothing when this is the child.
pub(crate) fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: the program has one thread when it forks, so no lock is held that the child misses.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Ends the calling thread alone, whichever it is: the process lives on in the others.
pub(crate) fn exit_thread() -> ! {
    loop {
        // SAFETY: takes a number only. What the thread has on its stack stays there, untouched.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

/// Makes a thread of another process stand still, and the others of it go on, until this process ends
/// or lets go of it.
pub(crate) fn halt_thread(tid: i32) -> Result<(), Errno> {
    let none = ptr::null_mut::<libc::c_void>;
    // SAFETY: these requests take no address; they fail where there is no such thread.
    Errno::result(unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, none(), none()) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, tid, none(), none()) })?;
    // Until it has stopped it cannot be let go of.
    let flags = Some(WaitPidFlag::__WALL);
    nix::sys::wait::waitpid(Pid::from_raw(tid), flags).map(drop)
}

/// Lets a thread go on that [`halt_thread`] has halted.
pub(crate) fn release_thread(tid: i32) -> Result<(), Errno> {
    let none = ptr::null_mut::<libc::c_void>;
    // SAFETY: takes no address.
    Errno::result(unsafe { libc::ptrace(libc::PTRACE_DETACH, tid, none(), none()) }).map(drop)
}

/// Unlinks through an io_uring of its own.
pub(crate) fn ring_unlink(path: &CStr) -> Result<i64, Errno> {
    in_ring(&opcode::UnlinkAt::new(Fd(WORKING_DIRECTORY), path.as_ptr()).build())
}

/// Removes a directory through an io_uring of its own.
pub(crate) fn ring_rmdir(path: &CStr) -> Result<i64, Errno> {
    let entry = opcode::UnlinkAt::new(Fd(WORKING_DIRECTORY), path.as_ptr());
    in_ring(&entry.flags(REMOVE_DIRECTORY).build())
}

/// Renames through an io_uring of its own.
pub(crate) fn ring_rename(from: &CStr, to: &CStr) -> Result<i64, Errno> {
    let here = Fd(WORKING_DIRECTORY);
    in_ring(&opcode::RenameAt::new(here, from.as_ptr(), here, to.as_ptr()).build())
}

/// Carries out one entry. The paths that it points to must live until this returns.
fn in_ring(entry: &squeue::Entry) -> Result<i64, Errno> {
    let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    let mut ring = IoUring::new(2).map_err(errno)?;
    // SAFETY: the callers' paths live until the completion below has been read.
    unsafe { ring.submission().push(entry) }.map_err(|_| Errno::EBUSY)?;
    ring.submit_and_wait(1).map_err(errno)?;
    let result = ring.completion().next().ok_or(Errno::EIO)?.result();
    if result < 0 { Err(Errno::from_raw(-result)) } else { Ok(i64::from(result)) }
}

/// The file of a descriptor that a message has brought.
pub(crate) fn file_of(descriptor: RawFd) -> File {
    // SAFETY: the kernel has just made it for this process, and nothing else knows of it.
    unsafe { File::from_raw_fd(descriptor) }
}
