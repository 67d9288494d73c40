//! A sandbox that is none: calls run as plain processes, so that sessions can be tried without root.
#![allow(clippy::unwrap_used, reason = "tests panic")]
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    cell::Cell,
    collections::HashMap,
    ffi::OsString,
    fs::{self, File},
    io::PipeReader,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use agent_runner::{
    Admission, Agent, AgentEnd, AgentError, Cancel, Exit, Frozen, Hands, HandsError, Limits,
    Moment, Progress, Running, Session, SessionError, SessionParts, StreamName, Surroundings, Turn,
    WatchError, Watcher, Work,
    tools::{ToolResult, perform},
};
use journal::{Entry, Tier, transcript::Event, writer::WriteError};
use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tempfile::TempDir;

/// What happened, in order, as words.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// Plain processes, a process group for each call.
pub(crate) struct PlainHands {
    directory: PathBuf,
    log: Log,
    groups: HashMap<u64, Pid>,
    /// What a task's process writes instead of its result.
    pub(crate) forged: Option<Vec<u8>>,
    /// What it says of every call.
    pub(crate) frozen: Frozen,
    /// How often it still says that no call may begin.
    pub(crate) held: Cell<u32>,
}

impl PlainHands {
    /// Hands that work there, and end with all that they have started.
    pub(crate) fn new(directory: &Path, log: &Log) -> Self {
        Self {
            directory: directory.to_owned(),
            log: Arc::clone(log),
            groups: HashMap::new(),
            forged: None,
            frozen: Frozen::No,
            held: Cell::new(0),
        }
    }

    fn task_output(&self, payload: &str) -> Vec<u8> {
        self.forged.clone().unwrap_or_else(|| serde_json::to_vec(&perform(payload)).unwrap())
    }
}

impl Hands for PlainHands {
    fn make_leaf(&mut self, call: u64) -> Result<u64, HandsError> {
        self.log.lock().unwrap().push(format!("leaf {call}"));
        Ok(100 + call)
    }

    fn start(&mut self, call: u64, work: Work, stdio: [OwnedFd; 3]) -> Result<Running, HandsError> {
        self.log.lock().unwrap().push(format!("start {call}"));
        let (program, mut command) = match work {
            Work::Program { program, arguments } => {
                let mut command = Command::new(&program);
                command.args(arguments);
                (program, command)
            }
            Work::Task { payload } => {
                let output = self.directory.join(format!(".result-{call}"));
                fs::write(&output, self.task_output(&payload)).unwrap();
                let mut command = Command::new("/bin/cat");
                command.arg(output);
                (OsString::from("/bin/cat"), command)
            }
        };
        let [stdin, stdout, stderr] = stdio.map(Stdio::from);
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        let spawned = command.process_group(0).current_dir(&self.directory).spawn();
        let mut child = spawned.map_err(|error| HandsError::NotExecutable {
            program,
            errno: Errno::from_raw(error.raw_os_error().unwrap()),
        })?;
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
        self.groups.insert(call, group);
        Running::new(call, move || {
            let status = child.wait()?;
            Ok(status.code().map_or_else(|| Exit::Signal(status.signal().unwrap()), Exit::Code))
        })
    }

    fn is_held(&self) -> bool {
        let left = self.held.get();
        self.held.set(left.saturating_sub(1));
        left > 0
    }

    fn frozen(&self, _call: u64) -> Result<Frozen, HandsError> {
        Ok(self.frozen)
    }

    fn kill(&mut self, call: u64) -> Result<(), HandsError> {
        self.log.lock().unwrap().push(format!("kill {call}"));
        killpg(self.groups[&call], Signal::SIGKILL).unwrap();
        Ok(())
    }
}

impl Drop for PlainHands {
    fn drop(&mut self) {
        for group in self.groups.values() {
            // What a call left running is in its process group; an empty one is an error to ignore.
            let _ = killpg(*group, Signal::SIGKILL);
        }
    }
}

pub(crate) struct LoggingWatcher {
    pub(crate) log: Log,
    pub(crate) refuses: bool,
    /// What it says of calls of this tool.
    pub(crate) admission: Option<(&'static str, Admission)>,
}

impl Watcher for LoggingWatcher {
    fn call_started(&mut self, call: u64, leaf_id: u64, tool: &str) -> Result<(), WatchError> {
        self.log.lock().unwrap().push(format!("watch {call} {leaf_id} {tool}"));
        if self.refuses { Err(WatchError::Refused("no slot".to_owned())) } else { Ok(()) }
    }

    fn call_ended(&mut self, call: u64, ok: bool) -> Result<(), WatchError> {
        self.log.lock().unwrap().push(format!("ended {call} {ok}"));
        Ok(())
    }

