//! One agent, from its first call to its end.

use std::{
    collections::VecDeque,
    error::Error,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use journal::{Entry, Tier, scenario::Declared, transcript::Event, writer::WriteError};
use nix::time::{ClockId, clock_gettime};
use sandbox::Exit;
use serde_json::Value;

use crate::{
    agent::{Agent, FailureKind, Surroundings, Turn},
    cancel::Cancel,
    hands::{Hands, HandsError},
    tools::ToolResult,
    watch::{Moment, Progress, Transcript, WatchError, Watcher},
};

/// How long a killed call may take to be gone. A process in the kernel's uninterruptible sleep dies
/// only when it wakes up.
pub(crate) const DEATH_LIMIT: Duration = Duration::from_secs(10);

/// What an agent may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls in the run, refused ones included.
    pub calls: u64,
    /// Time of one tool call.
    pub call_time: Duration,
    /// Time of a multi-turn agent, from its first turn; none means that it may take as long as it
    /// likes.
    pub agent_time: Option<Duration>,
    /// Time of a wrapped command; none means that it may run as long as it likes.
    pub command_time: Option<Duration>,
    /// How long a call may stand still, frozen, until it is killed. Its own time and the agent's do
    /// not pass meanwhile.
    pub frozen_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 1000,
            call_time: Duration::from_secs(30),
            agent_time: None,
            command_time: None,
            frozen_time: Duration::from_secs(300),
        }
    }
}

/// What a session is made of.
pub struct SessionParts<'a> {
    /// The sandbox.
    pub hands: &'a mut dyn Hands,
    /// The observer.
    pub watcher: &'a mut dyn Watcher,
    /// The transcript.
    pub transcript: &'a mut dyn Transcript,
    /// The terminal.
    pub progress: &'a mut dyn Progress,
    /// How it is ended from outside.
    pub cancel: Cancel,
    /// The granted tier: which tools are offered.
    pub tier: Tier,
    /// What the agent may use up.
    pub limits: Limits,
}

/// The numbers of a run's calls, from 1. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Numbers(Arc<Mutex<u64>>);

impl Numbers {
    /// How many calls have begun.
    #[must_use]
    pub fn begun(&self) -> u64 {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One agent's calls.
pub struct Session<'a> {
    pub(crate) parts: SessionParts<'a>,
    numbers: Numbers,
    /// What the user asks of a multi-turn agent after the first thing.
    further: VecDeque<String>,
    /// When the agent's time is over.
    pub(crate) deadline: Option<Instant>,
    pub(crate) declared: Declared,
    /// What the agent is told of a call whose end was asked for.
    pub(crate) cancelled: &'static str,
}

/// How an agent ended.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentEnd {
    /// In which way.
    pub how: How,
    /// How many calls it made.
    pub calls: u64,
    /// Its own account; `filed` is false where it gave none.
    pub declared: Declared,
}

/// In which way an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// It was done.
    Finished,
    /// A wrapped command exited, or was killed by a signal.
    Exited(Exit),
    /// A wrapped command could not be executed.
    NotExecutable {
        /// The sentence that says so.
        message: String,
        /// 127 where it was not found, 126 where it is no program that can be run.
        code: i32,
    },
    /// It wanted more calls than it was allowed.
    OutOfCalls,
    /// It took longer than it was allowed.
    OutOfTime,
    /// A wrapped command was frozen and nobody let it go on.
    NotResumed,
    /// A budget of its own was used up.
    Exhausted {
        /// Which, in words.
        what: String,
    },
    /// The end was asked for from outside.
    Cancelled,
    /// It could not go on.
    Failed {
        /// Why, with causes.
        message: String,
        /// Whose fault it was.
        kind: FailureKind,
    },
}

impl AgentEnd {
    /// The exit code as a shell would report it, for a command that ended by itself.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match &self.how {
            How::Exited(exit) => Some(exit.as_shell()),
            How::NotExecutable { code, .. } => Some(*code),
            How::Finished
            | How::OutOfCalls
            | How::OutOfTime
            | How::NotResumed
            | How::Exhausted { .. }
            | How::Cancelled
            | How::Failed { .. } => None,
        }
    }
}

