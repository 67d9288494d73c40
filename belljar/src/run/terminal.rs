//! What a person sees while a run goes on, on standard error. What the agent wrote is escaped.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use agent_runner::{Moment, Progress, StreamName};
use indicatif::{ProgressBar, ProgressStyle};
use journal::escape::visible;

/// How much of a call's arguments fits on a line.
const LINE: usize = 100;

/// Shows a run, or nothing.
#[derive(Clone)]
pub(crate) struct Terminal {
    spinner: ProgressBar,
    quiet: bool,
    /// Whether standard output is for data alone.
    data: bool,
}

impl Terminal {
    pub(crate) fn new(quiet: bool, data: bool) -> Self {
        let spinner = if quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
                .expect("a valid template");
            let spinner = ProgressBar::new_spinner().with_style(style);
            spinner.enable_steady_tick(Duration::from_millis(100));
            spinner
        };
        Self { spinner, quiet, data }
    }

    /// What goes on now.
    pub(crate) fn phase(&self, what: &str) {
        if self.spinner.is_hidden() {
            self.line(what);
        } else {
            self.spinner.set_message(what.to_owned());
        }
    }

    /// A line that stays.
    pub(crate) fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        if self.spinner.is_hidden() {
            eprintln!("{text}");
        } else {
            self.spinner.println(text);
        }
    }

    /// Nothing more to show.
    pub(crate) fn done(&self) {
        self.spinner.finish_and_clear();
    }
}

fn short(text: &str) -> String {
    let text = visible(text);
    match text.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// A wrapped command's output, as it is; what goes to a terminal could deceive who looks at it, so
/// there control characters are shown and not carried out.
fn pass_on(mut to: impl Write + IsTerminal, bytes: &[u8]) -> std::io::Result<()> {
    if !to.is_terminal() {
        return to.write_all(bytes);
    }
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let (line, end) = line.strip_suffix(b"\n").map_or((line, ""), |line| (line, "\n"));
        write!(to, "{}{end}", visible(&String::from_utf8_lossy(line)))?;
    }
    to.flush()
}

impl Progress for Terminal {
    fn show(&mut self, moment: Moment<'_>) {
        match moment {
            Moment::Said { text } => self.line(&format!("  agent: {}", short(text))),
            Moment::CallStarted { call, tool, arguments } => {
                self.line(&format!(
                    "  call {call}: {} {}",
                    short(tool),
                    short(&arguments.to_string())
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
                let to_stdout = stream == StreamName::Stdout && !self.data;
                let written = self.spinner.suspend(|| {
                    if to_stdout {
                        pass_on(std::io::stdout(), bytes)
                    } else {
                        pass_on(std::io::stderr(), bytes)
                    }
                });
                // A reader that is gone is no reason to end a run.
                let _ = written;
            }
        }
    }
}
