//! One tool call: leaf, watcher, process, result.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use journal::{Entry, Tier, transcript::Event};
use nix::sys::signal::Signal;
use sandbox::Exit;
use serde_json::{Value, json};

use crate::{
    collect::{Collected, Collector, FinishError, Stopped},
    frozen::{CallTime, Frozen, LOOK, Over},
    hands::{HandsError, Work, signal_name},
    session::{DEATH_LIMIT, Session, SessionError, SessionParts, boot_ns},
    tools::{self, OUTPUT_LIMIT_BYTES, SubmitReport, Tool, ToolResult, Way},
    watch::{Admission, Progress, Transcript},
};

/// How the process of a call is to be run.
pub(crate) struct Process {
    pub(crate) work: Work,
    pub(crate) stdin: OwnedFd,
    /// Most bytes that are kept of each stream.
    pub(crate) limit_bytes: usize,
    /// How long it may run.
    pub(crate) time: Option<Duration>,
    /// Whether what it writes is shown while it runs.
    pub(crate) shown: bool,
}

/// The process of a call, after its end.
pub(crate) struct Ended {
    pub(crate) stopped: Stopped,
    pub(crate) exit: Exit,
    pub(crate) collected: Collected,
}

/// The tool, if a run of the tier is offered one of this name that takes these arguments; else what
/// the agent is told.
fn offered(name: &str, tier: Tier, arguments: &Value) -> Result<&'static Tool, ToolResult> {
    let tool = Tool::named(name)
        .ok_or_else(|| ToolResult::failed(&format!("there is no tool `{name}`")))?;
    if !tool.is_offered_at(tier) {
        let error = format!("`{name}` is not a tool of tier {}", tier.number());
        return Err(ToolResult::failed(&error));
    }
    tool.check(arguments).map_err(|error| ToolResult::from(Err(error)))?;
    Ok(tool)
}

