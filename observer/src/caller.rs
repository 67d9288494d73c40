//! Follows a path as the process did that wrote it.
//!
//! `/proc/self` means the caller and not the observer, wherever a link leads there: `/dev/fd/3` is
//! the caller's third descriptor. What the caller could reach only while it lived is read from
//! `/proc` while it lives; its working directory is known from the record.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
};

/// As many links as Linux follows in one path (`MAXSYMLINKS`, include/linux/namei.h).
const MOST_LINKS: u32 = 40;

/// Who wrote a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) tgid: u32,
    pub(crate) tid: u32,
    /// Where known.
    pub(crate) working_directory: Option<&'a Path>,
    /// Directories that stand in for others in its mounts: the path as it sees it, and the directory
    /// as the observer does.
    pub(crate) binds: &'a [(PathBuf, PathBuf)],
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) path: PathBuf,
    /// Whether every directory on the way is there and could be followed; else the rest was taken
    /// as text.
    pub(crate) whole: bool,
}

/// What a path's last component stands for where it is a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// The link, which is what an act removes or moves.
    Itself,
    /// What it leads to, as far as that is there.
    Followed,
}

/// What a component is to a path that goes on behind it.
enum Step {
    /// A directory of this path.
    Into(PathBuf),
    /// A link to this path, relative to where it lies.
    Link(PathBuf),
    /// Nothing that can be followed.
    Gone,
}

impl Caller<'_> {
    /// Follows an absolute path.
    pub(crate) fn resolve(self, path: &Path, last: Last) -> Resolved {
        let mut waiting = components(path);
        let mut at = PathBuf::from("/");
        let mut whole = true;
        let mut links = 0;
        while let Some(name) = waiting.pop() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            if !whole || (waiting.is_empty() && last == Last::Itself) {
                at = next;
                continue;
            }
            // What a last component leads to may not be there yet.
            if waiting.is_empty() && fs::symlink_metadata(&next).is_err() {
                at = next;
                continue;
            }
            match self.step(&at, &name, next) {
                Step::Into(directory) => at = directory,
                Step::Link(target) if links < MOST_LINKS => {
                    links += 1;
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    waiting.extend(components(&target));
                }
                Step::Link(_) | Step::Gone => {
                    whole = false;
                    at.push(name);
                }
            }
        }
        Resolved { path: at, whole }
    }

    fn step(self, at: &Path, name: &OsStr, next: PathBuf) -> Step {
        if at == Path::new("/proc") && name == "self" {
            return Step::Into(at.join(self.tgid.to_string()));
        }
        if at == Path::new("/proc") && name == "thread-self" {
            return Step::Into(at.join(format!("{}/task/{}", self.tgid, self.tid)));
        }
        if let Some(directory) = self.working_directory
            && name == "cwd"
            && at == Path::new("/proc").join(self.tgid.to_string())
        {
            return Step::Into(directory.to_owned());
        }
        if let Some((_, directory)) = self.binds.iter().find(|(inside, _)| *inside == next) {
            return Step::Into(directory.clone());
        }
        let Ok(metadata) = fs::symlink_metadata(&next) else { return Step::Gone };
        if !metadata.is_symlink() {
            return Step::Into(next);
        }
        match fs::read_link(&next) {
            // Where a link of /proc leads to nothing that has a path, its text is none: `pipe:[7]`.
            Ok(target) if at.starts_with("/proc") && is_pathless(&target) => Step::Gone,
            Ok(target) => Step::Link(target),
            Err(_) => Step::Gone,
        }
    }
}

/// Components, last first, as a stack.
fn components(path: &Path) -> Vec<OsString> {
    let named = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<OsString> = named.collect();
    names.reverse();
    names
}

