//! What of the agent's would have outlived the run.

use std::{
    fs,
    path::Path,
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
        let list = fs::read_to_string(leaf.path().join("cgroup.procs")).unwrap_or_default();
        left.extend(list.lines().filter_map(|tgid| describe(tgid.parse().ok()?, call)));
    }
    left.sort_by_key(|process| (process.call, process.tgid));
    left
}

/// `None` for a process that is gone, or only waits to be reaped.
fn describe(tgid: u32, call: u64) -> Option<LeftProcess> {
    let stat = fs::read(format!("/proc/{tgid}/stat")).ok()?;
    // The command name may hold anything, parentheses too: the state comes after the last one.
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    if matches!(stat.get(end + 2), Some(b'Z' | b'X')) {
        return None;
    }
    let start = stat.iter().position(|&byte| byte == b'(')?;
    let arguments = fs::read(format!("/proc/{tgid}/cmdline")).unwrap_or_default();
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
