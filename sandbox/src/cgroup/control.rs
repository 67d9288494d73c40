//! What can be done to one cgroup: freeze, thaw, kill, list, empty.

use std::{
    fs::{self, File},
    io::{self, Read, Seek},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{CgroupError, members};

/// How long what was killed may take to go before it is killed again.
const TURN: Duration = Duration::from_millis(100);

/// One cgroup: a run's, a call's, a component's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    path: PathBuf,
    id: u64,
}

impl Cgroup {
    /// Makes a directory, and so a cgroup.
    pub(crate) fn create(path: PathBuf) -> Result<Self, CgroupError> {
        match fs::create_dir(&path) {
            Ok(()) => Self::open(path),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                Err(CgroupError::Exists { path })
            }
            Err(source) => Err(CgroupError::Create { path, source }),
        }
    }

    /// A cgroup that exists.
    pub(crate) fn open(path: PathBuf) -> Result<Self, CgroupError> {
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Self { id: metadata.ino(), path }),
            Err(source) => Err(CgroupError::Read { path, source }),
        }
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its id, as `bpf_get_current_cgroup_id` has it. On 64-bit kernels that is the directory's
    /// inode number (`cgroup_id` and `kernfs_ino`, include/linux/kernfs.h, Linux 6.12).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The thread groups in it and below, in no order.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Read`].
    pub fn processes(&self) -> Result<Vec<u32>, CgroupError> {
        let mut tgids = Vec::new();
        for directory in subtree(&self.path)? {
            let Some(list) = self.read_in(&directory, "cgroup.procs")? else { continue };
            // 0 stands for a process of another pid namespace.
            tgids.extend(
                list.lines().filter_map(|line| line.parse().ok()).filter(|it: &u32| *it != 0),
            );
        }
        Ok(tgids)
    }

    /// Whether a process that is no zombie is in it or below.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Read`].
    pub fn is_populated(&self) -> Result<bool, CgroupError> {
        Ok(self.read("cgroup.events")?.lines().any(|line| line == "populated 1"))
    }

    /// Whether it was itself told to stand still, and not only a cgroup above it.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Read`].
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        Ok(self.read("cgroup.freeze")?.trim_ascii() == "1")
    }

    /// Stops everything in it and below, and waits until all have stopped.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Write`], [`CgroupError::Deadline`] when a process does not stop in time.
    pub fn freeze(&self, patience: Duration) -> Result<(), CgroupError> {
        self.write("cgroup.freeze", "1")?;
        if self.reaches("frozen 1", patience)? {
            Ok(())
        } else {
            Err(self.late("frozen", patience))
        }
    }

    /// Lets everything in it go on.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Write`].
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.write("cgroup.freeze", "0")
    }

    /// Sends SIGKILL to everything in it and below, frozen or not, with no way to fork away from it.
    /// Returns before they are gone.
    ///
    /// # Errors
    ///
    /// [`CgroupError`].
    pub fn kill(&self) -> Result<(), CgroupError> {
        match self.write("cgroup.kill", "1") {
            Err(CgroupError::Write { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.kill_while_frozen()
            }
            // Who has lost their first thread has not heard.
            result => result.and_then(|()| self.kill_members()),
        }
    }

    /// Kills everything in it and waits until it is empty.
    ///
    /// # Errors
    ///
    /// [`CgroupError`]; [`CgroupError::Deadline`] names who is left.
    pub fn kill_and_wait(&self, patience: Duration) -> Result<(), CgroupError> {
        let deadline = Instant::now() + patience;
        loop {
            self.kill()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if self.reaches("populated 0", left.min(TURN))? {
                return Ok(());
            }
            if left <= TURN {
                return Err(self.late("empty", patience));
            }
        }
    }

    /// Kernels before 5.14 have no `cgroup.kill`: what is frozen cannot fork while it is listed.
    fn kill_while_frozen(&self) -> Result<(), CgroupError> {
        const PATIENCE: Duration = Duration::from_secs(1);
        // A process that is being forked may enter until the cgroup is wholly frozen.
        let settled = self.freeze(PATIENCE);
        self.kill_members()?;
        self.thaw()?;
        settled
    }

    fn kill_members(&self) -> Result<(), CgroupError> {
        subtree(&self.path)?.iter().for_each(|directory| members::kill_each(directory));
        Ok(())
    }

    /// Removes it and all below, all of which must be empty of processes.
    pub(crate) fn remove_directories(&self) -> Result<(), CgroupError> {
        let directories = match subtree(&self.path) {
            Err(CgroupError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(());
            }
            directories => directories?,
        };
        for path in directories.into_iter().rev() {
            match fs::remove_dir(&path) {
                Ok(()) => {}
                Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(CgroupError::Remove { path, source }),
            }
        }
        Ok(())
    }

    /// Waits until `cgroup.events` has this line, and says whether it came to that in time. The
    /// kernel says when the file changes.
    fn reaches(&self, line: &str, patience: Duration) -> Result<bool, CgroupError> {
        let path = self.path.join("cgroup.events");
        let read = |source| CgroupError::Read { path: path.clone(), source };
        let mut file = File::open(&path).map_err(read)?;
        let deadline = Instant::now() + patience;
        loop {
            let mut text = String::new();
            file.rewind().and_then(|()| file.read_to_string(&mut text)).map_err(read)?;
            if text.lines().any(|it| it == line) {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let mut changed = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
            // Rounded up, or the last millisecond would be a busy one.
            let left = left + Duration::from_millis(1);
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut changed, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(read(errno.into())),
            }
        }
    }

    fn late(&self, state: &'static str, patience: Duration) -> CgroupError {
        CgroupError::Deadline {
            path: self.path.clone(),
            state,
            seconds: patience.as_secs_f32(),
            tgids: self.processes().unwrap_or_default(),
        }
    }

    pub(crate) fn read(&self, file: &str) -> Result<String, CgroupError> {
        let path = self.path.join(file);
        fs::read_to_string(&path).map_err(|source| CgroupError::Read { path, source })
    }

    /// Reads a file of a cgroup that may go away meanwhile.
    fn read_in(&self, directory: &Path, file: &str) -> Result<Option<String>, CgroupError> {
        let path = directory.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(source) if directory != self.path && is_gone(&source) => Ok(None),
            Err(source) => Err(CgroupError::Read { path, source }),
        }
    }

    pub(crate) fn write(&self, file: &str, value: &str) -> Result<(), CgroupError> {
        let path = self.path.join(file);
        // Never creates the file: cgroupfs would refuse with a misleading reason.
        let written = File::options()
            .write(true)
            .open(&path)
            .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
        written.map_err(|source| CgroupError::Write { path, value: value.to_owned(), source })
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

/// A directory and all below it, each before what it holds.
fn subtree(root: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let mut found = vec![root.to_owned()];
    let mut next = 0;
    while let Some(directory) = found.get(next).cloned() {
        next += 1;
        let read = |source| CgroupError::Read { path: directory.clone(), source };
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(source) if directory != root && is_gone(&source) => continue,
            Err(source) => return Err(read(source)),
        };
        for entry in entries {
            let entry = entry.map_err(read)?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}
