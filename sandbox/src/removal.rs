//! Removes a directory tree that a hostile user has filled.
//!
//! It may be deeper than a process can hold descriptors or a path has room for, so nothing recurses:
//! a directory that is found below another is moved up into the top of the tree and emptied there.
//! At most five descriptors are open at a time, and each directory is moved at most once.
//!
//! Names are only ever looked up in a directory that is open, and no symbolic link is followed, so
//! that nothing outside the tree is reached. Nor is anything that is mounted in it. What was moved
//! into the tree is another's: whoever moved a directory could not always have emptied it. So only
//! directories are entered that belong to whom the directory above belongs to, or to one of the
//! owners who are expected.

use std::{
    ffi::{CStr, CString, OsStr, OsString},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

use rustix::{
    fs::{
        AtFlags, Dir, DirEntry, FileType, Mode, OFlags, ResolveFlags, fstat, openat2, renameat,
        statat, unlinkat,
    },
    io::Errno,
};

/// A tree is still there, or some of it.
#[derive(Debug, thiserror::Error)]
pub enum RemoveTreeError {
    /// The kernel refused something.
    #[error("cannot {action} {name:?}")]
    Refused {
        /// What.
        action: &'static str,
        /// The name in its directory.
        name: OsString,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A directory that was moved in from elsewhere, with what it holds.
    #[error("the directory {name:?} belongs to user {uid}: look what it is and where it came from")]
    Foreign {
        /// Its name in its directory.
        name: OsString,
        /// Its owner.
        uid: u32,
    },
}

/// Removes the directory `name` of `parent` with all below it; it is no fault when there is none.
/// `owners` are the users whose directories may be anywhere in the tree.
///
/// # Errors
///
/// [`RemoveTreeError`], the first that was met, after all has been removed that can be.
pub(crate) fn remove_tree(
    parent: impl AsFd,
    name: &CStr,
    owners: impl Fn(u32) -> bool,
) -> Result<(), RemoveTreeError> {
    let parent = parent.as_fd();
    let top = match open(parent, name) {
        Err(Errno::NOENT) => return Ok(()),
        top => top.map_err(refused("open", name))?,
    };
    let uid = fstat(&top).map_err(refused("look at", name))?.st_uid;
    let mut removal = Removal { top, uid, owners, moved: 0, has_progressed: false, failure: None };
    // Once more after a failure, as long as that helps: a full disk may refuse the first moves.
    loop {
        removal.has_progressed = false;
        removal.failure = None;
        removal.empty_top(name);
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) if removal.has_progressed => {}
            Err(errno) => {
                let last = || refused("remove", name)(errno);
                return Err(removal.failure.unwrap_or_else(last));
            }
        }
    }
}

struct Removal<F> {
    top: OwnedFd,
    /// The owner of the top.
    uid: u32,
    owners: F,
    /// How many directories were moved up. Each has its number as its name.
    moved: u64,
    has_progressed: bool,
    failure: Option<RemoveTreeError>,
}

impl<F: Fn(u32) -> bool> Removal<F> {
    fn empty_top(&mut self, name: &CStr) {
        let mut next = self.moved;
        for entry in entries(&self.top, name) {
            let result = entry.and_then(|entry| match kind(&self.top, &entry)? {
                Kind::Directory(_) => self.clear(entry.file_name()),
                Kind::Other => self.unlink(None, entry.file_name(), AtFlags::empty()),
                Kind::Gone => Ok(()),
            });
            self.note(result);
            // What that has brought up, and what this brings up in turn.
            while next < self.moved {
                let result = self.clear(&number(next));
                self.note(result);
                next += 1;
            }
        }
    }

