//! Runs that are there now, as somebody else than their supervisor sees them.
//!
//! Beside a run's lock lie files of root's: `RUN.directory` says where the run directory is, while there
//! is a `RUN.hold` no call of the run begins, and at `RUN.sock` its supervisor can be spoken to.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{Belljar, Cgroup, CgroupError, OVERSIGHT_NAME, RunCgroup, cgroups_in, check_name};
use crate::lock::is_held;

/// How often it is looked whether a run has ended.
const LOOK: Duration = Duration::from_millis(20);

/// A run whose cgroup exists.
#[derive(Debug)]
pub struct LiveRun {
    name: String,
    cgroup: Cgroup,
    supervisor: Option<u32>,
    belljar: Belljar,
}

/// A leaf of a run: where one call or component lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Whose it is.
    pub owner: LeafOwner,
    /// Its cgroup.
    pub cgroup: Cgroup,
}

/// Who lives in a leaf.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeafOwner {
    /// A call of the agent's, and what it has left running.
    Call(u64),
    /// A component of the scenario.
    Component(String),
}

impl LiveRun {
    /// The run's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process that supervises it; `None` for a run whose supervisor died.
    #[must_use]
    pub const fn supervisor(&self) -> Option<u32> {
        self.supervisor
    }

    /// Whether its supervisor is known to have died.
    #[must_use]
    pub fn is_orphan(&self) -> bool {
        !is_held(&self.belljar.lock_path(&self.name))
    }

    /// The run directory, once there is one.
    #[must_use]
    pub fn directory(&self) -> Option<PathBuf> {
        let path = fs::read(self.belljar.directory_file(&self.name)).ok()?;
        Some(PathBuf::from(OsString::from_vec(path)))
    }

    /// The socket at which its supervisor can be spoken to.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.belljar.socket_file(&self.name)
    }

    /// The cgroup of one of its calls; none where there is no such call.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Read`].
    pub fn call(&self, call: u64) -> Result<Option<Cgroup>, CgroupError> {
        let leaf = self.leaves()?.into_iter().find(|leaf| leaf.owner == LeafOwner::Call(call));
        Ok(leaf.map(|leaf| leaf.cgroup))
    }

    /// The calls that stand still: all that hold a process where the whole run does.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Read`].
    pub fn frozen_calls(&self) -> Result<Vec<u64>, CgroupError> {
        let is_whole = self.is_frozen_whole();
        let mut frozen = Vec::new();
        for Leaf { owner, cgroup } in self.leaves()? {
            let LeafOwner::Call(call) = owner else { continue };
            if (is_whole || cgroup.is_frozen()?) && cgroup.is_populated()? {
                frozen.push(call);
            }
        }
        Ok(frozen)
    }

    /// Whether no call of it may begin.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.belljar.hold_file(&self.name).exists()
    }

    /// Whether it, or all of Belljar, was told to stand still as a whole, its components included.
    #[must_use]
    pub fn is_frozen_whole(&self) -> bool {
        self.cgroup.is_frozen().unwrap_or(false)
    }

    /// Its leaves: calls by number, then components by name.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Read`].
    pub fn leaves(&self) -> Result<Vec<Leaf>, CgroupError> {
        let mut leaves: Vec<_> = cgroups_in(self.cgroup.path())?
            .into_iter()
            .filter_map(|(name, path)| {
                let owner = match name.strip_prefix("call-") {
                    Some(number) => LeafOwner::Call(number.parse().ok()?),
                    None => LeafOwner::Component(name.strip_prefix("component-")?.to_owned()),
                };
                Some(Leaf { owner, cgroup: Cgroup::open(path).ok()? })
            })
            .collect();
        leaves.sort_by(|a, b| a.owner.cmp(&b.owner));
        Ok(leaves)
    }

    /// Has every call stand still, and none begin; with `components`, those as well.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Deadline`] when a process does not stop in time: all have been told to.
    pub fn freeze(&self, components: bool, patience: Duration) -> Result<(), CgroupError> {
        // First of all, so that a call whose leaf is not listed below finds it before it begins.
        let hold = self.belljar.hold_file(&self.name);
        write_private(&hold, b"").map_err(|source| CgroupError::Hold { path: hold, source })?;
        let leaves = self.leaves()?;
        let is_meant = |leaf: &&Leaf| components || matches!(leaf.owner, LeafOwner::Call(_));
        let mut result = Ok(());
        for leaf in leaves.iter().filter(is_meant) {
            match leaf.cgroup.freeze(patience) {
                // It has ended meanwhile.
                Err(_) if !leaf.cgroup.path().exists() => {}
                frozen => result = result.and(frozen),
            }
        }
        result
    }

    /// Lets everything in it go on, whatever it was frozen for.
    ///
    /// # Errors
    ///
    /// [`CgroupError`].
    pub fn resume(&self) -> Result<(), CgroupError> {
        let hold = self.belljar.hold_file(&self.name);
        match fs::remove_file(&hold) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(CgroupError::Hold { path: hold, source });
            }
            _ => {}
        }
        self.cgroup.thaw()?;
        for leaf in self.leaves()? {
            match leaf.cgroup.thaw() {
                Err(_) if !leaf.cgroup.path().exists() => {}
                thawed => thawed?,
            }
        }
        Ok(())
    }

    /// Has the supervisor end the run as Ctrl-C does, so that its directory is finished, and waits
    /// until nothing of it acts. What does not end so in time, or has no supervisor, is killed.
    ///
    /// # Errors
    ///
    /// [`CgroupError`].
    pub fn end(&self, patience: Duration) -> Result<(), CgroupError> {
        let deadline = Instant::now() + patience;
        let told = self.supervisor.and_then(|supervisor| self.tell(supervisor));
        while told.is_some() && self.cgroup.is_populated().unwrap_or(false) {
            if Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(LOOK);
        }
        match self.cgroup.kill_and_wait(patience) {
            Err(_) if !self.cgroup.path().exists() => Ok(()),
            ended => ended,
        }
    }

    /// `None` when there is nobody to tell.
    fn tell(&self, supervisor: u32) -> Option<()> {
        let id = Pid::from_raw(i32::try_from(supervisor).ok()?)?;
        let process = pidfd_open(id, PidfdFlags::empty()).ok()?;
        // It held the lock after its number was looked up, so nobody else had that number.
        (self.belljar.supervisor(&self.name) == Some(supervisor)).then_some(())?;
        pidfd_send_signal(process, Signal::TERM).ok()
    }
}

