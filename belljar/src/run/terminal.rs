//! What a person sees while a run goes on, on standard error. What the agent wrote is escaped.
//!
//! Nothing here waits for a reader but [`Terminal::wait`].

use std::{
    borrow::Cow,
    io::{self, IsTerminal as _},
    os::fd::BorrowedFd,
    sync::Arc,
    time::Instant,
};

use agent_runner::{Moment, Progress, StreamName};
use journal::{escape::visible, redact::Redactor};
use serde_json::Value;

use super::{
    outlet::{Outlet, Unwritten},
    surface::{Item, Surface},
};

/// How much of a call's arguments fits on a line.
const LINE: usize = 100;
/// How much of an agent's words makes a line where it breaks none itself.
const SPEECH_BYTES: usize = 400;

/// Shows a run, or nothing.
#[derive(Clone)]
pub(crate) struct Terminal {
    /// To standard output. It is one with `stderr` where both lead to the same place.
    stdout: Outlet<Item>,
    stderr: Outlet<Item>,
    spins: bool,
    quiet: bool,
    /// Whether standard output is for data alone.
    data: bool,
    /// What the agent is saying: the last line so far, if it has begun one.
    speech: Option<String>,
    /// What the policy keeps out of the record is kept out of these lines as well.
    redactor: Option<Arc<Redactor>>,
}

impl Terminal {
    /// Without `has_stdout`, standard output is left alone.
    pub(crate) fn new(
        quiet: bool,
        data: bool,
        has_stdout: bool,
        redactor: Option<Arc<Redactor>>,
    ) -> io::Result<Self> {
        let mut surface = Surface::new(!quiet && io::stderr().is_terminal(), has_stdout)?;
        let (spins, one) = (surface.spins(), surface.is_one()?);
        let stderr =
            Outlet::start("stderr", move |item, taken: &dyn Fn(usize)| surface.write(item, taken))?;
        let stdout = if one {
            stderr.clone()
        } else {
            let mut surface = Surface::new(false, has_stdout)?;
            Outlet::start("stdout", move |item, taken: &dyn Fn(usize)| surface.write(item, taken))?
        };
        Ok(Self { stdout, stderr, spins, quiet, data, speech: None, redactor })
    }

    /// What goes on now.
    pub(crate) fn phase(&self, what: &str) {
        if self.spins {
            self.push(Item::Phase(what.to_owned()));
        } else {
            self.line(what);
        }
    }

    /// A line that stays.
    pub(crate) fn line(&self, text: &str) {
        if !self.quiet {
            self.notice(text);
        }
    }

    /// A line that stays, also for those who want to see nothing while it happens.
    pub(crate) fn notice(&self, text: &str) {
        self.push(Item::Line(text.to_owned()));
    }

    /// The report, on standard output.
    pub(crate) fn report(&self, text: String) {
        self.push(Item::Report(text));
    }

    /// Nothing more to show of what goes on.
    pub(crate) fn done(&self) {
        self.push(Item::Done);
    }

    /// Waits until all is written to a stream; see [`Outlet::wait`].
    pub(crate) fn wait(&self, stream: StreamName, from: Option<Instant>) -> Result<(), Unwritten> {
        self.outlet(stream).wait(from)
    }

    fn outlet(&self, stream: StreamName) -> &Outlet<Item> {
        match stream {
            StreamName::Stdout => &self.stdout,
            StreamName::Stderr => &self.stderr,
        }
    }

    fn push(&self, item: Item) {
        let stream = match &item {
            Item::Output(stream, _) => *stream,
            Item::Report(_) => StreamName::Stdout,
            Item::Phase(_) | Item::Line(_) | Item::Done => StreamName::Stderr,
        };
        let bytes = item.bytes();
        self.outlet(stream).push(item, bytes);
    }

    /// Shows words as they come, line by line; where there is a spinner, it shows the line that is
    /// not whole yet.
    fn speak(&mut self, piece: &str) {
        let mut line = self.speech.take().unwrap_or_default();
        for character in piece.chars() {
            if character == '\n' || line.len() >= SPEECH_BYTES {
                self.spoken(&line);
                line.clear();
            }
            if character != '\n' {
                line.push(character);
            }
        }
        if self.spins && self.stderr.full().is_none() {
            self.phase(&format!("agent: {}", visible(&self.redacted(&line))));
        }
        self.speech = Some(line);
    }

    /// Ends the line that the agent was saying. Tells whether it was saying something.
    fn end_speech(&mut self) -> bool {
        let speech = self.speech.take();
        if let Some(line) = &speech {
            self.spoken(line);
            if self.spins {
                self.phase("the agent acts");
            }
        }
        speech.is_some()
    }

    fn spoken(&self, line: &str) {
        if !line.trim().is_empty() {
            self.line(&format!("  agent: {}", visible(&self.redacted(line))));
        }
    }

    fn redacted<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.redactor.as_ref().map_or(Cow::Borrowed(text), |redactor| redactor.text(text))
    }

    /// What fits on a line. It is redacted before it is cut.
    fn short(&self, text: &str) -> String {
        short(&self.redacted(text))
    }

    /// A call's arguments. The words of a wrapped command are escaped already.
    fn arguments(&self, arguments: &Value) -> String {
        let mut arguments = arguments.clone();
        if let Some(redactor) = &self.redactor {
            redactor.value(&mut arguments);
        }
        match (&arguments["program"], &arguments["arguments"]) {
            (Value::String(program), Value::Array(rest)) => {
                let words = rest.iter().filter_map(Value::as_str);
                let words: Vec<_> = std::iter::once(program.as_str()).chain(words).collect();
                short(&words.join(" "))
            }
            _ => short(&arguments.to_string()),
        }
    }

    /// Where a stream of the command's goes.
    fn way(&self, stream: StreamName) -> StreamName {
        if self.data { StreamName::Stderr } else { stream }
    }
}

fn short(text: &str) -> String {
    let text = visible(text);
    match text.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

impl Progress for Terminal {
    fn show(&mut self, moment: Moment<'_>) {
        if let Moment::Piece { text } = moment {
            return self.speak(text);
        }
        let was_shown = self.end_speech();
        match moment {
            Moment::Piece { .. } => {}
            Moment::Asked { text } => self.line(&format!("  user: {}", self.short(text))),
            Moment::Said { .. } if was_shown => {}
            Moment::Said { text } => self.line(&format!("  agent: {}", self.short(text))),
            Moment::Noted { text } => self.line(&format!("  {}", self.short(text))),
            Moment::CallStarted { call, tool, arguments } => {
                self.line(&format!(
                    "  call {call}: {} {}",
                    self.short(tool),
                    self.arguments(arguments)
                ));
            }
            Moment::CallEnded { call, ok, duration, .. } => {
                let how = if ok { "done" } else { "failed" };
                self.line(&format!("  call {call}: {how} after {:.2} s", duration.as_secs_f64()));
            }
            Moment::Waiting { duration } => {
                self.line(&format!("  agent waits {:.1} s", duration.as_secs_f64()));
            }
            Moment::Output { stream, bytes } => {
                self.push(Item::Output(self.way(stream), bytes.to_owned()));
            }
        }
    }

    fn full(&self, stream: StreamName) -> Option<BorrowedFd<'_>> {
        self.outlet(self.way(stream)).full()
    }
}
