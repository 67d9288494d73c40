//! Where the cgroup v2 hierarchy is mounted, and how deep below its root.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Component, Path, PathBuf},
};

/// The inode of the cgroup namespace that a kernel boots with (`PROC_CGROUP_INIT_INO`,
/// include/linux/proc_ns.h, Linux 6.12).
const FIRST_NAMESPACE_INODE: u64 = 0xEFFF_FFFB;

/// No cgroup v2 hierarchy was found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The mount table could not be read.
    #[error("cannot read /proc/self/mountinfo: mount /proc first")]
    Mountinfo(#[source] io::Error),
    /// There is no such mount.
    #[error(
        "no cgroup v2 hierarchy is mounted: mount one (`mount -t cgroup2 none /sys/fs/cgroup`), or \
         beside a v1 hierarchy (`mkdir /sys/fs/cgroup/unified && mount -t cgroup2 none \
         /sys/fs/cgroup/unified`)"
    )]
    NoMount,
}

/// A mount of the cgroup v2 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupMount {
    path: PathBuf,
    root: PathBuf,
    in_first_namespace: bool,
}

impl CgroupMount {
    /// Finds the mount: usually `/sys/fs/cgroup`, on hybrid hosts `/sys/fs/cgroup/unified`.
    ///
    /// # Errors
    ///
    /// [`FindError`], which tells what to mount.
    pub fn find() -> Result<Self, FindError> {
        let mountinfo = fs::read("/proc/self/mountinfo").map_err(FindError::Mountinfo)?;
        let in_first_namespace = fs::metadata("/proc/self/ns/cgroup")
            .is_ok_and(|namespace| namespace.ino() == FIRST_NAMESPACE_INODE);
        parse(&mountinfo, in_first_namespace).ok_or(FindError::NoMount)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many ancestors a cgroup below the mount has in the whole hierarchy, as
    /// `bpf_get_current_ancestor_cgroup_id` counts levels: the hierarchy's root is 0.
    ///
    /// `None` where it cannot be known: in a cgroup namespace of a container the depth of the
    /// namespace's own root is hidden.
    #[must_use]
    pub fn level(&self, cgroup: &Path) -> Option<u32> {
        let depth = |path: &Path| {
            path.components()
                .filter(|component| *component != Component::RootDir)
                .map(|component| matches!(component, Component::Normal(_)).then_some(()))
                .collect::<Option<Vec<()>>>()
                .and_then(|names| u32::try_from(names.len()).ok())
        };
        if !self.in_first_namespace {
            return None;
        }
        Some(depth(&self.root)? + depth(cgroup.strip_prefix(&self.path).ok()?)?)
    }

    /// The directory of a process's cgroup, given the contents of its `/proc/<pid>/cgroup`.
    pub(crate) fn directory_of(&self, proc_cgroup: &str) -> Option<PathBuf> {
        let path = proc_cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
        let below = Path::new(path).strip_prefix(&self.root).ok()?;
        Some(self.path.join(below))
    }
}

/// The best cgroup v2 mount of a mount table (proc_pid_mountinfo(5)): one that shows the whole
/// hierarchy before one that shows a part.
fn parse(mountinfo: &[u8], in_first_namespace: bool) -> Option<CgroupMount> {
    let mounts = mountinfo.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let root = unescape(fields.nth(3)?);
        let path = unescape(fields.next()?);
        fields.find(|field| *field == b"-")?;
        (fields.next()? == b"cgroup2").then_some(CgroupMount { path, root, in_first_namespace })
    });
    let mounts: Vec<_> = mounts.collect();
    let whole = mounts.iter().find(|mount| mount.root == Path::new("/"));
    whole.or(mounts.first()).cloned()
}

/// Resolves the octal escapes of a mount table: blank, tab, newline and backslash are `\ooo`.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let escape = (first == b'\\').then(|| after.get(..3)).flatten();
        let byte = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &[u8] = b"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_v2_mount_of_a_hybrid_host_is_found_beside_v1() {
        let mount = parse(HYBRID, true).unwrap();
        assert_eq!(mount.path(), Path::new("/sys/fs/cgroup/unified"));
        assert_eq!(mount.level(Path::new("/sys/fs/cgroup/unified")), Some(0));
        assert_eq!(mount.level(Path::new("/sys/fs/cgroup/unified/belljar/run")), Some(2));
        assert_eq!(mount.level(Path::new("/elsewhere")), None);
    }

    #[test]
    fn a_mount_of_a_part_counts_the_levels_above_it_and_a_whole_one_is_preferred() {
        let part = b"9 1 0:9 /a/b /part\\040one rw shared:1 master:2 - cgroup2 none rw\n".to_vec();
        let mount = parse(&part, true).unwrap();
        assert_eq!(mount.path(), Path::new("/part one"));
        assert_eq!(mount.level(Path::new("/part one/belljar")), Some(3));
        let both = [part, HYBRID.to_vec()].concat();
        assert_eq!(parse(&both, true).unwrap().path(), Path::new("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn levels_that_a_namespace_hides_are_not_guessed() {
        let inside = parse(HYBRID, false).unwrap();
        assert_eq!(inside.level(inside.path()), None);
        let above = parse(b"9 1 0:9 /../.. /cg rw - cgroup2 none rw\n", true).unwrap();
        assert_eq!(above.level(Path::new("/cg")), None);
    }

    #[test]
    fn a_table_without_cgroup2_has_none() {
        assert_eq!(
            parse(b"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", true),
            None
        );
        assert_eq!(parse(b"", true), None);
    }

    #[test]
    fn the_directory_of_a_process_is_its_v2_line_below_the_mount() {
        let mount = parse(HYBRID, true).unwrap();
        let directory = mount.directory_of("4:memory:/x\n0::/belljar/oversight\n").unwrap();
        assert_eq!(directory, Path::new("/sys/fs/cgroup/unified/belljar/oversight"));
    }
}