impl Session<'_> {
    /// Makes one call of a tool, whether it exists or not.
    pub(crate) fn call(
        &mut self,
        name: &str,
        arguments: &Value,
    ) -> Result<ToolResult, SessionError> {
        let call = self.begin(name, arguments)?;
        let start = Instant::now();
        let result = self.use_tool(call, name, arguments)?;
        self.end(call, &result, start.elapsed())?;
        Ok(result)
    }

    /// Does what a call that has begun asks of a tool.
    pub(crate) fn use_tool(
        &mut self,
        call: u64,
        name: &str,
        arguments: &Value,
    ) -> Result<ToolResult, SessionError> {
        match offered(name, self.parts.tier, arguments) {
            Ok(tool) => match self.admit(call, name, arguments)? {
                Admission::Granted => self.carry_out(call, tool, arguments),
                Admission::Refused(why) => Ok(ToolResult::failed(&why)),
                Admission::Cancelled => Ok(ToolResult::failed(self.cancelled)),
            },
            Err(refusal) => Ok(refusal),
        }
    }

    /// Puts a call on record that cannot be made: its arguments are no JSON.
    pub(crate) fn malformed(
        &mut self,
        name: &str,
        arguments: String,
        error: &str,
    ) -> Result<ToolResult, SessionError> {
        let call = self.begin(name, &Value::String(arguments))?;
        let result = ToolResult::failed(error);
        self.end(call, &result, Duration::ZERO)?;
        Ok(result)
    }

    /// Asks whether a call may begin. The agent's time stands still while somebody thinks about it.
    pub(crate) fn admit(
        &mut self,
        call: u64,
        tool: &str,
        arguments: &Value,
    ) -> Result<Admission, SessionError> {
        let asked = Instant::now();
        let SessionParts { watcher, cancel, .. } = &mut self.parts;
        let admission = watcher
            .admit(call, tool, arguments, cancel)
            .map_err(|source| SessionError::Watch { call, source })?;
        self.deadline = self.deadline.map(|deadline| deadline + asked.elapsed());
        Ok(admission)
    }

    fn carry_out(
        &mut self,
        call: u64,
        tool: &Tool,
        arguments: &Value,
    ) -> Result<ToolResult, SessionError> {
        let (work, limit_bytes) = match tool.way {
            Way::Report => {
                return Ok(match tools::typed::<SubmitReport>(arguments) {
                    Ok(report) => {
                        self.declared = report.into();
                        ToolResult { ok: true, value: json!({}) }
                    }
                    Err(error) => ToolResult::from(Err(error)),
                });
            }
            Way::Shell => match tools::typed::<tools::Shell>(arguments) {
                Ok(shell) => (shell.work(), OUTPUT_LIMIT_BYTES),
                Err(error) => return Ok(ToolResult::from(Err(error))),
            },
            Way::Task(_) => {
                let payload = tools::payload(tool, arguments);
                (Work::Task { payload }, tools::RESULT_LIMIT_BYTES)
            }
        };
        let time = self.parts.limits.call_time;
        let time = self.time_left().map_or(time, |left| left.min(time));
        let stdin = nothing().map_err(|source| SessionError::Output { call, source })?;
        let process = Process { work, stdin, limit_bytes, time: Some(time), shown: false };
        Ok(match self.run_process(call, tool.name, process)? {
            Ok(ended) => result(tool, &ended, time, self.cancelled),
            Err(not_executable) => ToolResult::failed(&not_executable.to_string()),
        })
    }

    /// Makes the leaf, has it watched, starts the process and waits for its end. The inner error is
    /// that of a program that cannot be executed, which is the agent's affair.
    pub(crate) fn run_process(
        &mut self,
        call: u64,
        tool: &str,
        process: Process,
    ) -> Result<Result<Ended, HandsError>, SessionError> {
        let failed = |source| SessionError::Hands { call, source };
        let output = |source| SessionError::Output { call, source };
        let unwatched = |source| SessionError::Watch { call, source };
        let SessionParts { hands, watcher, progress, cancel, transcript, limits, .. } =
            &mut self.parts;

        let leaf_id = hands.make_leaf(call).map_err(failed)?;
        watcher.call_started(call, leaf_id, tool).map_err(unwatched)?;
        // After its leaf is there: whoever freezes the run from here on freezes that.
        if hands.is_held() {
            note(*transcript, format!("the run is frozen: call {call} waits"))?;
            let held = Instant::now();
            while hands.is_held() && !cancel.wait(LOOK).map_err(SessionError::Wait)? {}
            self.deadline = self.deadline.map(|deadline| deadline + held.elapsed());
            if cancel.is_cancelled() {
                watcher.call_ended(call, false).map_err(unwatched)?;
                return Ok(Ok(Ended::never_begun()));
            }
            note(*transcript, format!("call {call} goes on"))?;
        }

        let (stdout, stdout_end) = io::pipe().map_err(output)?;
        let (stderr, stderr_end) = io::pipe().map_err(output)?;
        let mut time = CallTime::new(process.time, limits.frozen_time, Instant::now());
        let stdio = [process.stdin, stdout_end.into(), stderr_end.into()];
        let running = match hands.start(call, process.work, stdio) {
            Ok(tgid) => tgid,
            Err(
                error @ (HandsError::NotExecutable { .. }
                | HandsError::Directory { .. }
                | HandsError::Text),
            ) => {
                watcher.call_ended(call, false).map_err(unwatched)?;
                return Ok(Err(error));
            }
            Err(error) => return Err(failed(error)),
        };

        let shown: Option<&mut dyn Progress> =
            if process.shown { Some(&mut **progress) } else { None };
        let mut collector =
            Collector::new(running, stdout, stderr, process.limit_bytes, shown).map_err(output)?;
        let stopped = loop {
            match collector.run(Some(time.next_look()), Some(cancel)).map_err(output)? {
                Stopped::TimedOut => {}
                stopped => break stopped,
            }
            let mut frozen = hands.frozen(call).map_err(failed)?;
            if frozen == Frozen::Call && watcher.is_asked_about(call).map_err(unwatched)? {
                frozen = Frozen::Asked;
            }
            let (changed, over) = time.look(Instant::now(), frozen);
            if let Some(frozen) = changed {
                note(*transcript, freeze_note(call, frozen))?;
                watcher.froze(call, frozen, limits.frozen_time);
            }
            match over {
                None => {}
                Some(Over::TimedOut) => break Stopped::TimedOut,
                Some(Over::NotResumed) => break Stopped::NotResumed,
            }
        };
        if time.stands_still() {
            let (changed, _) = time.look(Instant::now(), hands.frozen(call).map_err(failed)?);
            if let Some(frozen) = changed {
                note(*transcript, freeze_note(call, frozen))?;
                watcher.froze(call, frozen, limits.frozen_time);
            }
        }
        self.deadline = self.deadline.map(|deadline| deadline + time.stood());
        if stopped != Stopped::Exited {
            hands.kill(call).map_err(failed)?;
            let death = Some(Instant::now() + DEATH_LIMIT);
            if collector.run(death, None).map_err(output)? != Stopped::Exited {
                return Err(SessionError::Undead { call });
            }
        }
        let (exit, collected) = collector.finish().map_err(|error| match error {
            FinishError::Hands(source) => failed(source),
            FinishError::Output(source) => output(source),
        })?;
        watcher.call_ended(call, exit == Exit::Code(0)).map_err(unwatched)?;
        Ok(Ok(Ended { stopped, exit, collected }))
    }
}

