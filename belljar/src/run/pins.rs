//! Pins in the BPF file system: probes that outlive an observer that dies.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::sys::statfs::{FsType, statfs};
use sandbox::Belljar;

/// Directory of all pins in the BPF file system.
pub(crate) const PINS: &str = "/sys/fs/bpf/belljar";
/// statfs(2)'s type of the BPF file system, include/uapi/linux/magic.h.
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// Whether programs can be pinned.
pub(crate) fn bpf_file_system() -> bool {
    statfs("/sys/fs/bpf").is_ok_and(|stat| stat.filesystem_type() == FsType(BPF_FS_MAGIC))
}

/// Where the pins of an owner of this name lie, where there can be any.
pub(crate) fn pins_of(name: &str) -> Option<PathBuf> {
    bpf_file_system().then(|| Path::new(PINS).join(name))
}

/// Removes the pins of an owner.
pub(crate) fn remove_pins(name: &str) {
    // Absent where nothing was pinned.
    let _ = fs::remove_dir_all(Path::new(PINS).join(name));
    let _ = fs::remove_dir(PINS);
}

/// Removes pins whose owner died: a run's own observer, or a resident one. As long as any run is
/// left, they may be what guards it.
pub(crate) fn remove_stale(belljar: &Belljar) {
    if belljar.has_runs() {
        return;
    }
    for (name, _claim) in belljar.dead_claims() {
        remove_pins(&name);
    }
}
