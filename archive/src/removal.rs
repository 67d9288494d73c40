//! Removing one run directory and nothing else.

use std::{
    ffi::{CStr, CString, OsStr},
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use journal::{escape::escape, files::name};
use rustix::{
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2, statat, unlinkat,
    },
    io::Errno,
};

use crate::scan::Found;

/// A run directory was not removed, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It is not the directory that was looked at.
    #[error("it is another directory by now")]
    Swapped,
    /// A run directory holds files alone.
    #[error("it holds {name}, which is no file of a run")]
    Foreign {
        /// What it holds, escaped.
        name: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", .path.display())]
    Os {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause, with its errno.
        source: io::Error,
    },
}

/// Removes a run directory below `root`, if it is still the one that was found and holds nothing but
/// files. On the way to it no link is followed. With `dry_run` it is looked at as closely, and stays.
pub(crate) fn remove(root: &Path, found: &Found, dry_run: bool) -> Result<(), RemoveError> {
    let os = |action| {
        move |errno: Errno| RemoveError::Os {
            action,
            path: root.join(&found.path),
            source: errno.into(),
        }
    };
    let root_fd = open_root(root).map_err(os("open"))?;
    let parent = match found.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => below(&root_fd, &text(parent.as_os_str())).map_err(os("open"))?,
        None => root_fd,
    };
    let name = text(found.path.file_name().unwrap_or_default());
    let directory = below(&parent, &name).map_err(os("open"))?;
    let stat = fstat(&directory).map_err(os("look at"))?;
    if (stat.st_dev, stat.st_ino) != found.identity {
        return Err(RemoveError::Swapped);
    }
    let files = files(&directory).map_err(os("list"))??;
    if dry_run {
        return Ok(());
    }
    // The manifest goes last: what is left when this is interrupted is still found.
    let (manifest, others): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| file.to_bytes() == name::MANIFEST.as_bytes());
    for file in others.iter().chain(&manifest) {
        match unlinkat(&directory, file, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(os("remove a file of")(errno)),
        }
    }
    unlinkat(&parent, &name, AtFlags::REMOVEDIR).map_err(os("remove"))
}

fn open_root(root: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(root, flags, Mode::empty())
}

/// Opens a directory below another: behind no link, and not mounted there.
fn below(directory: &OwnedFd, path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    loop {
        match openat2(directory, path, flags, Mode::empty(), within) {
            // So says the kernel when names change elsewhere at this moment.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

/// The files of a directory that holds nothing else.
fn files(directory: &OwnedFd) -> Result<Result<Vec<CString>, RemoveError>, Errno> {
    let mut files = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            let name = escape(name.to_bytes()).into_owned();
            return Ok(Err(RemoveError::Foreign { name }));
        }
        files.push(name);
    }
    Ok(Ok(files))
}

fn text(name: &OsStr) -> CString {
    CString::new(name.as_bytes()).expect("a path that was listed holds no NUL")
}