impl RunCgroup {
    /// Where its supervisor listens to persons. The directory is there by now.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.belljar().socket_file(self.name())
    }

    /// The same run as somebody else sees it, who can act on its calls.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Read`].
    pub fn as_live(&self) -> Result<LiveRun, CgroupError> {
        Ok(LiveRun {
            name: self.name().to_owned(),
            cgroup: Cgroup::open(self.path().to_owned())?,
            supervisor: Some(std::process::id()),
            belljar: self.belljar().clone(),
        })
    }

    /// Leaves word where the run directory is, for whoever looks at live runs.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Hold`].
    pub fn point_to(&self, directory: &Path) -> Result<(), CgroupError> {
        let path = self.belljar().directory_file(self.name());
        write_private(&path, directory.as_os_str().as_bytes())
            .map_err(|source| CgroupError::Hold { path, source })
    }

    /// Whether a person has said that no call may begin.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.belljar().hold_file(self.name()).exists()
    }
}

impl Belljar {
    /// The runs that are there, sorted by name.
    ///
    /// # Errors
    ///
    /// [`CgroupError`].
    pub fn live_runs(&self) -> Result<Vec<LiveRun>, CgroupError> {
        let mut runs = Vec::new();
        for (name, path) in self.runs()? {
            // A run may have ended since it was listed.
            let Ok(cgroup) = Cgroup::open(path) else { continue };
            let supervisor = self.supervisor(&name);
            runs.push(LiveRun { name, cgroup, supervisor, belljar: self.clone() });
        }
        Ok(runs)
    }

    /// Whether a run of this name is not over: somebody owns the name, or it has a cgroup. Where that
    /// cannot be known, it is taken to be so.
    #[must_use]
    pub fn is_live(&self, name: &str) -> bool {
        if check_name(name).is_err() {
            return false;
        }
        self.path().join(name).exists() || is_held(&self.lock_path(name))
    }

    /// Who owns a run's lock, while somebody does and watches.
    fn supervisor(&self, name: &str) -> Option<u32> {
        let owner = fs::read_to_string(self.lock_path(name)).ok()?.parse().ok()?;
        let oversight = Cgroup::open(self.path().join(OVERSIGHT_NAME)).ok()?;
        let watches = oversight.processes().unwrap_or_default().contains(&owner);
        (watches && is_held(&self.lock_path(name))).then_some(owner)
    }

    fn hold_file(&self, run: &str) -> PathBuf {
        self.locks.join(format!("{run}.hold"))
    }

    fn socket_file(&self, run: &str) -> PathBuf {
        self.locks.join(format!("{run}.sock"))
    }

    fn directory_file(&self, run: &str) -> PathBuf {
        self.locks.join(format!("{run}.directory"))
    }

    /// Removes what lies beside a run's lock.
    pub(crate) fn remove_runtime_files(&self, run: &str) {
        for file in [self.hold_file(run), self.directory_file(run), self.socket_file(run)] {
            let _ = fs::remove_file(file);
        }
    }
}

/// Replaces a file of root's by one with these bytes. The directory is root's alone.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use io::Write as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW).open(path)?.write_all(bytes)
}
