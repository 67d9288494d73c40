//! Makes a verdict of `freeze` or `kill` true for a whole call; one that is asked about stands still too.

use std::{fs, io, path::Path};

use ebpf_common::Verdict;

/// What was done to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Response {
    /// Its processes stand still.
    Frozen,
    /// Its processes are gone.
    Killed,
}

impl Response {
    /// The name in metrics.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Frozen => "freeze",
            Self::Killed => "kill",
        }
    }
}

/// Freezes or kills the call whose leaf is at `leaf`, where the verdict asks for it.
///
/// # Errors
///
/// When the cgroup refuses. A leaf that is gone has nothing left to stop.
pub(crate) fn respond(verdict: Verdict, leaf: &Path) -> io::Result<Option<Response>> {
    let (file, response) = match verdict {
        Verdict::Ask | Verdict::Freeze => ("cgroup.freeze", Response::Frozen),
        Verdict::Kill => ("cgroup.kill", Response::Killed),
        Verdict::Allow | Verdict::Audit | Verdict::Deny => return Ok(None),
    };
    match fs::write(leaf.join(file), "1") {
        Ok(()) => Ok(Some(response)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
