//! `set_priority` and `set_affinity`: tier 2.
//!
//! To the kernel both are of a thread. A process is meant, so each of its threads is set.

use std::fs;

use nix::{
    errno::Errno,
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use serde_json::{Value, json};

use super::{ToolError, argument::arguments, processes::Process, result::Act};

arguments! {
    /// Arguments of `set_priority`.
    SetPriority {
        /// The process, by its thread group.
        tgid: i32,
        /// The nice value, from -20 (first served) to 19 (last served).
        nice: i32,
    }
}

arguments! {
    /// Arguments of `set_affinity`.
    SetAffinity {
        /// The process, by its thread group.
        tgid: i32,
        /// The processors that it may run on, by number.
        cpus: Vec<u32>,
    }
}

/// Sets the nice value of a process.
pub(crate) fn set_priority(arguments: &SetPriority) -> Result<Value, ToolError> {
    let SetPriority { tgid, nice } = *arguments;
    if !(-20..=19).contains(&nice) {
        // The kernel would take the nearest and say nothing.
        return Err(ToolError::Range { argument: "nice", range: "-20 to 19" });
    }
    each_thread(tgid, "set the priority of", |tid| {
        let tid = rustix::process::Pid::from_raw(tid.as_raw());
        rustix::process::setpriority_process(tid, nice)
            .map_err(|errno| Errno::from_raw(errno.raw_os_error()))
    })
}

/// Sets the processors that a process may run on.
pub(crate) fn set_affinity(arguments: &SetAffinity) -> Result<Value, ToolError> {
    let mut cpus = CpuSet::new();
    for &cpu in &arguments.cpus {
        let known = usize::try_from(cpu).is_ok_and(|cpu| cpus.set(cpu).is_ok());
        if !known {
            return Err(ToolError::Range { argument: "cpus", range: "a list of processors" });
        }
    }
    each_thread(arguments.tgid, "set the processors of", |tid| sched_setaffinity(tid, &cpus))
}

/// Sets something of each thread. One that is gone by its turn does not count; another failure
/// ends it, and the threads before it stay set.
fn each_thread(
    tgid: i32,
    action: &'static str,
    set: impl Fn(Pid) -> nix::Result<()>,
) -> Result<Value, ToolError> {
    let process = Process::existing(tgid)?;
    let object = process.object();
    let mut threads = 0;
    for entry in fs::read_dir(process.directory.join("task")).act("look at", &object)? {
        let name = entry.act("look at", &object)?.file_name();
        let Some(tid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        match set(Pid::from_raw(tid)) {
            Err(Errno::ESRCH) => {}
            result => {
                result.act(action, &object)?;
                threads += 1;
            }
        }
    }
    if threads == 0 {
        Err(Errno::ESRCH).act(action, &object)?;
    }
    Ok(json!({ "threads": threads }))
}
