//! What this host has of what a sandbox is made from.

use std::{fs, path::Path};

use caps::{CapSet, Capability};

/// The capabilities that the parts of a sandbox need, and for what.
const NEEDED: [(Capability, &str); 7] = [
    (Capability::CAP_SYS_ADMIN, "namespaces, Landlock for a whole run"),
    (Capability::CAP_SETUID, "the run's own user"),
    (Capability::CAP_SETGID, "the run's own group"),
    (Capability::CAP_SETPCAP, "dropping the bounding set"),
    (Capability::CAP_KILL, "ending the run's processes"),
    (Capability::CAP_CHOWN, "giving the workspace to the run"),
    (Capability::CAP_DAC_OVERRIDE, "reaching into the workspace"),
];

/// A privilege that a run needs is missing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivilegeError {
    /// Not root: cgroup and lock files belong to it.
    #[error(
        "needs root (this is user {uid}): cgroups, /run/belljar and the run's user are root's to give; use sudo"
    )]
    NotRoot {
        /// The effective user id.
        uid: u32,
    },
    /// Root without some of its capabilities.
    #[error(
        "root lacks {}: run outside the container, or give it these capabilities",
        list(missing)
    )]
    Missing {
        /// Their names and what for.
        missing: Vec<(String, &'static str)>,
    },
    /// They could not be read.
    #[error("cannot read this process's capabilities: {reason}")]
    Unreadable {
        /// The kernel's reason.
        reason: String,
    },
}

fn list(missing: &[(String, &'static str)]) -> String {
    let named = missing.iter().map(|(name, what)| format!("{name} ({what})"));
    named.collect::<Vec<_>>().join(", ")
}

/// Checks that this process may build a sandbox.
///
/// # Errors
///
/// [`PrivilegeError`] names what is missing and what for.
pub fn check_privilege() -> Result<(), PrivilegeError> {
    let uid = nix::unistd::geteuid();
    if !uid.is_root() {
        return Err(PrivilegeError::NotRoot { uid: uid.as_raw() });
    }
    let effective = caps::read(None, CapSet::Effective)
        .map_err(|error| PrivilegeError::Unreadable { reason: error.to_string() })?;
    let missing: Vec<_> = NEEDED
        .iter()
        .filter(|(capability, _)| !effective.contains(capability))
        .map(|(capability, what)| (capability.to_string(), *what))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(PrivilegeError::Missing { missing }) }
}

/// The version of Landlock's interface here; `None` where the kernel has no Landlock or boots
/// without it.
#[must_use]
pub fn landlock_abi() -> Option<u32> {
    crate::sys::landlock_abi().ok()
}

/// Whether the kernel takes seccomp filters (`CONFIG_SECCOMP_FILTER`).
#[must_use]
pub fn has_seccomp() -> bool {
    Path::new("/proc/sys/kernel/seccomp/actions_avail").exists()
        // Kernels without sysctl still say how many filters a process has.
        || fs::read_to_string("/proc/self/status").is_ok_and(|it| it.contains("Seccomp_filters:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_capability_is_named_with_its_purpose() {
        let error = PrivilegeError::Missing {
            missing: vec![("CAP_SETPCAP".into(), "dropping the bounding set")],
        };
        assert_eq!(
            error.to_string(),
            "root lacks CAP_SETPCAP (dropping the bounding set): run outside the container, or \
             give it these capabilities"
        );
    }
}
