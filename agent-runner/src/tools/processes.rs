//! `list_processes`, `process_info` and `read_environment`: tier 1, from `/proc`.
//!
//! A process names itself: its command name and arguments are any bytes that it likes, so files of
//! `/proc` are read as bytes and parsed here.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use journal::escape::escape;
use nix::{
    errno::Errno,
    unistd::{SysconfVar, sysconf},
};
use serde_json::{Value, json};

use super::{OUTPUT_LIMIT_BYTES, ToolError, argument::arguments, result::Act};

/// Most bytes of a command line in a list of processes.
const LISTED_COMMAND_LINE_BYTES: usize = 4096;

/// What an item of the list weighs beside its strings, in bytes, rounded up.
pub(super) const ITEM_WEIGHT_BYTES: usize = 128;

arguments! {
    /// Arguments of `list_processes`.
    ListProcesses {}
}

arguments! {
    /// Arguments of `process_info`.
    ProcessInfo {
        /// The process, by its thread group.
        tgid: i32,
        /// Whether to read its environment too.
        environment: Option<bool>,
    }
}

arguments! {
    /// Arguments of `read_environment`.
    ReadEnvironment {
        /// The process, by its thread group.
        tgid: i32,
    }
}

/// What `/proc/TGID/stat` says: see proc_pid_stat(5).
#[derive(Debug, PartialEq)]
struct Stat {
    comm: Vec<u8>,
    state: char,
    ppid: i64,
    user_ticks: u64,
    system_ticks: u64,
    threads: i64,
    resident_pages: u64,
}

impl Stat {
    /// Reads the line. The command name is between the first and the last parenthesis, whatever is in it.
    fn parse(line: &[u8]) -> Option<Self> {
        let open = line.iter().position(|&byte| byte == b'(')?;
        let close = line.iter().rposition(|&byte| byte == b')')?;
        let comm = line.get(open + 1..close)?.to_vec();
        let rest = std::str::from_utf8(line.get(close + 1..)?).ok()?;
        // Field 3 of the manual page is the first after the name.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            comm,
            state: field(3)?.chars().next()?,
            ppid: field(4)?.parse().ok()?,
            user_ticks: field(14)?.parse().ok()?,
            system_ticks: field(15)?.parse().ok()?,
            threads: field(20)?.parse().ok()?,
            resident_pages: field(24)?.parse().ok()?,
        })
    }
}

/// The files of one process.
pub(super) struct Process {
    tgid: i32,
    pub(super) directory: PathBuf,
}

impl Process {
    /// A process that is there now.
    pub(super) fn existing(tgid: i32) -> Result<Self, ToolError> {
        if tgid <= 0 {
            return Err(ToolError::Tgid(tgid));
        }
        let process = Self::new(tgid);
        process.stat()?;
        Ok(process)
    }

    fn new(tgid: i32) -> Self {
        Self { tgid, directory: Path::new("/proc").join(tgid.to_string()) }
    }

    pub(super) fn object(&self) -> String {
        format!("process {}", self.tgid)
    }

    fn stat(&self) -> Result<Stat, ToolError> {
        let line = fs::read(self.directory.join("stat")).map_err(|error| {
            // No such file means no such process, and that is what a person calls it.
            if error.kind() == io::ErrorKind::NotFound {
                io::Error::from(Errno::ESRCH)
            } else {
                error
            }
        });
        let line = line.act("look at", &self.object())?;
        Stat::parse(&line)
            .ok_or_else(|| ToolError::Form { action: "look at", object: self.object() })
    }

    /// Who owns it: the effective user.
    fn uid(&self) -> Option<u32> {
        fs::metadata(&self.directory).ok().map(|metadata| metadata.uid())
    }

    /// Its arguments, each ended by a zero byte; empty for a kernel thread.
    fn command_line(&self) -> Option<Vec<u8>> {
        fs::read(self.directory.join("cmdline")).ok()
    }

    pub(super) fn link(&self, name: &str) -> Option<String> {
        let target = fs::read_link(self.directory.join(name)).ok()?;
        Some(text(target.as_os_str().as_bytes()))
    }
}

/// Bytes that a process chose, as text that hides and loses nothing.
fn text(bytes: &[u8]) -> String {
    escape(bytes).into_owned()
}

/// The arguments as one line, parted by spaces.
fn joined(command_line: &[u8]) -> Vec<u8> {
    let end = command_line.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    command_line[..end].iter().map(|&byte| if byte == 0 { b' ' } else { byte }).collect()
}

