//! A wrapped command: any program, as call 1.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    time::Instant,
};

use journal::escape::escape;
use nix::errno::Errno;
use serde_json::json;

use crate::{
    call::{Ended, Process, nothing},
    collect::Stopped,
    hands::{HandsError, Work},
    session::{AgentEnd, How, Session, SessionError},
    tools::{self, OUTPUT_LIMIT_BYTES, ToolResult},
    watch::Admission,
};

/// The name under which a wrapped command stands in the transcript, as if it were a tool.
pub const COMMAND: &str = "command";

/// The exit code of a shell for a program that was not found.
const NOT_FOUND: i32 = 127;

/// The exit code of a shell for a program that was found and cannot be run.
const NOT_RUNNABLE: i32 = 126;

/// What a wrapped command reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing.
    Null,
    /// What the runner itself reads from.
    Inherited,
}

/// A program to run under watch.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program: a path, or a name to look up in the sandbox's `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What it reads from.
    pub stdin: Stdin,
}

impl Command {
    fn stdin(&self) -> io::Result<OwnedFd> {
        match self.stdin {
            Stdin::Null => nothing(),
            Stdin::Inherited => io::stdin().as_fd().try_clone_to_owned(),
        }
    }
}

impl Session<'_> {
    /// Runs a wrapped command to its end. What it writes goes to the progress as it comes, and up
    /// to [`OUTPUT_LIMIT_BYTES`] of each stream into the transcript.
    ///
    /// # Errors
    ///
    /// [`SessionError`] where the harness failed. A program that cannot be executed is no such
    /// failure: [`How::NotExecutable`].
    pub fn run_command(mut self, command: &Command) -> Result<AgentEnd, SessionError> {
        let words = |word: &OsString| escape(word.as_bytes()).into_owned();
        let arguments = json!({
            "program": words(&command.program),
            "arguments": command.arguments.iter().map(words).collect::<Vec<_>>(),
        });
        let call = self.begin(COMMAND, &arguments)?;
        let start = Instant::now();
        let admission = self.admit(call, COMMAND, &arguments)?;
        let executed = match admission {
            Admission::Granted => self.execute(call, command)?,
            Admission::Refused(message) => return self.not_begun(call, start, message),
            Admission::Cancelled => return self.finish(How::Cancelled),
        };
        let (result, how) = match executed {
            Ok(ended) => (tools::shell_result(ended.exit, &ended.collected), how(&ended)),
            Err(error) => {
                let message = error.to_string();
                let result = ToolResult {
                    ok: false,
                    value: json!({ "error": message, "exit_code": code(&error) }),
                };
                (result, How::NotExecutable { message, code: code(&error) })
            }
        };
        self.end(call, &result, start.elapsed())?;
        self.finish(how)
    }

    /// Ends with a command that was not let begin.
    fn not_begun(
        mut self,
        call: u64,
        start: Instant,
        message: String,
    ) -> Result<AgentEnd, SessionError> {
        self.end(call, &ToolResult::failed(&message), start.elapsed())?;
        self.finish(How::NotExecutable { message, code: NOT_RUNNABLE })
    }

    fn execute(
        &mut self,
        call: u64,
        command: &Command,
    ) -> Result<Result<Ended, HandsError>, SessionError> {
        let stdin = command.stdin().map_err(|source| SessionError::Output { call, source })?;
        self.run_process(
            call,
            COMMAND,
            Process {
                work: Work::Program {
                    program: command.program.clone(),
                    arguments: command.arguments.clone(),
                },
                stdin,
                limit_bytes: OUTPUT_LIMIT_BYTES,
                time: self.parts.limits.command_time,
                shown: true,
            },
        )
    }
}

fn how(ended: &Ended) -> How {
    match ended.stopped {
        Stopped::Exited => How::Exited(ended.exit),
        Stopped::TimedOut => How::OutOfTime,
        Stopped::Cancelled => How::Cancelled,
        Stopped::NotResumed => How::NotResumed,
    }
}

/// What a shell would exit with.
fn code(error: &HandsError) -> i32 {
    match error {
        HandsError::NotExecutable { errno: Errno::ENOENT, .. } => NOT_FOUND,
        _ => NOT_RUNNABLE,
    }
}