    fn admit(
        &mut self,
        call: u64,
        tool: &str,
        _arguments: &serde_json::Value,
        _cancel: &Cancel,
    ) -> Result<Admission, WatchError> {
        let decided = self.admission.as_ref().filter(|(asked, _)| *asked == tool);
        let Some((_, admission)) = decided else { return Ok(Admission::Granted) };
        self.log.lock().unwrap().push(format!("asked {call} {tool}"));
        Ok(admission.clone())
    }
}

/// An agent that takes these turns and keeps what it gets back.
pub(crate) struct Script {
    turns: std::vec::IntoIter<Turn>,
    pub(crate) results: Vec<ToolResult>,
}

impl Script {
    pub(crate) fn new(turns: Vec<Turn>) -> Self {
        Self { turns: turns.into_iter(), results: Vec::new() }
    }
}

impl Agent for Script {
    fn next(
        &mut self,
        last: Option<&ToolResult>,
        _: &mut Surroundings<'_>,
    ) -> Result<Turn, AgentError> {
        self.results.extend(last.cloned());
        Ok(self.turns.next().unwrap_or(Turn::Finish))
    }
}

/// A call of a tool, as a turn.
pub(crate) fn call(tool: &str, arguments: serde_json::Value) -> Turn {
    Turn::Call { tool: tool.to_owned(), arguments }
}

/// A call of the shell, as a turn.
pub(crate) fn shell(command: &str) -> Turn {
    call("shell", serde_json::json!({ "command": command }))
}

/// Keeps output; may take none once it has some.
struct Shown {
    output: Arc<Mutex<Vec<u8>>>,
    spoken: Arc<Mutex<Vec<String>>>,
    cancel: Cancel,
    at_call: bool,
    when_full: bool,
    full: Option<PipeReader>,
}

impl Progress for Shown {
    fn show(&mut self, moment: Moment<'_>) {
        match moment {
            Moment::Output { bytes, .. } => self.output.lock().unwrap().extend_from_slice(bytes),
            Moment::Piece { text } => self.spoken.lock().unwrap().push(text.to_owned()),
            Moment::CallStarted { .. } if self.at_call => self.cancel.cancel(),
            _ => {}
        }
    }

    fn full(&self, _stream: StreamName) -> Option<BorrowedFd<'_>> {
        let full = self.full.as_ref().filter(|_| !self.output.lock().unwrap().is_empty())?;
        if self.when_full {
            self.cancel.cancel();
        }
        Some(full.as_fd())
    }
}

/// A run without a sandbox.
pub(crate) struct Bench {
    directory: TempDir,
    pub(crate) log: Log,
    pub(crate) tier: Tier,
    pub(crate) limits: Limits,
    pub(crate) cancel: Cancel,
    pub(crate) observer_refuses: bool,
    /// What is said of calls of this tool before they start.
    pub(crate) admission: Option<(&'static str, Admission)>,
    pub(crate) forged: Option<Vec<u8>>,
    /// What the sandbox says of every call.
    pub(crate) frozen: Frozen,
    /// How often the sandbox says that no call may begin.
    pub(crate) held: u32,
    /// Whether the end is asked for as soon as a call begins.
    pub(crate) cancel_at_call: bool,
    /// Tells of room for output; without it there always is, with it none after the first piece.
    pub(crate) full: Option<PipeReader>,
    /// Whether the end is asked for once there is no room.
    pub(crate) cancel_when_full: bool,
    entries: Arc<Mutex<Vec<Entry>>>,
    output: Arc<Mutex<Vec<u8>>>,
    spoken: Arc<Mutex<Vec<String>>>,
    // Kept to the end: dropping it kills what calls left running.
    hands: Option<PlainHands>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            log: Log::default(),
            tier: Tier::Work,
            limits: Limits::default(),
            cancel: Cancel::new().unwrap(),
            observer_refuses: false,
            admission: None,
            forged: None,
            frozen: Frozen::No,
            held: 0,
            cancel_at_call: false,
            full: None,
            cancel_when_full: false,
            entries: Arc::default(),
            output: Arc::default(),
            spoken: Arc::default(),
            hands: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a session in this directory.
    pub(crate) fn session(
        &mut self,
        run: impl FnOnce(Session<'_>) -> Result<AgentEnd, SessionError>,
    ) -> Result<AgentEnd, SessionError> {
        let mut hands = PlainHands::new(self.path(), &self.log);
        hands.forged.clone_from(&self.forged);
        hands.frozen = self.frozen;
        hands.held.set(self.held);
        let mut watcher = LoggingWatcher {
            log: Arc::clone(&self.log),
            refuses: self.observer_refuses,
            admission: self.admission.clone(),
        };
        let entries = Arc::clone(&self.entries);
        let mut transcript = move |entry: &Entry| -> Result<(), WriteError> {
            entries.lock().unwrap().push(entry.clone());
            Ok(())
        };
        let mut progress = Shown {
            output: Arc::clone(&self.output),
            spoken: Arc::clone(&self.spoken),
            cancel: self.cancel.clone(),
            at_call: self.cancel_at_call,
            when_full: self.cancel_when_full,
            full: self.full.take(),
        };
        let end = run(Session::new(SessionParts {
            hands: &mut hands,
            watcher: &mut watcher,
            transcript: &mut transcript,
            progress: &mut progress,
            cancel: self.cancel.clone(),
            tier: self.tier,
            limits: self.limits,
        }));
        self.hands = Some(hands);
        end
    }

    /// Runs a script and returns how it ended and what its calls gave back.
    pub(crate) fn script(&mut self, turns: Vec<Turn>) -> (AgentEnd, Vec<ToolResult>) {
        let mut script = Script::new(turns);
        let end = self.session(|session| session.run_agent(&mut script)).unwrap();
        (end, script.results)
    }

    /// What is in the transcript.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.entries.lock().unwrap().iter().map(|entry| entry.event.clone()).collect()
    }

    /// What happened to calls, in order.
    pub(crate) fn logged(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// What a wrapped command wrote, as it was shown.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8(self.output.lock().unwrap().clone()).unwrap()
    }

    /// The pieces of what the agent said, as they were shown.
    pub(crate) fn spoken(&self) -> Vec<String> {
        self.spoken.lock().unwrap().clone()
    }

    /// Waits until a file is there and not empty.
    pub(crate) fn wait_for(&self, name: &str) -> String {
        let path = self.path().join(name);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match fs::read_to_string(&path) {
                Ok(text) if !text.is_empty() => return text,
                _ if Instant::now() > deadline => panic!("{name} did not come"),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Makes an empty file.
    pub(crate) fn touch(&self, name: &str) {
        File::create(self.path().join(name)).unwrap();
    }
}
