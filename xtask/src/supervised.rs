//! A program whose output is shown, kept and limited in time.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, PipeReader, Write as _},
    path::Path,
    process::{Command, ExitStatus},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::programs;

/// How long to look out for an end; the poll also bounds how late a deadline is noticed.
const POLL: Duration = Duration::from_millis(20);
/// How long output may still come after the program's end: a process that it left behind can hold
/// the pipe open for ever.
const DRAIN: Duration = Duration::from_secs(2);

/// How a supervised program ended.
pub(crate) struct Ended {
    /// What it wrote; bytes that are not UTF-8 are replaced.
    pub(crate) output: String,
    /// None: it was killed at the deadline.
    pub(crate) status: Option<ExitStatus>,
}

/// Runs a program, writes its output, both streams in one, to `log` and to stdout as it comes, and kills it at the deadline.
///
/// # Errors
///
/// When it cannot be started, or its output cannot be kept.
pub(crate) fn run(mut command: Command, log: &Path, deadline: Duration) -> Result<Ended> {
    let keep = || format!("cannot write {}", log.display());
    let mut file = File::create(log).with_context(keep)?;
    let (reader, writer) = std::io::pipe().context("cannot create a pipe")?;
    command.stderr(writer.try_clone().context("cannot duplicate a pipe")?);
    command.stdout(writer);
    let start = Instant::now();
    let mut child =
        command.spawn().with_context(|| format!("cannot start `{}`", programs::shown(&command)))?;
    // The command holds the pipe's writing end: without this there would be no end of file.
    drop(command);

    let lines = lines_of(reader);
    let mut all = Vec::new();
    let mut take = |line: &[u8]| -> std::io::Result<()> {
        file.write_all(line)?;
        all.extend_from_slice(line);
        std::io::stdout().write_all(line)
    };
    let mut end = None;
    let status = loop {
        match lines.recv_timeout(POLL) {
            Ok(line) => take(&line).with_context(keep)?,
            Err(RecvTimeoutError::Timeout) => {}
            // Without this the loop would spin once the output is closed.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(POLL),
        }
        if end.is_none() {
            end = child.try_wait().context("cannot wait for a program")?;
        }
        if end.is_some() {
            break end;
        }
        if start.elapsed() >= deadline {
            child.kill().context("cannot kill a program at its deadline")?;
            child.wait().context("cannot wait for a program")?;
            break None;
        }
    };
    let drained = Instant::now() + DRAIN;
    while let Ok(line) = lines.recv_timeout(drained.saturating_duration_since(Instant::now())) {
        take(&line).with_context(keep)?;
    }
    std::io::stdout().flush().context("cannot write to stdout")?;
    Ok(Ended { output: String::from_utf8_lossy(&all).into_owned(), status })
}

/// Reads lines, ends included, in a thread of its own.
fn lines_of(reader: PipeReader) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        loop {
            let mut line = Vec::new();
            match reader.read_until(b'\n', &mut line) {
                Ok(1..) if sender.send(line).is_ok() => {}
                _ => return,
            }
        }
    });
    receiver
}