/// Lists all processes that `/proc` shows, by thread group.
pub(crate) fn list_processes(_: &ListProcesses) -> Result<Value, ToolError> {
    let mut tgids = Vec::new();
    for entry in fs::read_dir("/proc").act("list", "/proc")? {
        let name = entry.act("list", "/proc")?.file_name();
        tgids.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    tgids.sort_unstable();

    let mut processes = Vec::new();
    let mut truncated = false;
    let mut weight_bytes = 0;
    for tgid in tgids {
        let process = Process::new(tgid);
        // It may have ended since the directory was read.
        let Ok(stat) = process.stat() else { continue };
        let mut command_line = joined(&process.command_line().unwrap_or_default());
        if command_line.len() > LISTED_COMMAND_LINE_BYTES {
            command_line.truncate(LISTED_COMMAND_LINE_BYTES);
            truncated = true;
        }
        let command_line = escape(&command_line);
        weight_bytes += command_line.len() + ITEM_WEIGHT_BYTES;
        if weight_bytes > OUTPUT_LIMIT_BYTES {
            truncated = true;
            break;
        }
        processes.push(json!({
            "tgid": tgid,
            "ppid": stat.ppid,
            "uid": process.uid(),
            "comm": escape(&stat.comm),
            "command_line": command_line,
            "state": stat.state,
        }));
    }
    Ok(json!({ "processes": processes, "truncated": truncated }))
}

/// Tells what is known of one process; what the kernel refuses is `null`.
pub(crate) fn process_info(arguments: &ProcessInfo) -> Result<Value, ToolError> {
    let process = Process::existing(arguments.tgid)?;
    let stat = process.stat()?;
    let wanted = arguments.environment.unwrap_or(false);
    let environment = wanted.then(|| environment(&process).ok());
    Ok(json!({
        "tgid": process.tgid,
        "ppid": stat.ppid,
        "uid": process.uid(),
        "comm": escape(&stat.comm),
        "command_line": process.command_line().map(|bytes| text(&joined(&bytes))),
        "state": stat.state,
        "threads": stat.threads,
        "exe": process.link("exe"),
        "cwd": process.link("cwd"),
        "cgroup": fs::read(process.directory.join("cgroup")).ok().map(|bytes| text(bytes.trim_ascii_end())),
        "resident_bytes": configured(SysconfVar::PAGE_SIZE).map(|page| page * stat.resident_pages),
        "cpu_seconds": configured(SysconfVar::CLK_TCK)
            .map(|ticks| (stat.user_ticks + stat.system_ticks) as f64 / ticks as f64),
        "environment": environment.flatten(),
    }))
}

/// Tells with which environment a process began.
pub(crate) fn read_environment(arguments: &ReadEnvironment) -> Result<Value, ToolError> {
    let process = Process::existing(arguments.tgid)?;
    let mut environment =
        environment(&process).act("read the environment of", &process.object())?;
    let mut weight_bytes = 0;
    let fitting = environment.iter().take_while(|entry| {
        weight_bytes += entry.len();
        weight_bytes <= OUTPUT_LIMIT_BYTES
    });
    let fitting = fitting.count();
    let truncated = fitting < environment.len();
    environment.truncate(fitting);
    Ok(json!({ "environment": environment, "truncated": truncated }))
}

/// The environment as the process got it, `NAME=value` each.
fn environment(process: &Process) -> io::Result<Vec<String>> {
    let bytes = fs::read(process.directory.join("environ"))?;
    Ok(bytes.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()).map(text).collect())
}

pub(super) fn configured(variable: SysconfVar) -> Option<u64> {
    sysconf(variable).ok().flatten().and_then(|value| u64::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_and_bytes_does_not_shift_the_fields() {
        let line =
            b"42 (a) R 1 (\xff) S 7 42 42 0 -1 4194304 1 2 3 4 50 60 0 0 20 0 3 0 99 4096 12 18";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(stat.comm, b"a) R 1 (\xff");
        assert_eq!((stat.state, stat.ppid, stat.threads), ('S', 7, 3));
        assert_eq!((stat.user_ticks, stat.system_ticks, stat.resident_pages), (50, 60, 12));
    }

    #[test]
    fn a_line_that_is_cut_is_no_process() {
        for line in [&b""[..], b"42", b"42 (a", b"42 )(", b"42 (a) S 7"] {
            assert_eq!(Stat::parse(line), None);
        }
    }
}
