//! What the figures were measured on.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use nix::sys::{statfs::statfs, utsname::uname};
use serde::Serialize;

/// The machine, its kernel and the file system of the files.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) processor: String,
    pub(crate) processors: usize,
    /// The processor is interpreted by QEMU: only ratios mean something.
    pub(crate) emulated: bool,
    pub(crate) file_system: &'static str,
    /// Directories between a removed file and its file system's root.
    pub(crate) depth: usize,
}

impl Machine {
    /// Looks at the machine. `files` is where files are removed.
    ///
    /// # Errors
    ///
    /// When `/proc` is not there.
    pub(crate) fn of(files: &Path) -> Result<Self> {
        const TMPFS: i64 = 0x0102_1994;
        const EXT4: i64 = 0xEF53;
        let text = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
        let processor = text
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned());
        let file_system = match statfs(files)?.filesystem_type().0 {
            TMPFS => "tmpfs",
            EXT4 => "ext4",
            _ => "other",
        };
        let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read mounts")?;
        let mount = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1).map(Path::new))
            .filter(|mount| files.starts_with(mount))
            .map(|mount| mount.components().count())
            .max()
            .unwrap_or(1);
        Ok(Self {
            kernel: uname()?.release().to_string_lossy().into_owned(),
            emulated: processor.contains("TCG"),
            processor,
            processors: std::thread::available_parallelism()?.get(),
            file_system,
            depth: files.components().count() - mount,
        })
    }
}