    /// Empties and removes a directory of the top.
    fn clear(&mut self, name: &CStr) -> Result<(), RemoveTreeError> {
        let directory = match open(&self.top, name) {
            Err(Errno::NOENT) => return Ok(()),
            directory => directory.map_err(refused("open", name))?,
        };
        let uid = fstat(&directory).map_err(refused("look at", name))?.st_uid;
        self.check_owner(self.uid, uid, name)?;
        for entry in entries(&directory, name) {
            let result = entry.and_then(|entry| {
                let name = entry.file_name();
                match kind(&directory, &entry)? {
                    Kind::Directory(child) => {
                        match unlinkat(&directory, name, AtFlags::REMOVEDIR) {
                            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                                self.check_owner(uid, child, name)?;
                                self.move_up(&directory, name)
                            }
                            result => self.removed(result, name),
                        }
                    }
                    Kind::Other => self.unlink(Some(&directory), name, AtFlags::empty()),
                    Kind::Gone => Ok(()),
                }
            });
            self.note(result);
        }
        self.unlink(None, name, AtFlags::REMOVEDIR)
    }

    /// Moves a directory into the top.
    fn move_up(&mut self, from: &OwnedFd, name: &CStr) -> Result<(), RemoveTreeError> {
        loop {
            let number = number(self.moved);
            match renameat(from, name, &self.top, &number) {
                // The tree had something of this name itself; its turn comes like any other's.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => self.moved += 1,
                Ok(()) => {
                    self.moved += 1;
                    self.has_progressed = true;
                    return Ok(());
                }
                Err(errno) => return Err(refused("move", name)(errno)),
            }
        }
    }

    /// Removes a name, of the top where no other directory is given.
    fn unlink(
        &mut self,
        directory: Option<&OwnedFd>,
        name: &CStr,
        flags: AtFlags,
    ) -> Result<(), RemoveTreeError> {
        let result = unlinkat(directory.unwrap_or(&self.top), name, flags);
        self.removed(result, name)
    }

    fn removed(&mut self, result: Result<(), Errno>, name: &CStr) -> Result<(), RemoveTreeError> {
        match result {
            Err(Errno::NOENT) => Ok(()),
            Ok(()) => {
                self.has_progressed = true;
                Ok(())
            }
            Err(errno) => Err(refused("remove", name)(errno)),
        }
    }

    fn check_owner(&self, above: u32, uid: u32, name: &CStr) -> Result<(), RemoveTreeError> {
        if uid == above || (self.owners)(uid) {
            return Ok(());
        }
        Err(RemoveTreeError::Foreign { name: text(name), uid })
    }

    fn note(&mut self, result: Result<(), RemoveTreeError>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }
}

/// What a name stands for.
enum Kind {
    /// A directory of this user.
    Directory(u32),
    Other,
    Gone,
}

fn kind(directory: &OwnedFd, entry: &DirEntry) -> Result<Kind, RemoveTreeError> {
    if !matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
        return Ok(Kind::Other);
    }
    let name = entry.file_name();
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            Ok(Kind::Directory(stat.st_uid))
        }
        Ok(_) => Ok(Kind::Other),
        Err(Errno::NOENT) => Ok(Kind::Gone),
        Err(errno) => Err(refused("look at", name)(errno)),
    }
}

/// What a directory holds. Names that come or go meanwhile may be among it or not.
fn entries(
    directory: &OwnedFd,
    name: &CStr,
) -> impl Iterator<Item = Result<DirEntry, RemoveTreeError>> + use<> {
    let list = Dir::read_from(directory).map_err(refused("list", name));
    let name = name.to_owned();
    let (list, failure) = match list {
        Ok(list) => (Some(list), None),
        Err(error) => (None, Some(Err(error))),
    };
    let entries = list.into_iter().flatten();
    let entries = entries.map(move |entry| entry.map_err(refused("list", &name)));
    failure.into_iter().chain(entries).filter(|entry| {
        let is_itself = |entry: &DirEntry| matches!(entry.file_name().to_bytes(), b"." | b"..");
        !entry.as_ref().is_ok_and(is_itself)
    })
}

