//! Carries out what is asked for beside the tools: a program, a file's bytes.

use std::{io, io::Write as _, os::fd::OwnedFd, thread, time::Duration};

use super::{Exec, Fault, FaultKind, Outcome, Output, Read, Request, Write};
use crate::{
    call::{Ended, Process, nothing},
    collect::Stopped,
    hands::{HandsError, Work},
    session::{Session, SessionError},
    tools::{OUTPUT_LIMIT_BYTES, raw::Raw},
    watch::Admission,
};

impl Session<'_> {
    /// Carries out a call that has begun.
    pub(super) fn carry(
        &mut self,
        call: u64,
        request: &mut Request,
    ) -> Result<Outcome, SessionError> {
        let admission = match request {
            // It is asked about once it is known to be offered.
            Request::Tool { .. } => Admission::Granted,
            Request::Exec(_) | Request::Read(_) | Request::Write(_) => {
                self.admit(call, request.name(), &request.recorded())?
            }
        };
        let fault = match admission {
            Admission::Granted => None,
            Admission::Refused(why) => Some(Fault::new(FaultKind::Refused, why)),
            Admission::Cancelled => Some(Fault::new(FaultKind::Cancelled, self.cancelled)),
        };
        if let Some(fault) = fault {
            return Ok(Outcome::Failed(fault, None));
        }
        match request {
            Request::Tool { name, arguments } => {
                self.use_tool(call, name, arguments).map(Outcome::Tool)
            }
            Request::Exec(exec) => self.exec(call, exec),
            Request::Read(read) => self.read(call, read),
            Request::Write(write) => self.write(call, write),
        }
    }

    fn exec(&mut self, call: u64, exec: &mut Exec) -> Result<Outcome, SessionError> {
        let time = exec.time.unwrap_or(self.parts.limits.call_time);
        let work =
            Work::Program { program: exec.program.clone(), arguments: exec.arguments.clone() };
        let stdin = std::mem::take(&mut exec.stdin);
        let (ended, time) = match self.run(call, "exec", work, stdin, exec.limit_bytes, time)? {
            Ok(ended) => ended,
            Err(error) => return Ok(Outcome::Failed(unborn(&error), None)),
        };
        let fault = stopped(ended.stopped, time, self.cancelled);
        let output = output(ended);
        Ok(match fault {
            None => Outcome::Output(output),
            Some(fault) => Outcome::Failed(fault, Some(output)),
        })
    }

    fn read(&mut self, call: u64, read: &Read) -> Result<Outcome, SessionError> {
        let raw = Raw::read(&read.path, read.limit_bytes);
        // What the file has beyond the limit is told on the other stream.
        Ok(match self.file(call, "read", &raw, Vec::new(), read.limit_bytes)? {
            Ok(content) => Outcome::Content(content),
            Err(fault) => Outcome::Failed(fault, None),
        })
    }

    fn write(&mut self, call: u64, write: &mut Write) -> Result<Outcome, SessionError> {
        let raw = Raw::write(&write.path, write.append, write.parents);
        let content = std::mem::take(&mut write.content);
        let length = content.len();
        Ok(match self.file(call, "write", &raw, content, 0)? {
            Ok(_) => Outcome::Written(length),
            Err(fault) => Outcome::Failed(fault, None),
        })
    }

    /// Has a child in the sandbox read or write a file; gives back what it wrote.
    fn file(
        &mut self,
        call: u64,
        name: &str,
        raw: &Raw,
        stdin: Vec<u8>,
        limit_bytes: usize,
    ) -> Result<Result<Vec<u8>, Fault>, SessionError> {
        let work = Work::Task { payload: raw.payload() };
        let limit_bytes = limit_bytes.max(OUTPUT_LIMIT_BYTES);
        let time = self.parts.limits.call_time;
        let (ended, time) = match self.run(call, name, work, stdin, limit_bytes, time)? {
            Ok(ended) => ended,
            Err(error) => return Ok(Err(unborn(&error))),
        };
        if let Some(fault) = stopped(ended.stopped, time, self.cancelled) {
            return Ok(Err(fault));
        }
        if ended.exit == sandbox::Exit::Code(0) {
            return Ok(Ok(ended.collected.stdout.bytes));
        }
        // What comes out of the sandbox can be anything, whatever was sent in.
        let told = serde_json::from_slice(&ended.collected.stderr.bytes);
        let silent = || Fault::new(FaultKind::Failed, "it ended and did not say why");
        Ok(Err(told.unwrap_or_else(|_| silent())))
    }

    /// Runs a process that reads these bytes; tells how long it might run as well.
    fn run(
        &mut self,
        call: u64,
        name: &str,
        work: Work,
        stdin: Vec<u8>,
        limit_bytes: usize,
        time: Duration,
    ) -> Result<Result<(Ended, Duration), HandsError>, SessionError> {
        let time = self.time_left().map_or(time, |left| left.min(time));
        let stdin = feed(call, stdin).map_err(|source| SessionError::Output { call, source })?;
        let process = Process { work, stdin, limit_bytes, time: Some(time), shown: false };
        Ok(self.run_process(call, name, process)?.map(|ended| (ended, time)))
    }
}

/// Why a process did not end by itself.
fn stopped(stopped: Stopped, time: Duration, cancelled: &str) -> Option<Fault> {
    let kind = match stopped {
        Stopped::Exited => return None,
        Stopped::TimedOut => FaultKind::Timeout,
        Stopped::Cancelled => FaultKind::Cancelled,
        Stopped::NotResumed => FaultKind::NotResumed,
    };
    stopped.told(time, cancelled).map(|message| Fault::new(kind, message))
}

/// Why a process could not begin.
fn unborn(error: &HandsError) -> Fault {
    match error {
        HandsError::Directory { directory, errno } => {
            Fault::of_file("begin in", &directory.display().to_string(), *errno)
        }
        HandsError::NotExecutable { errno, .. } => Fault {
            errno: Some(format!("{errno:?}")),
            ..Fault::new(FaultKind::NotExecutable, error.to_string())
        },
        error => Fault::new(FaultKind::NotExecutable, error.to_string()),
    }
}

fn output(ended: Ended) -> Output {
    let Ended { exit, collected, .. } = ended;
    Output {
        exit,
        stdout: collected.stdout.bytes,
        stdout_truncated: collected.stdout.truncated,
        stderr: collected.stderr.bytes,
        stderr_truncated: collected.stderr.truncated,
    }
}

/// A standard input with these bytes in it. A thread writes them, since a pipe holds few; it ends with
/// the last reader.
fn feed(call: u64, bytes: Vec<u8>) -> io::Result<OwnedFd> {
    if bytes.is_empty() {
        return nothing();
    }
    let (reader, mut writer) = io::pipe()?;
    thread::Builder::new().name(format!("stdin-{call}")).spawn(move || {
        // A reader that has read enough is no error.
        let _ = writer.write_all(&bytes);
    })?;
    Ok(reader.into())
}
