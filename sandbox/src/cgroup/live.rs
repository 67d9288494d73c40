//! Runs that are there now, as somebody else than their supervisor sees them.
//!
//! Beside a run's lock lies a file of root's: `RUN.directory` says where the run directory is.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
};

use super::{Belljar, Cgroup, CgroupError, OVERSIGHT_NAME, RunCgroup};

/// A run whose cgroup exists.
#[derive(Debug)]
pub struct LiveRun {
    name: String,
    supervisor: Option<u32>,
    belljar: Belljar,
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

    /// The run directory, once there is one.
    #[must_use]
    pub fn directory(&self) -> Option<PathBuf> {
        let path = fs::read(self.belljar.directory_file(&self.name)).ok()?;
        Some(PathBuf::from(OsString::from_vec(path)))
    }
}

impl RunCgroup {
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
}

impl Belljar {
    /// The runs that are there, sorted by name.
    ///
    /// # Errors
    ///
    /// [`CgroupError`].
    pub fn live_runs(&self) -> Result<Vec<LiveRun>, CgroupError> {
        let mut runs = Vec::new();
        for name in cgroups_in(self.path())? {
            // Names with a dot are no runs', but of what stands beside one.
            if name == OVERSIGHT_NAME || name.contains('.') {
                continue;
            }
            let supervisor = self.supervisor(&name);
            runs.push(LiveRun { name, supervisor, belljar: self.clone() });
        }
        runs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(runs)
    }

    /// Who owns a run's lock, while somebody does and watches.
    fn supervisor(&self, name: &str) -> Option<u32> {
        let owner = fs::read_to_string(self.lock_path(name)).ok()?.parse().ok()?;
        let is_orphan = matches!(self.own(name), Ok(Some(_)));
        let oversight = Cgroup::open(self.path().join(OVERSIGHT_NAME)).ok()?;
        let watches = oversight.processes().unwrap_or_default().contains(&owner);
        (!is_orphan && watches).then_some(owner)
    }

    fn directory_file(&self, run: &str) -> PathBuf {
        self.locks.join(format!("{run}.directory"))
    }

    /// Removes what lies beside a run's lock.
    pub(crate) fn remove_runtime_files(&self, run: &str) {
        let _ = fs::remove_file(self.directory_file(run));
    }
}

/// Replaces a file of root's by one with these bytes. The directory is root's alone.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use io::Write as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW).open(path)?.write_all(bytes)
}

/// The cgroups directly below a directory, by name. One that is gone has none.
fn cgroups_in(directory: &Path) -> Result<Vec<String>, CgroupError> {
    let entries = match fs::read_dir(directory) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => {
            entries.map_err(|source| CgroupError::Read { path: directory.to_owned(), source })?
        }
    };
    Ok(entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        // What is not named like ours was not made here.
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect())
}
