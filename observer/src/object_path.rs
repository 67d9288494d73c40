//! From a record's strings to a path.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
};

use ebpf_common::record::{Decoded, string};

use crate::mounts::Mounts;

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
    /// Joined to the directory that it starts from, symbolic links of its parent followed as they
    /// are now. It may have been another one when the act happened.
    pub(crate) path: PathBuf,
    /// Whether the caller wrote it from the root on.
    pub(crate) absolute: bool,
    /// Whether its parent is still there; else the path was cleaned as text.
    pub(crate) resolved: bool,
}

/// The path of a file that the caller named.
pub(crate) fn user(decoded: &Decoded<'_>, which: usize, mounts: &mut Mounts) -> Written {
    let (base, device) = if which == string::PATH {
        (string::BASE, decoded.record.object_number)
    } else {
        (string::TO_BASE, decoded.record.object_extra)
    };
    let written = decoded.strings[which].split(|&byte| byte == 0).next().unwrap_or_default();
    let written = Path::new(OsStr::from_bytes(written));
    let absolute = written.is_absolute();
    let joined = if absolute {
        written.to_owned()
    } else {
        mounts.locate(device, &from_kernel(decoded.strings[base])).join(written)
    };
    let (path, resolved) = resolve(&of_caller(&joined, decoded.record.tgid));
    Written { path, absolute, resolved }
}

/// `/proc/self` means the caller, not the observer.
fn of_caller(path: &Path, tgid: u32) -> PathBuf {
    match path.strip_prefix("/proc/self").or_else(|_| path.strip_prefix("/proc/thread-self")) {
        Ok(rest) => Path::new("/proc").join(tgid.to_string()).join(rest),
        Err(_) => path.to_owned(),
    }
}

/// Follows the links of the parent directory; the last component itself is what the act removes or
/// moves. Where the parent is gone, the path is cleaned as text, and the answer says false.
fn resolve(path: &Path) -> (PathBuf, bool) {
    if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
        && let Ok(parent) = fs::canonicalize(parent)
    {
        return (parent.join(name), true);
    }
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    (clean, false)
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

    #[test]
    fn links_of_the_parent_are_followed_and_the_last_component_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir(real.join("target")).unwrap();
        std::os::unix::fs::symlink(real.join("target"), real.join("link")).unwrap();
        assert_eq!(resolve(&real.join("link/file")), (real.join("target/file"), true));
        assert_eq!(resolve(&real.join("link")), (real.join("link"), true));
        assert_eq!(resolve(&real.join("gone/../x/../file")), (real.join("file"), false));
    }

    #[test]
    fn proc_self_is_the_caller() {
        assert_eq!(of_caller(Path::new("/proc/self/fd/3"), 7), Path::new("/proc/7/fd/3"));
    }
}
