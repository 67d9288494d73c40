//! A cgroup of a test's own.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::traces;

/// A cgroup that every user may write to; dropping this takes it away, with what was made in it, once its
/// processes have ended.
#[derive(Debug)]
pub struct Cgroup(PathBuf);

impl Default for Cgroup {
    fn default() -> Self {
        Self::new()
    }
}

impl Cgroup {
    /// Makes one below the mount.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = traces::cgroups().join(format!("bjt-{}-{number}", process::id()));
        fs::create_dir(&path).expect("root may make cgroups");
        let files = fs::read_dir(&path).expect("it is there").flatten().map(|file| file.path());
        for path in files.chain([path.clone()]) {
            let mode = fs::metadata(&path).expect("it is there").permissions().mode();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o222)).expect("root may");
        }
        Self(path)
    }

    /// Moves a process of the test's own into it.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn take(&self, process: i32) {
        fs::write(self.0.join("cgroup.procs"), process.to_string()).expect("root may");
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes a cgroup and those in it, innermost first. A test tells if one is still there.
fn remove(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(cgroup);
}
