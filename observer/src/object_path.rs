//! From a record's strings to a path.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use ebpf_common::record::{Decoded, record_flags, string};

use crate::{
    caller::{Caller, Last, Resolved},
    mounts::Mounts,
};

/// A kernel path: components from the file system's root, last first, each ended by NUL.
fn from_kernel(bytes: &[u8]) -> PathBuf {
    let mut path = PathBuf::from("/");
    for component in bytes.split(|&byte| byte == 0).rev().filter(|part| !part.is_empty()) {
        path.push(OsStr::from_bytes(component));
    }
    path
}

/// The path of a file that the kernel named.
pub(crate) fn kernel(decoded: &Decoded<'_>, which: usize, mounts: &mut Mounts) -> PathBuf {
    mounts.locate(decoded.record.object_number, &from_kernel(decoded.strings[which]))
}

/// A path that the caller named.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Joined to the directory that it starts from, symbolic links followed as they are now. It may
    /// have been another one when the act happened.
    pub(crate) path: PathBuf,
    /// Whether the caller wrote it from the root on.
    pub(crate) absolute: bool,
    /// Whether its parent is still there; else the path was cleaned as text.
    pub(crate) resolved: bool,
}

/// The path of a file that the caller named.
pub(crate) fn user(
    decoded: &Decoded<'_>,
    which: usize,
    mounts: &mut Mounts,
    binds: &[(PathBuf, PathBuf)],
) -> Written {
    let record = &decoded.record;
    let (base, device) = if which == string::PATH {
        (string::BASE, record.object_number)
    } else {
        (string::TO_BASE, record.object_extra)
    };
    let written = decoded.strings[which].split(|&byte| byte == 0).next().unwrap_or_default();
    let written = Path::new(OsStr::from_bytes(written));
    let base = mounts.locate(device, &from_kernel(decoded.strings[base]));
    let cut = record.has(record_flags::UNFINISHED_WALK);
    let given = record.has(record_flags::FROM_DIRECTORY);
    let caller = Caller {
        tgid: record.tgid,
        tid: record.tid,
        working_directory: (!cut && !given).then_some(&base),
        binds,
    };
    let absolute = written.is_absolute();
    let last = if record.has(record_flags::FOLLOWED) && which == string::PATH {
        Last::Followed
    } else {
        Last::Itself
    };
    let Resolved { path, whole } = caller.resolve(&base.join(written), last);
    Written { path, absolute, resolved: whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_path_is_turned_around() {
        assert_eq!(from_kernel(b"file\0directory\0"), Path::new("/directory/file"));
        assert_eq!(from_kernel(b""), Path::new("/"));
        assert_eq!(from_kernel(b"\xff\0"), Path::new(OsStr::from_bytes(b"/\xff")));
    }
}
