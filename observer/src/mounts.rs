//! From a device and a path within its file system to a path that a person can use.

use std::{
    collections::HashMap,
    fs, io,
    os::{
        fd::AsRawFd as _,
        unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use ebpf_common::maps::FileKey;

/// One line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    id: u64,
    /// As the kernel has it: major << 20 | minor.
    device: u32,
    /// Which directory of the file system is mounted.
    root: PathBuf,
    /// Where.
    point: PathBuf,
}

/// The mounts of the observer's own mount namespace.
#[derive(Clone, Debug, Default)]
pub struct Mounts {
    mounts: Vec<Mount>,
    by_device: HashMap<u32, Vec<usize>>,
}

/// A labelled root as the kernel knows it, held open so that its inode is not reused.
#[derive(Debug)]
pub struct OpenRoot {
    /// The key for the probes' map, slot not filled in.
    pub key: FileKey,
    /// Holds the inode.
    _file: fs::File,
}

fn unescape(field: &str) -> PathBuf {
    // proc(5): space, tab, newline and backslash are written as three octal digits.
    let bytes = field.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        let octal = bytes.get(position + 1..position + 4).filter(|_| bytes[position] == b'\\');
        match octal.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                position += 4;
            }
            None => {
                plain.push(bytes[position]);
                position += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(plain))
}

fn parse_line(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ');
    let id = fields.next()?.parse().ok()?;
    let (major, minor) = fields.nth(1)?.split_once(':')?;
    let device = major.parse::<u32>().ok()? << 20 | minor.parse::<u32>().ok()?;
    Some(Mount { id, device, root: unescape(fields.next()?), point: unescape(fields.next()?) })
}

impl Mounts {
    /// Reads the mounts as they are now.
    ///
    /// # Errors
    ///
    /// When `/proc` is not there.
    pub fn read() -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string("/proc/self/mountinfo")?))
    }

    fn parse(text: &str) -> Self {
        let mounts: Vec<Mount> = text.lines().filter_map(parse_line).collect();
        let mut by_device: HashMap<u32, Vec<usize>> = HashMap::new();
        for (index, mount) in mounts.iter().enumerate() {
            by_device.entry(mount.device).or_default().push(index);
        }
        Self { mounts, by_device }
    }

    /// The path of a file that lies at `path` within the file system of `device`. Of several mounts
    /// the one that shows most of the file system counts.
    pub fn locate(&mut self, device: u32, path: &Path) -> PathBuf {
        if !self.by_device.contains_key(&device)
            && let Ok(now) = Self::read()
        {
            *self = now;
        }
        // A device that is mounted nowhere is remembered as such.
        let candidates = self.by_device.entry(device).or_default();
        candidates
            .iter()
            .map(|&index| &self.mounts[index])
            .filter_map(|mount| Some((mount, path.strip_prefix(&mount.root).ok()?)))
            .min_by_key(|(mount, _)| mount.root.as_os_str().len())
            .map_or_else(
                || path.to_owned(),
                |(mount, rest)| {
                    if rest.as_os_str().is_empty() {
                        mount.point.clone()
                    } else {
                        mount.point.join(rest)
                    }
                },
            )
    }

    /// Opens a labelled root and everything that is mounted below it.
    ///
    /// The device comes from the mount and not from `stat`, whose answer differs from the kernel's
    /// own on file systems with subvolumes.
    ///
    /// # Errors
    ///
    /// When the root cannot be opened.
    pub fn open_root(&self, path: &Path) -> io::Result<Vec<OpenRoot>> {
        let mut roots = vec![self.open(path)?];
        for mount in self.mounts.iter().filter(|mount| mount.point != path) {
            if mount.point.starts_with(path) {
                roots.push(self.open(&mount.point)?);
            }
        }
        Ok(roots)
    }

    /// Opens every directory above a labelled root, the root of all excepted, which nothing renames.
    ///
    /// # Errors
    ///
    /// When one cannot be opened.
    pub fn open_above(&self, path: &Path) -> io::Result<Vec<OpenRoot>> {
        let above = path.ancestors().skip(1).filter(|above| above.parent().is_some());
        above.map(|above| self.open(above)).collect()
    }

    fn open(&self, path: &Path) -> io::Result<OpenRoot> {
        let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC;
        let file = fs::File::from(nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty())?);
        let metadata = file.metadata()?;
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
        let mount = info
            .lines()
            .find_map(|line| line.strip_prefix("mnt_id:"))
            .and_then(|id| id.trim().parse().ok())
            .and_then(|id: u64| self.mounts.iter().find(|mount| mount.id == id));
        let device = mount.map_or_else(
            || {
                let device = metadata.dev();
                (libc_major(device) << 20) | libc_minor(device)
            },
            |mount| mount.device,
        );
        Ok(OpenRoot { key: FileKey { inode: metadata.ino(), device, slot: 0 }, _file: file })
    }
}

fn libc_major(device: u64) -> u32 {
    nix::sys::stat::major(device) as u32
}

fn libc_minor(device: u64) -> u32 {
    nix::sys::stat::minor(device) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 21 0:25 / /tmp rw - tmpfs tmpfs rw
31 21 254:0 /srv/data /mnt/with\\040space rw - ext4 /dev/vda rw
";

    #[test]
    fn a_path_is_shown_through_the_mount_that_shows_most() {
        let mut mounts = Mounts::parse(TABLE);
        let root = 254 << 20;
        assert_eq!(mounts.locate(root, Path::new("/srv/data/x")), Path::new("/srv/data/x"));
        assert_eq!(mounts.locate(25, Path::new("/a")), Path::new("/tmp/a"));
        assert_eq!(mounts.locate(25, Path::new("/")), Path::new("/tmp"));
    }

    #[test]
    fn escapes_of_mount_points_are_undone() {
        assert_eq!(Mounts::parse(TABLE).mounts[2].point, Path::new("/mnt/with space"));
    }

    #[test]
    fn an_open_root_has_the_inode_of_its_directory() {
        let mounts = Mounts::read().unwrap();
        let directory = std::env::temp_dir();
        let roots = mounts.open_root(&directory).unwrap();
        assert_eq!(roots[0].key.inode, fs::metadata(&directory).unwrap().ino());
    }
}
