//! Finds a program as a shell does.

use std::{
    ffi::{CString, NulError, OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use nix::errno::Errno;

/// Where programs are looked up when the environment has no `PATH`, as shells have it.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The paths at which a program may lie, in the order in which to try them. A name with a `/` is a
/// path and is not looked up.
pub(super) fn candidates(
    program: &OsStr,
    env: &[(OsString, OsString)],
) -> Result<Vec<CString>, NulError> {
    let name = program.as_bytes();
    if name.is_empty() {
        return Ok(Vec::new());
    }
    if name.contains(&b'/') {
        return Ok(vec![CString::new(name)?]);
    }
    let path =
        env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH)).as_bytes();
    path.split(|byte| *byte == b':')
        .map(|directory| {
            // An empty element is the current directory.
            let mut candidate = if directory.is_empty() { b".".to_vec() } else { directory.into() };
            candidate.push(b'/');
            candidate.extend(name);
            CString::new(candidate)
        })
        .collect()
}

/// `name=value` as execve(2) wants it.
pub(super) fn environment(env: &[(OsString, OsString)]) -> Result<Vec<CString>, NulError> {
    env.iter()
        .map(|(name, value)| {
            let mut entry = name.clone().into_vec();
            entry.push(b'=');
            entry.extend(value.as_bytes());
            CString::new(entry)
        })
        .collect()
}

/// What to tell when no candidate could be executed: that one was found and refused is worth more
/// than that others were not there.
pub(super) fn outcome(failures: &[Errno]) -> Errno {
    let refused = failures.iter().find(|errno| !is_absence(**errno));
    refused.copied().unwrap_or(Errno::ENOENT)
}

/// Whether the next candidate may do better.
pub(super) fn is_worth_going_on(errno: Errno) -> bool {
    is_absence(errno) || errno == Errno::EACCES
}

fn is_absence(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(program: &str, path: Option<&str>) -> Vec<String> {
        let env: Vec<_> = path.map(|path| ("PATH".into(), path.into())).into_iter().collect();
        let found = candidates(OsStr::new(program), &env).unwrap();
        found.into_iter().map(|it| it.into_string().unwrap()).collect()
    }

    #[test]
    fn names_are_looked_up_in_the_path_and_paths_are_not() {
        assert_eq!(at("ls", Some("/a:/b")), ["/a/ls", "/b/ls"]);
        assert_eq!(at("ls", Some(":/b")), ["./ls", "/b/ls"]);
        assert_eq!(at("./ls", Some("/a")), ["./ls"]);
        assert_eq!(at("ls", None), ["/usr/local/bin/ls", "/usr/bin/ls", "/bin/ls"]);
        assert!(at("", Some("/a")).is_empty());
        assert!(candidates(OsStr::from_bytes(b"a\0"), &[]).is_err());
    }

    #[test]
    fn a_refusal_is_told_before_an_absence() {
        assert_eq!(outcome(&[]), Errno::ENOENT);
        assert_eq!(outcome(&[Errno::ENOENT, Errno::ENOTDIR]), Errno::ENOENT);
        assert_eq!(outcome(&[Errno::EACCES, Errno::ENOENT]), Errno::EACCES);
        assert!(is_worth_going_on(Errno::EACCES));
        assert!(!is_worth_going_on(Errno::ENOEXEC));
    }
}
