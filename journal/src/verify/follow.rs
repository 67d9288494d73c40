//! Following a chain from its origin to its end.

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

/// Follows a journal's chain and hands over the hash of each leaf; `None` where there is no such
/// file.
pub(super) fn follow(
    directory: &RunDir,
    journal: Journal,
    run: Option<&str>,
    mut leaf: impl FnMut(Hash),
) -> Result<Option<Followed>, Problem> {
    let file = sign::file_name(journal);
    let mut lines = match RawLines::open(directory, file) {
        Ok(lines) => lines,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(Problem::unreadable(file, &error)),
    };
    let head = chain::origin(journal, run.unwrap_or_default());
    let mut followed = Followed { lines: 0, head, broken: None, torn: None };
    loop {
        match lines.next_line() {
            Ok(None) => break,
            Ok(Some((line, text))) => {
                leaf(merkle::leaf(text));
                followed.lines = line;
                let sealed = chain::unseal(text);
                let follows = sealed
                    .is_some_and(|sealed| chain::link(&followed.head, sealed.body) == sealed.link);
                if !follows && followed.broken.is_none() {
                    followed.broken = Some((line, followed.head));
                }
                followed.head = sealed.map_or(followed.head, |sealed| sealed.link);
            }
            Err(LineError::Torn { .. }) => {
                followed.torn = Some(sign::torn_digest(&lines));
                break;
            }
            Err(error) => return Err(Problem::unreadable(file, &error)),
        }
    }
    Ok(Some(followed))
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