fn is_pathless(target: &Path) -> bool {
    let text = target.as_os_str().as_bytes();
    text.ends_with(b" (deleted)") || (!text.starts_with(b"/") && text.contains(&b':'))
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsRawFd as _, unix::fs::symlink};

    use super::*;

    fn own() -> Caller<'static> {
        let tgid = std::process::id();
        Caller { tgid, tid: tgid, working_directory: None, binds: &[] }
    }

    fn resolve(path: impl AsRef<Path>) -> (PathBuf, bool) {
        let Resolved { path, whole } = own().resolve(path.as_ref(), Last::Itself);
        (path, whole)
    }

    #[test]
    fn links_of_the_parent_are_followed_and_the_last_component_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir(real.join("target")).unwrap();
        symlink(real.join("target"), real.join("link")).unwrap();
        symlink("target/../link", real.join("relative")).unwrap();
        assert_eq!(resolve(real.join("link/file")), (real.join("target/file"), true));
        assert_eq!(resolve(real.join("relative/file")), (real.join("target/file"), true));
        assert_eq!(resolve(real.join("link")), (real.join("link"), true));
        assert_eq!(resolve(real.join("link/../file")), (real.join("file"), true));
        assert_eq!(resolve(real.join("gone/../x/../file")), (real.join("file"), false));
        assert_eq!(resolve("/../../.."), (PathBuf::from("/"), true));
    }

    #[test]
    fn a_last_component_that_is_followed_leads_to_what_may_not_be_there_yet() {
        let directory = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(directory.path()).unwrap();
        fs::write(real.join("file"), "").unwrap();
        symlink("file", real.join("link")).unwrap();
        symlink(real.join("new"), real.join("dangling")).unwrap();
        let followed = |name: &str| own().resolve(&real.join(name), Last::Followed);
        for (name, leads_to) in [("link", "file"), ("dangling", "new"), ("new", "new")] {
            let expected = Resolved { path: real.join(leads_to), whole: true };
            assert_eq!(followed(name), expected, "{name}");
        }
    }

    #[test]
    fn a_loop_of_links_leads_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(directory.path()).unwrap();
        symlink("b", real.join("a")).unwrap();
        symlink("a", real.join("b")).unwrap();
        assert!(!resolve(real.join("a/file")).1);
    }

    #[test]
    fn what_leads_through_proc_leads_through_the_callers_own() {
        let directory = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(directory.path()).unwrap();
        symlink("/proc/self", real.join("me")).unwrap();
        let open = fs::File::open(&real).unwrap();
        let fd = open.as_raw_fd();
        for road in ["/proc/self", "/proc/thread-self", "/proc/self/task/../../self"] {
            assert_eq!(
                resolve(format!("{road}/fd/{fd}/file")),
                (real.join("file"), true),
                "{road}"
            );
        }
        assert_eq!(resolve(format!("/dev/fd/{fd}/file")), (real.join("file"), true));
        assert_eq!(resolve(real.join(format!("me/fd/{fd}/file"))), (real.join("file"), true));
        assert_eq!(resolve("/proc/self/root/etc/x"), (PathBuf::from("/etc/x"), true));
    }

    #[test]
    fn a_caller_that_is_gone_is_followed_as_far_as_the_record_tells() {
        // No process has this number: pid_max is at most 2^22.
        let tid = 5_000_000;
        let gone = Caller { tgid: tid, tid, working_directory: None, binds: &[] };
        assert!(!gone.resolve(Path::new("/proc/self/fd/3/file"), Last::Itself).whole);
        assert!(!gone.resolve(Path::new("/dev/fd/3/file"), Last::Itself).whole);
        let known = Caller { working_directory: Some(Path::new("/srv")), ..gone };
        let expected = Resolved { path: "/srv/file".into(), whole: true };
        assert_eq!(known.resolve(Path::new("/proc/self/cwd/file"), Last::Itself), expected);
    }

    #[test]
    fn what_is_bound_in_the_callers_mounts_is_followed_to_where_it_lies() {
        let binds = [("/dev/shm".into(), "/var/lib/jobs/x/shm".into())];
        let caller = Caller { binds: &binds, ..own() };
        let path = |road: &str| caller.resolve(Path::new(road), Last::Itself).path;
        assert_eq!(path("/dev/shm/sem.x"), Path::new("/var/lib/jobs/x/shm/sem.x"));
        assert_eq!(path("/dev/../dev/shm/sem.x"), Path::new("/var/lib/jobs/x/shm/sem.x"));
        // The mount point itself is what an act on it means.
        assert_eq!(path("/dev/shm"), Path::new("/dev/shm"));
        assert_eq!(path("/dev/null"), Path::new("/dev/null"));
    }

    #[test]
    fn a_descriptor_without_a_path_leads_nowhere() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let road = format!("/proc/self/fd/{}/file", reader.as_raw_fd());
        assert!(!resolve(road).1);
    }
}
