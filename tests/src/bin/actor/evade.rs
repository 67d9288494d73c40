//! Acts that only somebody does who wants to get around something.

use std::{
    ffi::{CString, OsString},
    fs::{self, File, OpenOptions},
    io::IoSliceMut,
    io::{self, Write as _},
    os::{
        fd::{AsRawFd as _, IntoRawFd as _, RawFd},
        unix::{ffi::OsStrExt as _, fs as unix, fs::OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use libc::{c_int, c_long};
use nix::{
    errno::Errno,
    sys::uio::{RemoteIoVec, process_vm_readv},
    unistd::Pid,
};

use crate::{act::errno_of, sys};

type Done = Result<i64, Errno>;

/// An act on paths by name; none where there is no such act, or a word is missing.
pub(crate) fn on_paths(name: &str, words: &[OsString]) -> Option<Done> {
    let path = |index: usize| words.get(index).map(Path::new);
    let first = path(0)?;
    Some(match name {
        "overwrite" => writing(first).and_then(|mut file| errno_of(file.write_all(b"!"))).map(done),
        "store" => errno_of(OpenOptions::new().read(true).write(true).open(first))
            .and_then(|file| sys::store(file.as_raw_fd())),
        "punch" => writing(first).and_then(|file| {
            let mode = c_long::from(libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE);
            sys::call(libc::SYS_fallocate, [descriptor(&file), mode, 0, 4096])
        }),
        "copy_range" => copy(first, path(1)?, |from, to| {
            sys::call(libc::SYS_copy_file_range, [from, 0, to, 0, 4, 0])
        }),
        "sendfile" => {
            copy(first, path(1)?, |from, to| sys::call(libc::SYS_sendfile, [to, from, 0, 4]))
        }
        "splice" => splice(first),
        "reopen" => reopen(first),
        "unnamed" => unnamed(first, path(1)?),
        "link_descriptor" => errno_of(File::open(first)).and_then(|file| {
            // It stays open: who looks later finds what it leads to.
            let from = text(&own_descriptor(file.into_raw_fd()))?;
            let to = text(path(1).ok_or(Errno::EINVAL)?)?;
            let (here, follow) = (sys::WORKING_DIRECTORY.into(), libc::AT_SYMLINK_FOLLOW.into());
            sys::call(libc::SYS_linkat, [here, address(&from), here, address(&to), follow])
        }),
        "times" => {
            let path = text(first).ok()?;
            // The access and the modification time, each in seconds and nanoseconds.
            let times: [i64; 4] = [1, 0, 1, 0];
            let times = times.as_ptr().expose_provenance() as c_long;
            sys::call(
                libc::SYS_utimensat,
                [sys::WORKING_DIRECTORY.into(), address(&path), times, 0],
            )
        }
        "put" => {
            let bytes = words.get(1)?.as_bytes();
            writing(first).and_then(|mut file| errno_of(file.write_all(bytes))).map(done)
        }
        "swap" => {
            let times = words.get(3)?.to_string_lossy().parse().ok()?;
            errno_of(swap(first, path(1)?, path(2)?, times))
        }
        "comm" => text(first).and_then(|name| nix::sys::prctl::set_name(&name)).map(done),
        "old_unlink" => text(first)
            .and_then(|path| sys::low_string(&path))
            .and_then(|at| sys::old_call(10, at, 0)),
        "become_root" => sys::call(libc::SYS_setuid, [0]),
        _ => return None,
    })
}

fn done(_: ()) -> i64 {
    0
}

fn text(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

fn address(text: &CString) -> c_long {
    text.as_ptr().expose_provenance() as c_long
}

fn descriptor(file: &File) -> c_long {
    file.as_raw_fd().into()
}

fn own_descriptor(number: RawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{number}"))
}

/// Opens a file to write, as it is.
fn writing(path: &Path) -> Result<File, Errno> {
    errno_of(OpenOptions::new().write(true).open(path))
}

fn copy(from: &Path, to: &Path, copy: impl FnOnce(c_long, c_long) -> Done) -> Done {
    let from = errno_of(File::open(from))?;
    let to = writing(to)?;
    copy(descriptor(&from), descriptor(&to))
}

fn splice(path: &Path) -> Done {
    let (reader, mut writer) = errno_of(io::pipe())?;
    errno_of(writer.write_all(b"!"))?;
    let to = writing(path)?;
    sys::call(libc::SYS_splice, [reader.as_raw_fd().into(), 0, descriptor(&to), 0, 1, 0])
}

/// Opens a file without any right, and then that descriptor's own link to write.
fn reopen(path: &Path) -> Done {
    let mut options = OpenOptions::new();
    let held = errno_of(options.read(true).custom_flags(libc::O_PATH).open(path))?;
    // It stays open: who looks later finds what it leads to.
    let mut file = writing(&own_descriptor(held.into_raw_fd()))?;
    errno_of(file.write_all(b"!")).map(done)
}

/// Makes a file without a name, and then gives it one.
fn unnamed(directory: &Path, name: &Path) -> Done {
    let mut options = OpenOptions::new();
    let file = errno_of(options.write(true).custom_flags(libc::O_TMPFILE).open(directory))?;
    let (from, to) = (text(&own_descriptor(file.as_raw_fd()))?, text(name)?);
    let (here, follow) = (sys::WORKING_DIRECTORY.into(), libc::AT_SYMLINK_FOLLOW.into());
    sys::call(libc::SYS_linkat, [here, address(&from), here, address(&to), follow])
}

/// Opens a link to write, so many times at least, and until it was refused once, while another thread
/// has it lead now to one file, now to the other; says how often it could be opened.
fn swap(link: &Path, own: &Path, victim: &Path, times: u32) -> io::Result<i64> {
    unix::symlink(own, link)?;
    let over = Arc::new(AtomicBool::new(false));
    let swapping = {
        let (over, link) = (Arc::clone(&over), link.to_owned());
        let targets = [victim.to_owned(), own.to_owned()];
        thread::spawn(move || -> io::Result<()> {
            let next = link.with_extension("next");
            for target in targets.iter().cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                unix::symlink(target, &next)?;
                fs::rename(&next, &link)?;
            }
            Ok(())
        })
    };
    let (mut opened, mut refused) = (0, 0);
    while opened + refused < i64::from(times) || (refused == 0 && opened < 100_000) {
        match OpenOptions::new().write(true).open(link) {
            Ok(mut file) => {
                file.write_all(b"!")?;
                opened += 1;
            }
            Err(_) => refused += 1,
        }
    }
    over.store(true, Ordering::Relaxed);
    swapping.join().map_err(|_| io::Error::other("the thread panicked"))??;
    Ok(opened)
}

/// Has the kernel send a signal to a process when there is something to read.
pub(crate) fn sigio(process: i32, signal: c_int) -> Done {
    let (reader, mut writer) = errno_of(io::pipe())?;
    let reader = c_long::from(reader.as_raw_fd());
    let set = |command: c_int, value: c_int| {
        sys::call(libc::SYS_fcntl, [reader, command.into(), value.into()])
    };
    /// fcntl(2); libc has it for other systems only.
    const F_SETSIG: c_int = 10;
    set(libc::F_SETOWN, process)?;
    set(F_SETSIG, signal)?;
    set(libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK)?;
    errno_of(writer.write_all(b"!")).map(done)
}

/// Takes the first descriptor out of a process.
pub(crate) fn steal_descriptor(process: i32) -> Done {
    let pidfd = sys::call(libc::SYS_pidfd_open, [process.into(), 0])?;
    sys::call(libc::SYS_pidfd_getfd, [pidfd, 0, 0])
}

/// Takes away a process's pages, by a descriptor of it.
pub(crate) fn throw_pages_out(process: i32) -> Done {
    let pidfd = sys::call(libc::SYS_pidfd_open, [process.into(), 0])?;
    sys::call(libc::SYS_process_madvise, [pidfd, 0, 0, libc::MADV_PAGEOUT.into(), 0])
}

/// Traces a process, which stops it.
pub(crate) fn attach(process: i32) -> Done {
    sys::call(libc::SYS_ptrace, [libc::PTRACE_ATTACH.into(), process.into(), 0, 0])
}

/// Reads a byte out of a process that has this program's memory, or that may not be read.
pub(crate) fn read_memory(process: i32) -> Done {
    static BYTE: u8 = 1;
    let mut byte = [0];
    let there = RemoteIoVec { base: (&raw const BYTE).addr(), len: 1 };
    let mut here = [IoSliceMut::new(&mut byte)];
    let read = process_vm_readv(Pid::from_raw(process), &mut here, &[there])?;
    Ok(i64::try_from(read).unwrap_or(i64::MAX))
}

/// Asks for a capability, capset(2).
pub(crate) fn raise_capabilities() -> Done {
    const VERSION: u32 = 0x2008_0522;
    const CAP_KILL: u32 = 1 << 5;
    let header = [VERSION, 0];
    // Effective, permitted and inheritable ones, twice.
    let sets = [CAP_KILL, CAP_KILL, 0, 0, 0, 0];
    let at = |array: &[u32]| array.as_ptr().expose_provenance() as c_long;
    sys::call(libc::SYS_capset, [at(&header), at(&sets)])
}
