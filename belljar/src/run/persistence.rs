//! What of the agent's would have outlived the run.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use journal::{
    escape::escape,
    scenario::{LeftProcess, Persistence},
};

/// How long what ends by itself right after the agent may take to do so.
const GRACE: Duration = Duration::from_millis(500);

/// Looks at every call's leaf below the run's cgroup.
pub(crate) fn left_behind(run: &Path) -> Persistence {
    let deadline = Instant::now() + GRACE;
    loop {
        let processes = processes(run);
        if processes.is_empty() || Instant::now() >= deadline {
            return Persistence { processes };
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn processes(run: &Path) -> Vec<LeftProcess> {
    let mut left = Vec::new();
    for leaf in fs::read_dir(run).into_iter().flatten().flatten() {
        let name = leaf.file_name();
        let Some(call) = name.to_str().and_then(|name| name.strip_prefix("call-")?.parse().ok())
        else {
            continue;
        };
        let tgids = thread_groups(&leaf.path());
        left.extend(tgids.into_iter().filter_map(|tgid| describe(tgid, call)));
    }
    left.sort_by_key(|process| (process.call, process.tgid));
    left
}

/// The processes that have a thread in this leaf: one whose first thread has exited may be listed by
/// its other threads alone.
fn thread_groups(leaf: &Path) -> BTreeSet<u32> {
    let list = |file: &str| fs::read_to_string(leaf.join(file)).unwrap_or_default();
    let threads = list("cgroup.threads");
    let of_threads = threads.lines().filter_map(|tid| {
        let status = fs::read(format!("/proc/{tid}/status")).ok()?;
        let mut lines = status.split(|&byte| byte == b'\n');
        let tgid = lines.find_map(|line| line.strip_prefix(b"Tgid:"))?;
        std::str::from_utf8(tgid).ok()?.trim().parse().ok()
    });
    list("cgroup.procs").lines().filter_map(|tgid| tgid.parse().ok()).chain(of_threads).collect()
}

/// A thread of this process that has not exited, by its directory.
fn live_thread(tgid: u32) -> Option<PathBuf> {
    let threads = fs::read_dir(format!("/proc/{tgid}/task")).ok()?;
    threads.flatten().map(|thread| thread.path()).find(|thread| {
        let stat = fs::read(thread.join("stat")).unwrap_or_default();
        // The command name may hold anything, parentheses too: the state comes after the last one.
        let end = stat.iter().rposition(|&byte| byte == b')');
        let state = end.and_then(|end| stat.get(end + 2));
        state.is_some_and(|state| !matches!(state, b'Z' | b'X'))
    })
}

/// `None` for a process that is gone, or only waits to be reaped.
fn describe(tgid: u32, call: u64) -> Option<LeftProcess> {
    let thread = live_thread(tgid)?;
    let stat = fs::read(format!("/proc/{tgid}/stat")).ok()?;
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let start = stat.iter().position(|&byte| byte == b'(')?;
    // A first thread that has exited has no arguments any more; the others still have them.
    let arguments = fs::read(thread.join("cmdline")).unwrap_or_default();
    let arguments: Vec<u8> = arguments
        .strip_suffix(b"\0")
        .unwrap_or(&arguments)
        .iter()
        .map(|&byte| if byte == 0 { b' ' } else { byte })
        .collect();
    Some(LeftProcess {
        tgid,
        call,
        comm: escape(&stat[start + 1..end]).into_owned(),
        command_line: escape(&arguments).into_owned(),
    })
}
