//! What seems to have been done to the first line at which a chain breaks.
//!
//! The line's number is certain, what was done to it is the simplest explanation. A line says which
//! line it follows: one that follows from another line of the file is whole and stands in the wrong
//! place; if a later line follows from the last sound one, what lies between was put there. The
//! signed number of lines tells removal from change.

use std::collections::HashMap;

use super::LineProblem;
use crate::{
    chain::{self, Journal, Link},
    files::{FileError, RunDir},
    reader::RawLines,
    sign,
};

/// What a second look at the file shows.
#[derive(Default)]
struct Clues {
    lines: u64,
    /// The line begins with the whole line that belongs here: its newline was changed.
    swallows: bool,
    /// The line follows from a line of the file, but not from the one before it.
    whole: bool,
    /// A later line follows from the line before the broken one.
    continued: bool,
    /// Another line of the file has the same link.
    repeated: bool,
}

/// Guesses why the chain breaks at `line`, before which stands a line with the link `head`.
pub(super) fn diagnose(
    directory: &RunDir,
    journal: Journal,
    origin: Link,
    line: u64,
    head: &Link,
    signed_lines: Option<u64>,
) -> Result<LineProblem, FileError> {
    let clues = look(directory, journal, origin, line, head)?;
    Ok(match signed_lines {
        Some(signed) if line > signed => LineProblem::Added,
        _ if clues.swallows => LineProblem::Altered,
        _ if clues.continued && (clues.repeated || !clues.whole) => LineProblem::Added,
        _ if clues.continued => LineProblem::Moved,
        Some(signed) if clues.lines < signed => LineProblem::MissingBefore,
        _ if clues.whole && !clues.repeated => LineProblem::Moved,
        _ => LineProblem::Altered,
    })
}

fn look(
    directory: &RunDir,
    journal: Journal,
    origin: Link,
    line: u64,
    head: &Link,
) -> Result<Clues, FileError> {
    let mut raw = RawLines::open(directory, sign::file_name(journal))?;
    let mut clues = Clues::default();
    let mut links: HashMap<Link, u32> = HashMap::from([(origin, 1)]);
    let mut broken = None;
    while let Ok(Some((number, text))) = raw.next_line() {
        clues.lines = number;
        let sealed = chain::unseal(text);
        if number == line {
            clues.swallows = begins_with_a_line(text, head);
            broken = sealed.map(|sealed| (sealed.body.to_vec(), sealed.link));
        }
        let Some(sealed) = sealed else { continue };
        *links.entry(sealed.link).or_default() += 1;
        if number > line && !clues.continued {
            clues.continued = chain::link(head, sealed.body) == sealed.link;
        }
    }
    if let Some((body, link)) = broken {
        clues.repeated = links.get(&link).is_some_and(|times| *times > 1);
        clues.whole = links.keys().any(|previous| chain::link(previous, &body) == link);
    }
    Ok(clues)
}

/// Whether some beginning of `text` is a line that follows from `head`.
fn begins_with_a_line(text: &[u8], head: &Link) -> bool {
    (chain::SEAL_BYTES..text.len()).any(|end| {
        chain::unseal(&text[..end])
            .is_some_and(|sealed| chain::link(head, sealed.body) == sealed.link)
    })
}