/// Why a session broke: the harness's failure, never the agent's. The run's evidence is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The observer could not be told of a call, so the call did not begin.
    #[error("call {call} cannot be watched")]
    Watch {
        /// The call.
        call: u64,
        /// Why not.
        source: WatchError,
    },
    /// The sandbox failed.
    #[error("the sandbox failed at call {call}")]
    Hands {
        /// The call.
        call: u64,
        /// How.
        source: HandsError,
    },
    /// A killed call did not go away.
    #[error("call {call} was killed and is still there after {} s", DEATH_LIMIT.as_secs())]
    Undead {
        /// The call.
        call: u64,
    },
    /// The call's pipes failed.
    #[error("cannot read the output of call {call}")]
    Output {
        /// The call.
        call: u64,
        /// How.
        source: io::Error,
    },
    /// The transcript could not be written.
    #[error("cannot write the transcript")]
    Transcript(#[source] WriteError),
    /// The wait for the system or for the end failed.
    #[error("cannot wait")]
    Wait(#[source] io::Error),
}

impl<'a> Session<'a> {
    /// A session without any call yet.
    #[must_use]
    pub fn new(parts: SessionParts<'a>) -> Self {
        Self::numbered(parts, Numbers::default())
    }

    /// A session whose calls are numbered together with those of others.
    #[must_use]
    pub fn numbered(parts: SessionParts<'a>, numbers: Numbers) -> Self {
        let (further, declared) = (VecDeque::new(), Declared::default());
        let cancelled = "the run was ended";
        Self { parts, numbers, further, deadline: None, declared, cancelled }
    }

    /// What the user asks of a multi-turn agent besides, each thing once it is done with the one before.
    #[must_use]
    pub fn with_further(mut self, turns: impl IntoIterator<Item = String>) -> Self {
        self.further = turns.into_iter().collect();
        self
    }

    /// Carries a multi-turn agent to its end.
    ///
    /// # Errors
    ///
    /// [`SessionError`] where the harness failed; how the agent fared is in [`AgentEnd`].
    pub fn run_agent(mut self, agent: &mut dyn Agent) -> Result<AgentEnd, SessionError> {
        self.deadline = self.parts.limits.agent_time.map(|time| Instant::now() + time);
        let (mut last, mut left) = (None, Vec::new());
        let how = loop {
            if self.parts.cancel.is_cancelled() {
                break How::Cancelled;
            }
            if self.time_left() == Some(Duration::ZERO) {
                break How::OutOfTime;
            }
            let SessionParts { cancel, progress, .. } = &mut self.parts;
            let mut surroundings =
                Surroundings { cancel, deadline: self.deadline, progress: &mut **progress };
            match agent.next(last.take().as_ref(), &mut surroundings) {
                Ok(Turn::Say(text)) => {
                    self.parts.progress.show(Moment::Said { text: &text });
                    self.append(Event::Message { role: "assistant".to_owned(), text })?;
                }
                Ok(turn) if turn.is_call() && self.numbers.begun() >= self.parts.limits.calls => {
                    left.push(turn);
                    break How::OutOfCalls;
                }
                Ok(Turn::Call { tool, arguments }) => last = Some(self.call(&tool, &arguments)?),
                Ok(Turn::Malformed { tool, arguments, error }) => {
                    last = Some(self.malformed(&tool, arguments, &error)?);
                }
                Ok(Turn::Record(event)) => {
                    if let Event::Note { text } = &event {
                        self.parts.progress.show(Moment::Noted { text });
                    }
                    self.append(event)?;
                }
                Ok(Turn::Exhausted(what)) => break How::Exhausted { what },
                Ok(Turn::Wait(duration)) => {
                    let duration = self.time_left().map_or(duration, |left| left.min(duration));
                    if !duration.is_zero() {
                        self.parts.progress.show(Moment::Waiting { duration });
                    }
                    self.parts.cancel.wait(duration).map_err(SessionError::Wait)?;
                }
                Ok(Turn::Finish) => match self.further.pop_front() {
                    None => break How::Finished,
                    Some(text) if agent.hear(&text) => {
                        self.parts.progress.show(Moment::Asked { text: &text });
                        self.append(Event::Message { role: "user".to_owned(), text })?;
                    }
                    Some(text) => {
                        let text = format!("the agent did not hear any more: {text}");
                        self.append(Event::Note { text })?;
                        break How::Finished;
                    }
                },
                Err(error) => {
                    let message = chain(&*error.source);
                    break How::Failed { message, kind: error.kind };
                }
            }
        };
        left.extend(agent.left());
        for turn in left {
            self.append_left(turn)?;
        }
        self.finish(how)
    }

    /// Puts a turn on record that the agent's end has left untaken.
    fn append_left(&mut self, turn: Turn) -> Result<(), SessionError> {
        let unmade = |tool: &str, arguments: &str| Event::Note {
            text: format!("a call was not made: {tool} {arguments}"),
        };
        let event = match turn {
            Turn::Say(text) => Event::Message { role: "assistant".to_owned(), text },
            Turn::Call { tool, arguments } => unmade(&tool, &arguments.to_string()),
            Turn::Malformed { tool, arguments, .. } => unmade(&tool, &arguments),
            Turn::Record(event) => event,
            Turn::Wait(_) | Turn::Exhausted(_) | Turn::Finish => return Ok(()),
        };
        self.append(event)
    }

    /// How long the agent may still take, if that is limited.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Ends the agent.
    pub(crate) fn finish(mut self, how: How) -> Result<AgentEnd, SessionError> {
        self.note_end(&how)?;
        Ok(AgentEnd { how, calls: self.numbers.begun(), declared: self.declared })
    }

    /// Notes how the agent ended, where that is not plain from its calls.
    pub(crate) fn note_end(&mut self, how: &How) -> Result<(), SessionError> {
        let note = match how {
            How::Finished | How::Exited(_) | How::NotExecutable { .. } => None,
            How::OutOfCalls => {
                Some(format!("the agent was ended after {} calls", self.parts.limits.calls))
            }
            How::OutOfTime => Some("the agent was ended: its time was over".to_owned()),
            How::NotResumed => {
                Some("the agent was ended: it was frozen and nobody let it go on".to_owned())
            }
            How::Exhausted { what } => Some(format!("the agent was ended: {what}")),
            How::Cancelled => Some("the agent was ended from outside".to_owned()),
            How::Failed { message, .. } => Some(format!("the agent could not go on: {message}")),
        };
        note.map_or(Ok(()), |text| self.append(Event::Note { text }))
    }

    /// Numbers a call and puts it on record.
    pub(crate) fn begin(&mut self, tool: &str, arguments: &Value) -> Result<u64, SessionError> {
        // The transcript tells of calls in the order of their numbers.
        let numbers = self.numbers.clone();
        let mut last = numbers.lock();
        *last += 1;
        let call = *last;
        self.append(Event::Call { call, tool: tool.to_owned(), arguments: arguments.clone() })?;
        drop(last);
        self.parts.progress.show(Moment::CallStarted { call, tool, arguments });
        Ok(call)
    }

    /// Puts a call's result on record.
    pub(crate) fn end(
        &mut self,
        call: u64,
        result: &ToolResult,
        duration: Duration,
    ) -> Result<(), SessionError> {
        let ToolResult { ok, value } = result;
        self.parts.progress.show(Moment::CallEnded { call, ok: *ok, value, duration });
        self.append(Event::Result {
            call,
            ok: *ok,
            value: value.clone(),
            duration_ns: u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
        })
    }

    fn append(&mut self, event: Event) -> Result<(), SessionError> {
        let entry = Entry { boot_ns: boot_ns(), event };
        self.parts.transcript.append(&entry).map_err(SessionError::Transcript)
    }
}

pub(crate) fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every kernel has CLOCK_BOOTTIME");
    let since_boot = Duration::from(now).as_nanos();
    u64::try_from(since_boot).expect("584 years of uptime are not reached")
}

/// An error and its causes as one sentence.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
