//! Following a chain from its origin to its end.
//!
//! Every line is hashed twice, for the chain and for the tree, and each goes on from the line before.
//! So two threads do it side by side, and a million lines take half the time.

use std::{
    sync::{Arc, mpsc},
    thread,
};

use super::{LineProblem, Problem, diagnose::diagnose};
use crate::{
    chain::{self, Journal, Link},
    files::RunDir,
    merkle::{self, Hash},
    reader::{LineError, RawLines},
    sign::{self, JournalSummary},
};

/// What following a chain to its end found.
pub(super) struct Followed {
    pub(super) lines: u64,
    head: Link,
    /// The first line whose link does not follow from the line before, and the link before it.
    broken: Option<(u64, Link)>,
    /// SHA-256 of what stands behind the last whole line, hexadecimal.
    torn: Option<String>,
}

/// So many bytes of lines are handed over at once, and so many times are there at most.
const BATCH_BYTES: usize = 256 * 1024;
const BATCHES: usize = 4;

/// Some lines, one behind the other.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.ends.push(self.bytes.len());
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..*end])
    }
}

/// Follows a journal's chain and hands over the hash of each leaf; `None` where there is no such
/// file.
pub(super) fn follow(
    directory: &RunDir,
    journal: Journal,
    run: Option<&str>,
    mut leaf: impl FnMut(Hash) + Send,
) -> Result<Option<Followed>, Problem> {
    let file = sign::file_name(journal);
    let lines = match RawLines::open(directory, file) {
        Ok(lines) => lines,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(Problem::unreadable(file, &error)),
    };
    let head = chain::origin(journal, run.unwrap_or_default());
    let followed = Followed { lines: 0, head, broken: None, torn: None };
    followed
        .through(lines, |batch| batch.lines().for_each(|line| leaf(merkle::leaf(line))))
        .map(Some)
        .map_err(|error| Problem::unreadable(file, &error))
}

impl Followed {
    /// Goes through all lines, and lets `other` look at them meanwhile.
    fn through(
        mut self,
        mut lines: RawLines,
        mut other: impl FnMut(&Batch) + Send,
    ) -> Result<Self, LineError> {
        let (mut batch, mut ended) = self.read(&mut lines)?;
        if ended {
            // For so few lines a thread is not worth its while.
            other(&batch);
            self.step_through(&batch);
            return Ok(self);
        }
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel::<Arc<Batch>>(BATCHES);
            scope.spawn(move || receiver.into_iter().for_each(|batch| other(&batch)));
            loop {
                let handed = Arc::new(batch);
                sender.send(Arc::clone(&handed)).expect("its receiver ends after its sender");
                self.step_through(&handed);
                if ended {
                    return Ok(self);
                }
                (batch, ended) = self.read(&mut lines)?;
            }
        })
    }

    /// The next lines, and whether they are the last.
    fn read(&mut self, lines: &mut RawLines) -> Result<(Batch, bool), LineError> {
        let mut batch = Batch::default();
        while batch.bytes.len() < BATCH_BYTES {
            match lines.next_line() {
                Ok(None) => return Ok((batch, true)),
                Ok(Some((_, text))) => batch.push(text),
                Err(LineError::Torn { .. }) => {
                    self.torn = Some(sign::torn_digest(lines));
                    return Ok((batch, true));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((batch, false))
    }

    fn step_through(&mut self, batch: &Batch) {
        batch.lines().for_each(|line| self.step(line));
    }

    fn step(&mut self, text: &[u8]) {
        self.lines += 1;
        let sealed = chain::unseal(text);
        let follows =
            sealed.is_some_and(|sealed| chain::link(&self.head, sealed.body) == sealed.link);
        if !follows && self.broken.is_none() {
            self.broken = Some((self.lines, self.head));
        }
        self.head = sealed.map_or(self.head, |sealed| sealed.link);
    }
}

/// What is wrong with a journal that could be read: outer `None` of `signed` where there is no
/// statement, inner where the statement says that there was no such journal.
pub(super) fn judge(
    directory: &RunDir,
    journal: Journal,
    run: Option<&str>,
    followed: &Followed,
    signed: Option<Option<&JournalSummary>>,
) -> Option<Problem> {
    let file = sign::file_name(journal).to_owned();
    let problem = |line, what| Some(Problem::Line { file: file.clone(), line, what });
    if let Some((line, head)) = &followed.broken {
        let origin = chain::origin(journal, run.unwrap_or_default());
        let signed_lines = signed.flatten().map(|summary| summary.lines);
        let what = diagnose(directory, journal, origin, *line, head, signed_lines)
            .unwrap_or(LineProblem::Altered);
        return problem(*line, what);
    }
    let next = followed.lines + 1;
    match signed {
        None => {}
        Some(None) => return Some(Problem::Added { file }),
        Some(Some(summary)) if followed.lines < summary.lines => {
            let torn = followed.torn.is_some();
            return problem(
                next,
                if torn { LineProblem::Torn } else { LineProblem::MissingBefore },
            );
        }
        Some(Some(summary)) if followed.lines > summary.lines => {
            return problem(summary.lines + 1, LineProblem::Added);
        }
        Some(Some(summary)) if hex::encode(followed.head) != summary.head => {
            return Some(Problem::Rewritten { file });
        }
        // A writer that died left a part of a line, and that part is gone or is another one.
        Some(Some(JournalSummary { torn: Some(torn), .. })) => match &followed.torn {
            None => return problem(next, LineProblem::MissingBefore),
            Some(found) if found != torn => return problem(next, LineProblem::Altered),
            Some(_) => {}
        },
        Some(Some(_)) => {}
    }
    followed.torn.as_ref().and_then(|_| problem(next, LineProblem::Torn))
}
