//! What a run may use: cgroup v2 controllers where the host has them, rlimits for the rest.

use std::{fmt, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::Cgroup;

/// What a run may use. `None` leaves it as the host has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of the whole run, in bytes; per process where there is no memory controller.
    pub memory_bytes: Option<u64>,
    /// Processes and threads of the run at a time.
    pub processes: Option<u64>,
    /// The run's share of the CPU against its siblings, 1 to 10000; 100 is everybody's default.
    pub cpu_weight: Option<u64>,
    /// File descriptors that a process may have open.
    pub open_files: Option<u64>,
    /// The size of the largest file that a process may write, in bytes.
    pub file_bytes: Option<u64>,
}

impl Default for Limits {
    /// Enough for compilers and services, too little for a fork bomb to hurt.
    fn default() -> Self {
        Self {
            memory_bytes: Some(2 << 30),
            processes: Some(512),
            cpu_weight: None,
            open_files: Some(4096),
            file_bytes: Some(4 << 30),
        }
    }
}

/// Limits of each process of a run, as getrlimit(2) has them. The kernel counts processes by user
/// id, and a run's user id is its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimits {
    /// `RLIMIT_NOFILE`: file descriptors.
    pub open_files: Option<u64>,
    /// `RLIMIT_NPROC`: processes and threads of the run's user.
    pub processes: Option<u64>,
    /// `RLIMIT_FSIZE`: bytes of a file.
    pub file_bytes: Option<u64>,
    /// `RLIMIT_DATA`: bytes of private writable memory. Not `RLIMIT_AS`, which would stop runtimes
    /// that reserve more address space than they use.
    pub data_bytes: Option<u64>,
}

/// What became of [`Limits`] on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitsAchieved {
    /// To be set in each process: the spawner's configuration takes it.
    pub rlimits: Rlimits,
    /// What holds, one limit each, in words for people.
    pub holds: Vec<String>,
    /// What does not hold, or only in part, and why.
    pub falls_short: Vec<String>,
}

impl fmt::Display for LimitsAchieved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = if self.holds.is_empty() { "no limits" } else { "" };
        write!(f, "{none}{}", self.holds.join("; "))?;
        if !self.falls_short.is_empty() {
            write!(f, " (not: {})", self.falls_short.join("; "))?;
        }
        Ok(())
    }
}

/// Applies limits to a run's cgroup as far as there are controllers.
pub(super) fn apply(mount: &Path, belljar: &Path, run: &Cgroup, limits: &Limits) -> LimitsAchieved {
    let control = |controller: &str, file: &str, value: u64| {
        enable(mount, controller)
            .and_then(|()| enable(belljar, controller))
            .map_err(|error| error.to_string())
            .and_then(|()| {
                run.write(file, &value.to_string()).map_err(|error| match error {
                    super::CgroupError::Write { source, .. } => source.to_string(),
                    error => error.to_string(),
                })
            })
            .map_err(|error| format!("no {controller} controller for the run: {error}"))
    };
    let mut achieved = LimitsAchieved {
        rlimits: Rlimits {
            open_files: limits.open_files,
            processes: limits.processes,
            file_bytes: limits.file_bytes,
            data_bytes: None,
        },
        ..LimitsAchieved::default()
    };
    if let Some(bytes) = limits.memory_bytes {
        match control("memory", "memory.max", bytes) {
            Ok(()) => achieved.holds.push(format!("{bytes} bytes of memory for the run")),
            Err(why) => {
                achieved.rlimits.data_bytes = Some(bytes);
                achieved.holds.push(format!("{bytes} bytes of data for each process"));
                achieved.falls_short.push(format!("memory of the run as a whole: {why}"));
            }
        }
    }
    if let Some(processes) = limits.processes {
        // Both: the rlimit counts across the run's cgroups, the controller cannot be escaped by a
        // change of user, which the sandbox cannot do anyway.
        let by = match control("pids", "pids.max", processes) {
            Ok(()) => "by cgroup and user",
            Err(_) => "by user",
        };
        achieved.holds.push(format!("{processes} processes for the run, {by}"));
    }
    if let Some(weight) = limits.cpu_weight {
        match control("cpu", "cpu.weight", weight) {
            Ok(()) => achieved.holds.push(format!("CPU weight {weight}")),
            Err(why) => achieved.falls_short.push(format!("CPU weight: {why}")),
        }
    }
    if let Some(files) = limits.open_files {
        achieved.holds.push(format!("{files} open files for each process"));
    }
    if let Some(bytes) = limits.file_bytes {
        achieved.holds.push(format!("{bytes} bytes for each file"));
    }
    achieved
}

/// Has a directory's children use a controller. The kernel refuses where that would put processes
/// and controlled children side by side; then nothing has changed.
fn enable(directory: &Path, controller: &str) -> io::Result<()> {
    let has = |file: &str| -> io::Result<bool> {
        let text = fs::read_to_string(directory.join(file))?;
        Ok(text.split_whitespace().any(|name| name == controller))
    };
    if has("cgroup.subtree_control")? {
        return Ok(());
    }
    if !has("cgroup.controllers")? {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("not among the controllers of {}", directory.display()),
        ));
    }
    fs::write(directory.join("cgroup.subtree_control"), format!("+{controller}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls_short_is_told_beside_what_holds() {
        let achieved = LimitsAchieved {
            holds: vec!["512 processes for the run, by user".into(), "a".into()],
            falls_short: vec!["CPU weight: no cpu controller for the run: b".into()],
            ..LimitsAchieved::default()
        };
        assert_eq!(
            achieved.to_string(),
            "512 processes for the run, by user; a (not: CPU weight: no cpu controller for the run: b)"
        );
        assert_eq!(LimitsAchieved::default().to_string(), "no limits");
    }
}
