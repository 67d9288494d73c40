//! A user id that belongs to one run and to nobody else.

use std::{
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::lock::{LockError, OwnerLock, RUNTIME_DIRECTORY};

/// The first user id of runs. systemd's list of ranges ends container ids at 0x6FFF_FFFF and begins
/// the next range of anybody's at 0x7FFE_0000 (systemd, docs/UIDS-GIDS.md); ids from 2^31 on
/// confuse programs that keep them signed.
pub const FIRST_UID: u32 = 0x7000_0000;
/// How many user ids runs have.
pub const UID_COUNT: u32 = 0x1_0000;

/// Whether a user id is one of those that runs have.
pub(crate) fn is_run_uid(uid: u32) -> bool {
    (FIRST_UID..FIRST_UID + UID_COUNT).contains(&uid)
}

/// The files that name users and groups. Read as they are: name services may be asked only by a
/// program that is dynamically linked, and have no business with this range.
const ACCOUNT_FILES: [&str; 2] = ["/etc/passwd", "/etc/group"];

/// A run has no user id.
#[derive(Debug, thiserror::Error)]
pub enum AllocateError {
    /// The lock files could not be made.
    #[error("cannot reserve a user id for the run: this needs root")]
    Lock(#[from] LockError),
    /// A file of the host could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Another process holds the counter and does not let go.
    #[error("another process is allocating a user id and does not come to an end: {}", path.display())]
    Busy {
        /// The counter's file.
        path: PathBuf,
    },
    /// All are taken.
    #[error("no free user id between {FIRST_UID} and {}", FIRST_UID + UID_COUNT - 1)]
    Exhausted,
}

/// A user id, and the group id of the same number, that no one else uses while this lives.
#[derive(Debug)]
pub struct RunUser {
    uid: u32,
    _owner: OwnerLock,
}

impl RunUser {
    /// Reserves a user id: not another run's, in no account file, and without a process.
    ///
    /// Numbers are used in turn, so that files which a former run left behind do not soon belong to
    /// another one.
    ///
    /// # Errors
    ///
    /// [`AllocateError`].
    pub fn allocate() -> Result<Self, AllocateError> {
        Self::allocate_in(&Path::new(RUNTIME_DIRECTORY).join("users"))
    }

    fn allocate_in(directory: &Path) -> Result<Self, AllocateError> {
        forget_the_dead(directory)?;
        let first = next_offset(directory)?;
        let known = known_ids()?;
        for turn in 0..UID_COUNT {
            let offset = (first + turn) % UID_COUNT;
            let uid = FIRST_UID + offset;
            if known.contains(&uid) {
                continue;
            }
            let Some(owner) = OwnerLock::take(&directory.join(uid.to_string()))? else { continue };
            // Looked at under the lock: who allocates after this does not get this one.
            if !has_process(uid)? {
                return Ok(Self { uid, _owner: owner });
            }
        }
        Err(AllocateError::Exhausted)
    }

    /// The user id.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The group id, the same number.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.uid
    }
}

/// Removes the lock files of processes that died without doing so.
fn forget_the_dead(directory: &Path) -> Result<(), AllocateError> {
    // There is none before the first allocation.
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    for entry in entries.flatten() {
        let is_lock = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        if is_lock {
            // Taken and dropped, which removes the file. Who is alive keeps it.
            drop(OwnerLock::take(&entry.path())?);
        }
    }
    Ok(())
}

/// Takes the next number of the counter, which wraps around.
fn next_offset(directory: &Path) -> Result<u32, AllocateError> {
    let lock_path = directory.join("next.lock");
    let path = directory.join("next");
    let deadline = Instant::now() + Duration::from_secs(5);
    let _lock = loop {
        match OwnerLock::take(&lock_path)? {
            Some(lock) => break lock,
            None if Instant::now() > deadline => return Err(AllocateError::Busy { path }),
            // Held for two system calls.
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let error = |source| AllocateError::Read { path: path.clone(), source };
    let file = fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(error)?;
    let mut bytes = [0; 4];
    let offset = match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => u32::from_le_bytes(bytes) % UID_COUNT,
        Err(short) if short.kind() == io::ErrorKind::UnexpectedEof => 0,
        Err(source) => return Err(error(source)),
    };
    file.write_all_at(&((offset + 1) % UID_COUNT).to_le_bytes(), 0).map_err(error)?;
    Ok(offset)
}

/// The ids of the host's account files.
fn known_ids() -> Result<Vec<u32>, AllocateError> {
    let mut ids = Vec::new();
    for path in ACCOUNT_FILES.map(PathBuf::from) {
        match fs::read(&path) {
            Ok(text) => ids.extend(account_ids(&text)),
            // An initramfs has no accounts.
            Err(source) if source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(AllocateError::Read { path, source }),
        }
    }
    Ok(ids)
}

/// User and group ids of `passwd(5)` and `group(5)`: the third field, and passwd's fourth.
fn account_ids(text: &[u8]) -> impl Iterator<Item = u32> {
    text.split(|byte| *byte == b'\n').flat_map(|line| {
        let fields = line.split(|byte| *byte == b':').skip(2).take(2);
        fields.filter_map(|field| std::str::from_utf8(field).ok()?.parse().ok())
    })
}

/// Whether a process has this user id, in any of its four roles.
fn has_process(uid: u32) -> Result<bool, AllocateError> {
    let proc = PathBuf::from("/proc");
    let entries =
        fs::read_dir(&proc).map_err(|source| AllocateError::Read { path: proc, source })?;
    for entry in entries.flatten() {
        let is_process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        // A process that is gone by now uses no id.
        if is_process
            && let Ok(status) = fs::read(entry.path().join("status"))
            && status_has_uid(&status, uid)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads `Uid:` of proc_pid_status(5). The process's name before it may hold any bytes but a
/// newline, which the kernel escapes.
fn status_has_uid(status: &[u8], uid: u32) -> bool {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"));
    line.and_then(|line| std::str::from_utf8(line).ok())
        .is_some_and(|line| line.split_whitespace().any(|field| field.parse() == Ok(uid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_handed_out_in_turn_and_never_twice_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let first = RunUser::allocate_in(directory.path()).unwrap();
        let second = RunUser::allocate_in(directory.path()).unwrap();
        assert_ne!(first.uid(), second.uid());
        assert!((FIRST_UID..FIRST_UID + UID_COUNT).contains(&first.uid()));
        assert_eq!(first.uid(), first.gid());
        let freed = first.uid();
        drop(first);
        assert!(!directory.path().join(freed.to_string()).exists());
        assert_ne!(RunUser::allocate_in(directory.path()).unwrap().uid(), freed);
    }

    #[test]
    fn the_locks_of_the_dead_are_removed_and_those_of_the_living_kept() {
        let directory = tempfile::tempdir().unwrap();
        let alive = RunUser::allocate_in(directory.path()).unwrap();
        let dead = directory.path().join((FIRST_UID + 9).to_string());
        fs::write(&dead, "").unwrap();
        let next = RunUser::allocate_in(directory.path()).unwrap();
        assert!(!dead.exists());
        assert_ne!(alive.uid(), next.uid());
        assert!(directory.path().join(alive.uid().to_string()).exists());
    }

    #[test]
    fn the_counter_wraps_around_within_the_range() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("next"), (UID_COUNT - 1).to_le_bytes()).unwrap();
        let last = RunUser::allocate_in(directory.path()).unwrap();
        let first = RunUser::allocate_in(directory.path()).unwrap();
        assert_eq!(last.uid(), FIRST_UID + UID_COUNT - 1);
        assert!(first.uid() < last.uid());
    }

    #[test]
    fn account_files_and_processes_name_their_ids() {
        let passwd =
            b"root:x:0:0:root:/root:/bin/sh\nbroken\nbuild:x:1879048192:1879048193::/:/x\n";
        assert_eq!(account_ids(passwd).collect::<Vec<_>>(), [0, 0, 1_879_048_192, 1_879_048_193]);
        let status = b"Name:\tx\xff\nUmask:\t0022\nUid:\t0\t7\t0\t0\nGid:\t9\t9\t9\t9\n";
        assert!(status_has_uid(status, 7));
        assert!(!status_has_uid(status, 9));
    }
}