impl Ended {
    /// Of a call whose run was ended before its process began.
    fn never_begun() -> Self {
        Self {
            stopped: Stopped::Cancelled,
            exit: Exit::Signal(Signal::SIGKILL as i32),
            collected: Collected::default(),
        }
    }
}

fn note(transcript: &mut dyn Transcript, text: String) -> Result<(), SessionError> {
    let entry = Entry { boot_ns: boot_ns(), event: Event::Note { text } };
    transcript.append(&entry).map_err(SessionError::Transcript)
}

/// What the transcript says of a call that stands still or goes on.
fn freeze_note(call: u64, frozen: Frozen) -> String {
    match frozen {
        Frozen::No => format!("call {call} goes on"),
        Frozen::Call => format!("call {call} is frozen"),
        Frozen::Asked => format!("call {call} stands still until a question is answered"),
        Frozen::Run => format!("the run is frozen, and call {call} with it"),
    }
}

/// A standard input without anything in it.
pub(crate) fn nothing() -> io::Result<OwnedFd> {
    File::open("/dev/null").map(OwnedFd::from)
}

/// What the agent learns of a call whose process has ended.
fn result(tool: &Tool, ended: &Ended, time: Duration, cancelled: &str) -> ToolResult {
    let Ended { stopped, exit, collected } = ended;
    let killed = stopped.told(time, cancelled);
    if let Way::Shell = tool.way {
        let mut result = tools::shell_result(*exit, collected);
        if let Some(killed) = killed {
            result.ok = false;
            result.value["error"] = killed.into();
        }
        return result;
    }
    if let Some(killed) = killed {
        return ToolResult::failed(&killed);
    }
    match (exit, collected.stdout.truncated) {
        (Exit::Code(0), false) => {
            // What comes out of the sandbox can be anything, whatever was sent in.
            serde_json::from_slice(&collected.stdout.bytes)
                .unwrap_or_else(|_| ToolResult::failed("the tool gave back no result"))
        }
        (Exit::Code(_), _) => ToolResult::failed("the tool could not give back its result"),
        (Exit::Signal(signal), _) => {
            ToolResult::failed(&format!("the tool was killed by {}", signal_name(*signal)))
        }
    }
}