/// Opens a directory that is in this one itself: behind no link, and not mounted there.
fn open(directory: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    loop {
        match openat2(&directory, name, flags, Mode::empty(), within) {
            // So says the kernel when names change elsewhere at this moment.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

fn number(number: u64) -> CString {
    CString::new(number.to_string()).expect("a number holds no NUL")
}

fn text(name: &CStr) -> OsString {
    OsStr::from_bytes(name.to_bytes()).to_owned()
}

fn refused(action: &'static str, name: &CStr) -> impl FnOnce(Errno) -> RemoveTreeError + use<> {
    let name = text(name);
    move |errno| RemoveTreeError::Refused { action, name, source: errno.into() }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        os::unix::fs::{PermissionsExt, chown, symlink},
        path::Path,
    };

    use rustix::fs::{OFlags, mkdirat, openat};

    use super::*;

    /// In memory, where that is to be had: thousands of directories take a disk a while.
    fn room() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
    }

    fn remove(parent: &Path) -> Result<(), RemoveTreeError> {
        remove_tree(File::open(parent).unwrap(), c"tree", |_| false)
    }

    /// Directories of one name, each in the one before, below `directory`.
    fn deepen(directory: &Path, levels: u32) {
        let mut at = OwnedFd::from(File::open(directory).unwrap());
        for _ in 0..levels {
            mkdirat(&at, c"d", Mode::RWXU).unwrap();
            at = openat(&at, c"d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        let flags = OFlags::CREATE | OFlags::WRONLY;
        openat(&at, c"file", flags, Mode::RUSR).unwrap();
    }

    #[test]
    fn a_tree_deeper_than_any_limit_is_removed() {
        let directory = room();
        for part in ["tree/a", "tree/b"] {
            fs::create_dir_all(directory.path().join(part)).unwrap();
            deepen(&directory.path().join(part), 5_000);
        }
        remove(directory.path()).unwrap();
        assert!(!directory.path().join("tree").exists());
    }

    #[test]
    fn a_wide_tree_is_removed() {
        let directory = room();
        for number in 0..300 {
            let below = directory.path().join(format!("tree/wide/{number}/below/deeper"));
            fs::create_dir_all(&below).unwrap();
            for file in 0..10 {
                fs::write(below.with_file_name(format!("file-{file}")), "").unwrap();
                fs::write(below.join(format!("file-{file}")), "").unwrap();
            }
        }
        remove(directory.path()).unwrap();
        assert!(!directory.path().join("tree").exists());
    }

    #[test]
    fn what_links_point_to_stays() {
        let directory = room();
        let outside = directory.path().join("outside");
        fs::create_dir_all(directory.path().join("tree/below")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "").unwrap();
        for link in ["tree/link", "tree/below/link"] {
            symlink(&outside, directory.path().join(link)).unwrap();
            symlink(outside.join("file"), directory.path().join(format!("{link}-to-file")))
                .unwrap();
        }
        remove(directory.path()).unwrap();
        assert!(outside.join("file").exists());
        assert!(!directory.path().join("tree").exists());

        // The tree itself is not looked for behind a link either.
        symlink(&outside, directory.path().join("tree")).unwrap();
        remove(directory.path()).unwrap_err();
        assert!(outside.join("file").exists());
    }

    #[test]
    fn no_name_is_too_hard() {
        let directory = room();
        let long = "x".repeat(255);
        // Numbers are what this module itself gives as names.
        let names = ["0", "1", "2", "-rf", " ", "new\nline", "\u{1b}[2J", "...", "ä", &long];
        for outer in names.map(OsStr::new).into_iter().chain([OsStr::from_bytes(b"\xff")]) {
            let outer = directory.path().join("tree").join(outer);
            for inner in names {
                fs::create_dir_all(outer.join(inner).join("below")).unwrap();
                fs::write(outer.join(inner).join("below/0"), "").unwrap();
            }
        }
        fs::write(directory.path().join("tree/3"), "").unwrap();
        remove(directory.path()).unwrap();
        assert!(!directory.path().join("tree").exists());
    }

    #[test]
    fn what_is_not_there_need_not_be_removed() {
        let directory = room();
        remove(directory.path()).unwrap();
        fs::write(directory.path().join("tree"), "a file").unwrap();
        assert!(matches!(remove(directory.path()), Err(RemoveTreeError::Refused { .. })));
        assert!(directory.path().join("tree").exists());
    }

    #[test]
    fn directories_of_others_are_not_emptied() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can give a directory to another user");
            return;
        }
        let directory = room();
        let of_run = |uid| (7..9).contains(&uid);
        let make = |path: &str, uid: u32, mode: u32| {
            let path = directory.path().join(path);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), "").unwrap();
            chown(&path, Some(uid), None).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        make("tree", 0, 0o755);
        make("tree/service", 0, 0o700);
        make("tree/workspace", 7, 0o000);
        make("tree/workspace/closed", 7, 0o000);
        make("tree/workspace/other", 8, 0o700);
        make("tree/workspace/roots", 0, 0o755);
        make("tree/workspace/closed/strangers", 9, 0o755);
        let parent = File::open(directory.path()).unwrap();
        let error = remove_tree(&parent, c"tree", of_run).unwrap_err();
        assert!(matches!(error, RemoveTreeError::Foreign { uid: 0 | 9, .. }), "{error}");
        assert!(directory.path().join("tree/workspace/roots/file").exists());
        let mut left = 0;
        let mut directories = vec![directory.path().join("tree")];
        while let Some(at) = directories.pop() {
            for entry in fs::read_dir(at).unwrap().flatten() {
                left += u32::from(entry.file_name() == "file");
                directories.extend(entry.path().is_dir().then(|| entry.path()));
            }
        }
        assert_eq!(left, 2, "the two files of others");
    }
}
