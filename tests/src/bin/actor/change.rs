//! Acts that make files and change them, by each system call that can.

use std::ffi::CStr;

use libc::{c_int, c_long};
use nix::errno::Errno;

use crate::sys;

type Done = Result<i64, Errno>;

/// The owner that chown(2) leaves alone.
const SAME: c_int = -1;
const FILE: c_int = 0o644;
const DIRECTORY: c_int = 0o755;

/// Opens by one of the four roads; the descriptor is closed at once.
pub(crate) fn open(road: &str, path: &CStr, flags: c_int) -> Option<Done> {
    let opened = match road {
        "open" => sys::call(libc::SYS_open, [at(path), flags.into(), FILE.into(), 0, 0]),
        "creat" => sys::call(libc::SYS_creat, [at(path), FILE.into(), 0, 0, 0]),
        "openat" => {
            let here = sys::WORKING_DIRECTORY.into();
            sys::call(libc::SYS_openat, [here, at(path), flags.into(), FILE.into(), 0])
        }
        "openat2" => sys::openat2(path, flags, FILE),
        _ => return None,
    };
    if let Ok(descriptor) = opened {
        let _ = sys::call(libc::SYS_close, [descriptor, 0, 0, 0, 0]);
    }
    Some(opened)
}

/// Flags of an open by name.
pub(crate) fn flags(name: &str) -> Option<c_int> {
    Some(match name {
        "read" => libc::O_RDONLY,
        "write" => libc::O_WRONLY,
        "append" => libc::O_WRONLY | libc::O_APPEND,
        "empty" => libc::O_WRONLY | libc::O_TRUNC,
        "create" => libc::O_WRONLY | libc::O_CREAT,
        "new" => libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL,
        "path" => libc::O_PATH,
        _ => return None,
    })
}

/// An act on one path, named by its system call.
pub(crate) fn one(road: &str, path: &CStr) -> Option<Done> {
    let here: c_long = sys::WORKING_DIRECTORY.into();
    let (file, directory) = (c_long::from(FILE), c_long::from(DIRECTORY));
    let fifo = c_long::from(libc::S_IFIFO) | file;
    let same = c_long::from(SAME);
    let (p, nofollow) = (at(path), c_long::from(libc::AT_SYMLINK_NOFOLLOW));
    let (attribute, value) = (at(c"user.mark"), at(c"1"));
    Some(match road {
        "mkdir" => sys::call(libc::SYS_mkdir, [p, directory, 0, 0, 0]),
        "mkdirat" => sys::call(libc::SYS_mkdirat, [here, p, directory, 0, 0]),
        "mknod" => sys::call(libc::SYS_mknod, [p, fifo, 0, 0, 0]),
        "mknodat" => sys::call(libc::SYS_mknodat, [here, p, fifo, 0, 0]),
        "truncate" => sys::call(libc::SYS_truncate, [p, 0, 0, 0, 0]),
        "ftruncate" => {
            through(path, libc::O_WRONLY, |fd| sys::call(libc::SYS_ftruncate, [fd, 0, 0, 0, 0]))
        }
        "chmod" => sys::call(libc::SYS_chmod, [p, file, 0, 0, 0]),
        "fchmod" => {
            through(path, libc::O_RDONLY, |fd| sys::call(libc::SYS_fchmod, [fd, file, 0, 0, 0]))
        }
        "fchmodat" => sys::call(libc::SYS_fchmodat, [here, p, file, 0, 0]),
        "fchmodat2" => sys::call(sys::FCHMODAT2, [here, p, file, 0, 0]),
        "chown" => sys::call(libc::SYS_chown, [p, same, same, 0, 0]),
        "lchown" => sys::call(libc::SYS_lchown, [p, same, same, 0, 0]),
        "fchown" => {
            through(path, libc::O_RDONLY, |fd| sys::call(libc::SYS_fchown, [fd, same, same, 0, 0]))
        }
        "fchownat" => sys::call(libc::SYS_fchownat, [here, p, same, same, nofollow]),
        // No times are named: they are set to now.
        "utime" => sys::call(libc::SYS_utime, [p, 0, 0, 0, 0]),
        "utimes" => sys::call(libc::SYS_utimes, [p, 0, 0, 0, 0]),
        "futimesat" => sys::call(libc::SYS_futimesat, [here, p, 0, 0, 0]),
        "utimensat" => sys::call(libc::SYS_utimensat, [here, p, 0, nofollow, 0]),
        "futimens" => {
            through(path, libc::O_RDONLY, |fd| sys::call(libc::SYS_utimensat, [fd, 0, 0, 0, 0]))
        }
        "setxattr" => sys::call(libc::SYS_setxattr, [p, attribute, value, 1, 0]),
        "lsetxattr" => sys::call(libc::SYS_lsetxattr, [p, attribute, value, 1, 0]),
        "fsetxattr" => through(path, libc::O_RDONLY, |fd| {
            sys::call(libc::SYS_fsetxattr, [fd, attribute, value, 1, 0])
        }),
        "map_exec" => {
            through(path, libc::O_RDONLY, |fd| map(fd, libc::PROT_EXEC, libc::MAP_PRIVATE))
        }
        "map_shared" => {
            through(path, libc::O_RDWR, |fd| map(fd, libc::PROT_WRITE, libc::MAP_SHARED))
        }
        "size_memory" => {
            let memory = sys::call(libc::SYS_memfd_create, [p, 0]);
            memory.and_then(|fd| sys::call(libc::SYS_ftruncate, [fd, 4096]))
        }
        "removexattr" => sys::call(libc::SYS_removexattr, [p, attribute, 0, 0, 0]),
        "lremovexattr" => sys::call(libc::SYS_lremovexattr, [p, attribute, 0, 0, 0]),
        "fremovexattr" => through(path, libc::O_RDONLY, |fd| {
            sys::call(libc::SYS_fremovexattr, [fd, attribute, 0, 0, 0])
        }),
        _ => return None,
    })
}

/// An act on two paths, named by its system call.
pub(crate) fn two(road: &str, first: &CStr, second: &CStr) -> Option<Done> {
    let here: c_long = sys::WORKING_DIRECTORY.into();
    let (one, other) = (at(first), at(second));
    Some(match road {
        "symlink" => sys::call(libc::SYS_symlink, [one, other, 0, 0, 0]),
        "symlinkat" => sys::call(libc::SYS_symlinkat, [one, here, other, 0, 0]),
        "link" => sys::call(libc::SYS_link, [one, other, 0, 0, 0]),
        "linkat" => sys::call(libc::SYS_linkat, [here, one, here, other, 0]),
        _ => return None,
    })
}

/// Maps a page of a file, for as long as this process lives.
fn map(file: i64, protection: c_int, flags: c_int) -> Done {
    let protection = c_long::from(protection | libc::PROT_READ);
    sys::call(libc::SYS_mmap, [0, 4096, protection, flags.into(), file, 0]).map(|_| 0)
}

fn at(path: &CStr) -> c_long {
    path.as_ptr() as c_long
}

/// Does something to a descriptor of the file.
fn through(path: &CStr, flags: c_int, act: impl Fn(i64) -> Done) -> Done {
    let descriptor = sys::call(libc::SYS_open, [at(path), flags.into(), 0, 0, 0])?;
    let done = act(descriptor);
    let _ = sys::call(libc::SYS_close, [descriptor, 0, 0, 0, 0]);
    done
}
