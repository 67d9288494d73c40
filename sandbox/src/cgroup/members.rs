//! SIGKILL for the processes of a cgroup, each on its own.
//!
//! `cgroup.kill` signals the first thread of each process. Where that thread has exited while another
//! lives, the signal is lost: it is sent to the thread and not to its group (`__cgroup_kill`,
//! kernel/cgroup/cgroup.c; seen on Linux 6.12 and 6.18). A signal to the process ends it all the same.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    os::fd::AsFd,
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, open, openat},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

/// Processes by their first thread, and threads: a process may have a thread here and its first one
/// elsewhere.
const LISTS: [&str; 2] = ["cgroup.procs", "cgroup.threads"];

/// Sends SIGKILL to each process that has a thread in this cgroup. One that is gone meanwhile is no
/// fault, and a number that another process has got meanwhile is never signalled.
pub(super) fn kill_each(cgroup: &Path) {
    let mut killed = BTreeSet::new();
    for file in LISTS {
        let list = cgroup.join(file);
        for tid in listed(&list) {
            let _ = kill_process_of(tid, &list, &mut killed);
        }
    }
}

/// The numbers in a list. A threaded cgroup has no list of processes; 0 stands for a process of
/// another pid namespace.
fn listed(list: &Path) -> Vec<i32> {
    let text = fs::read_to_string(list).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|tid| *tid > 0).collect()
}

/// `None` when it was not signalled.
fn kill_process_of(tid: i32, list: &Path, killed: &mut BTreeSet<i32>) -> Option<()> {
    // The directory stands for this thread alone: once the thread is gone, it has no files, whoever
    // has the number then.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let thread = open(format!("/proc/{tid}"), flags, Mode::empty()).ok()?;
    if !listed(list).contains(&tid) {
        return None;
    }
    let tgid = thread_group(&thread)?;
    if !killed.insert(tgid) {
        return None;
    }
    let process = pidfd_open(Pid::from_raw(tgid)?, PidfdFlags::empty()).ok()?;
    // Its thread is still there, so nobody else had the group's number when it was opened.
    thread_group(&thread).filter(|same| *same == tgid)?;
    pidfd_send_signal(process, Signal::KILL).ok()
}

/// `Tgid:` of proc_pid_status(5).
fn thread_group(thread: impl AsFd) -> Option<i32> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut text = Vec::new();
    let file = openat(thread, "status", flags, Mode::empty()).ok()?;
    File::from(file).read_to_end(&mut text).ok()?;
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Tgid:"))?;
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}
