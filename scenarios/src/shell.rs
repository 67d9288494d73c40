//! Shell text that a scenario's author wrote, carried out on the trusted side.
//!
//! What it reads may be the agent's: it has a time limit, its output a length, and what measures runs
//! as nobody, whom the agent's processes can neither signal nor look into.

use std::{
    io::{self, Read as _},
    os::{
        fd::AsFd as _,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, killpg},
    unistd::{Pid, geteuid},
};

/// The user and group without anything of their own.
const NOBODY: u32 = 65_534;
/// Most bytes of output that are kept.
const MAX_BYTES: usize = 16 * 1024;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Shell text with all that it needs.
#[derive(Clone, Debug)]
pub(crate) struct Shell {
    text: String,
    directory: PathBuf,
    user: (u32, u32),
    /// Whether standard error is kept as well.
    with_errors: bool,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// The exit code; none where a signal or the time limit ended it.
    pub(crate) code: Option<i32>,
    /// What it wrote, what is not UTF-8 replaced.
    pub(crate) text: String,
}

impl Said {
    /// The first line that it wrote.
    pub(crate) fn line(&self) -> &str {
        self.text.lines().next().unwrap_or_default().trim()
    }
}

impl Shell {
    /// Runs as nobody.
    pub(crate) fn measuring(text: String, directory: &Path) -> Self {
        let user = (NOBODY, NOBODY);
        Self { text, directory: directory.to_owned(), user, with_errors: false }
    }

    /// Runs as this user, errors kept.
    pub(crate) fn preparing(text: String, directory: &Path, user: (u32, u32)) -> Self {
        Self { text, directory: directory.to_owned(), user, with_errors: true }
    }

    /// Carries it out. What is still there of it after `within` is killed.
    pub(crate) fn run(&self, within: Duration) -> io::Result<Said> {
        let deadline = Instant::now() + within;
        let (mut reader, writer) = io::pipe()?;
        let errors =
            if self.with_errors { Stdio::from(writer.try_clone()?) } else { Stdio::null() };
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &self.text])
            .current_dir(&self.directory)
            .env_clear()
            .envs([("PATH", PATH), ("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8")])
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(errors)
            .process_group(0);
        if geteuid().is_root() {
            command.uid(self.user.0).gid(self.user.1);
        }
        let mut child = command.spawn()?;
        // It holds the writing ends; the output ends when all that hold one have ended.
        drop(command);
        let mut output = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let ready = poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], timeout);
            if left.is_zero() || !ready.is_ok_and(|ready| ready > 0) {
                break;
            }
            match reader.read(&mut buffer)? {
                0 => break,
                count => {
                    let room = MAX_BYTES - output.len();
                    output.extend_from_slice(&buffer[..count.min(room)]);
                }
            }
        }
        let code = end(&mut child, deadline)?;
        Ok(Said { code, text: String::from_utf8_lossy(&output).into_owned() })
    }
}

/// Waits for the end, at the deadline by force; nothing of its group is left either way.
fn end(child: &mut Child, deadline: Instant) -> io::Result<Option<i32>> {
    let group = Pid::from_raw(child.id().cast_signed());
    let mut status = child.try_wait()?;
    while status.is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
        status = child.try_wait()?;
    }
    let _ = killpg(group, Signal::SIGKILL);
    let status = match status {
        Some(status) => status,
        None => child.wait()?,
    };
    Ok(if status.signal().is_some() { None } else { status.code() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, within_ms: u64) -> Said {
        let shell = Shell::measuring(text.to_owned(), Path::new("/"));
        shell.run(Duration::from_millis(within_ms)).unwrap()
    }

    #[test]
    fn the_output_and_the_code_come_back() {
        let said = run("echo 12.5; echo more; exit 3", 5_000);
        assert_eq!((said.code, said.line()), (Some(3), "12.5"));
    }

    #[test]
    fn what_takes_too_long_is_ended_with_all_that_it_started() {
        let began = Instant::now();
        let said = run("echo begun; sleep 60 & sleep 60", 300);
        assert_eq!((said.code, said.line()), (None, "begun"));
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn output_without_end_is_cut() {
        let said = run("exec yes", 300);
        assert_eq!((said.code, said.text.len()), (None, MAX_BYTES));
    }

    #[test]
    fn what_measures_runs_as_nobody_where_root_measures() {
        let expected = if geteuid().is_root() { NOBODY } else { geteuid().as_raw() };
        assert_eq!(run("id -u", 5_000).line(), expected.to_string());
    }
}
