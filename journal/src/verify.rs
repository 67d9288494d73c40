//! Proving that a run directory is as it was when it was signed.
//!
//! The chain finds the first line that was altered, moved, added or removed by someone without the
//! means to write the chain anew; the signed Merkle root finds it out when the chain was written
//! anew; the digests find any other changed file. What this proves depends on the key: one that
//! the directory itself brings only proves that the directory agrees with itself.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
};

use ed25519_dalek::VerifyingKey;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    chain::{self, Journal, Link},
    files::{FileError, RunDir, name},
    reader::{LineError, RawLines},
    sign::{self, JournalSummary, Signature, Tree},
};

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The run's name, as signed.
    pub run: Option<String>,
    /// The key that the directory says it was signed with, hexadecimal.
    pub public_key: Option<String>,
    /// Whether the verifier named the key; otherwise the directory is only known to agree with
    /// itself.
    pub key_given: bool,
    /// Whole lines in `effects.jsonl`; `null` where there is no such file.
    pub effects: Option<u64>,
    /// Whole lines in `transcript.jsonl`; `null` where there is no such file.
    pub transcript: Option<u64>,
    /// Whether the run has a `report.json`. Without one it reads as invalid, whole or not.
    pub reported: bool,
    /// What is wrong; empty where everything is as it was signed.
    pub problems: Vec<Problem>,
}

impl Verification {
    /// Whether everything is as it was signed.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One way in which a directory is not as it was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Problem {
    /// There is no `journal.sig`: the run died before it was signed, or the file was taken away.
    Unsigned,
    /// A file of the directory cannot be read, or `journal.sig` does not read as a signature.
    Unreadable {
        /// The file.
        file: String,
        /// The cause.
        cause: String,
    },
    /// The signature is not one of the key's over the statement.
    BadSignature,
    /// The directory was signed with another key than the one that the verifier named.
    OtherKey,
    /// A file was there when the directory was signed and is not.
    Missing {
        /// The file.
        file: String,
    },
    /// A file was not there when the directory was signed and is.
    Added {
        /// The file.
        file: String,
    },
    /// A file's bytes are others than when the directory was signed.
    Changed {
        /// The file.
        file: String,
    },
    /// The first line at which a journal's chain breaks.
    Line {
        /// The journal's file.
        file: String,
        /// The line's number, from 1.
        line: u64,
        /// What seems to have been done to it.
        what: LineProblem,
    },
    /// A journal's chain is sound and its lines are still not the signed ones: it was written anew.
    Rewritten {
        /// The journal's file.
        file: String,
    },
}

/// What seems to have been done to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineProblem {
    /// Its own bytes changed.
    Altered,
    /// It stands in another place than it was written in.
    Moved,
    /// One or more lines before it are missing; or, past the last one, at the end.
    MissingBefore,
    /// It was not there when the directory was signed.
    Added,
    /// The file ends within it.
    Torn,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => formatter.write_str("there is no journal.sig: nothing can be proved"),
            Self::Unreadable { file, cause } => write!(formatter, "{file} cannot be read: {cause}"),
            Self::BadSignature => formatter
                .write_str("journal.sig: the signature does not fit the statement and the key"),
            Self::OtherKey => {
                formatter.write_str("journal.sig: signed with another key than the one given")
            }
            Self::Missing { file } => write!(formatter, "{file} is missing"),
            Self::Added { file } => write!(formatter, "{file} was added after signing"),
            Self::Changed { file } => write!(formatter, "{file} was changed after signing"),
            Self::Line { file, line, what } => match what {
                LineProblem::Altered => write!(formatter, "{file}: line {line} was altered"),
                LineProblem::Moved => write!(formatter, "{file}: line {line} was moved"),
                LineProblem::MissingBefore => {
                    write!(formatter, "{file}: lines are missing before line {line}")
                }
                LineProblem::Added => write!(formatter, "{file}: line {line} was added"),
                LineProblem::Torn => write!(formatter, "{file}: the file ends within line {line}"),
            },
            Self::Rewritten { file } => {
                write!(formatter, "{file} was written anew after signing, with a chain of its own")
            }
        }
    }
}

/// Checks a run directory, against `key` where the verifier has the public key from elsewhere.
/// Never fails: what cannot be read is a problem like any other.
#[must_use]
pub fn verify(directory: &RunDir, key: Option<&VerifyingKey>) -> Verification {
    let mut problems = Vec::new();
    let signature = signature(directory, &mut problems);
    if let Some(signature) = &signature {
        check_signature(signature, key, &mut problems);
        check_files(directory, signature, &mut problems);
    }
    // Without a signature the manifest still names the run, so the chains can be followed.
    let run = match &signature {
        Some(signature) => Some(signature.statement.run.clone()),
        None => directory.manifest().ok().map(|manifest| manifest.run),
    };
    let statement = signature.as_ref().map(|signature| &signature.statement);
    let mut tree = Tree::new();
    let mut rewritten = Vec::new();
    let mut counts = [None, None];
    for (journal, count) in [Journal::Effects, Journal::Transcript].into_iter().zip(&mut counts) {
        let signed = statement.map(|statement| match journal {
            Journal::Effects => statement.effects.as_ref(),
            Journal::Transcript => statement.transcript.as_ref(),
        });
        match follow(directory, journal, run.as_deref(), &mut tree) {
            Ok(None) => {
                if signed.flatten().is_some() {
                    problems.push(Problem::Missing { file: sign::file_name(journal).into() });
                }
            }
            Ok(Some(followed)) => {
                *count = Some(followed.lines);
                match judge(directory, journal, &followed, signed) {
                    Some(problem) => problems.push(problem),
                    None => rewritten.push(journal),
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    // Sound chains under another root: the heads agree too only where SHA-256 is broken, so this
    // is the last of several locks and names every journal.
    if let Some(statement) = statement
        && problems.iter().all(|problem| !concerns_lines(problem))
        && sign::root(&tree) != statement.merkle_root
    {
        problems.extend(
            rewritten
                .into_iter()
                .map(|journal| Problem::Rewritten { file: sign::file_name(journal).into() }),
        );
    }
    Verification {
        run,
        public_key: signature.map(|signature| signature.public_key),
        key_given: key.is_some(),
        effects: counts[0],
        transcript: counts[1],
        reported: directory.has(name::REPORT_JSON),
        problems,
    }
}

/// Reads a public key as `belljar verify` prints it: 64 hexadecimal digits.
#[must_use]
pub fn public_key(digits: &str) -> Option<VerifyingKey> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits.trim(), &mut bytes).ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

fn concerns_lines(problem: &Problem) -> bool {
    let journals = [name::EFFECTS, name::TRANSCRIPT];
    match problem {
        Problem::Line { .. } | Problem::Rewritten { .. } => true,
        Problem::Missing { file } | Problem::Added { file } | Problem::Unreadable { file, .. } => {
            journals.contains(&file.as_str())
        }
        _ => false,
    }
}

fn unreadable(file: &str, error: &dyn std::error::Error) -> Problem {
    let mut cause = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        cause.push_str(": ");
        cause.push_str(&error.to_string());
        source = error.source();
    }
    Problem::Unreadable { file: file.to_owned(), cause }
}

fn signature(directory: &RunDir, problems: &mut Vec<Problem>) -> Option<Signature> {
    match directory.signature() {
        Ok(signature) => Some(signature),
        Err(error) if error.is_missing() => {
            problems.push(Problem::Unsigned);
            None
        }
        Err(error) => {
            problems.push(unreadable(name::SIGNATURE, &error));
            None
        }
    }
}

fn check_signature(signature: &Signature, key: Option<&VerifyingKey>, problems: &mut Vec<Problem>) {
    let named = public_key(&signature.public_key);
    if key.is_some() && key != named.as_ref() {
        problems.push(Problem::OtherKey);
    }
    let mut bytes = [0; 64];
    let fits = hex::decode_to_slice(&signature.signature, &mut bytes).is_ok()
        && named.is_some_and(|named| {
            let signature_bytes = ed25519_dalek::Signature::from_bytes(&bytes);
            named.verify_strict(&signature.statement.signed_bytes(), &signature_bytes).is_ok()
        });
    if !fits {
        problems.push(Problem::BadSignature);
    }
}

fn check_files(directory: &RunDir, signature: &Signature, problems: &mut Vec<Problem>) {
    let signed = &signature.statement.files;
    let names: BTreeSet<&str> = signed.keys().map(String::as_str).chain(name::DIGESTED).collect();
    for file in names {
        // A name from the file itself must not lead out of the directory.
        if file.contains('/') {
            problems.push(Problem::BadSignature);
            continue;
        }
        let expected = signed.get(file).cloned().flatten();
        let file = file.to_owned();
        match (expected, sign::digest(directory, &file)) {
            (_, Err(error)) => problems.push(unreadable(&file, &error)),
            (Some(_), Ok(None)) => problems.push(Problem::Missing { file }),
            (None, Ok(Some(_))) => problems.push(Problem::Added { file }),
            (expected, Ok(found)) if expected != found => problems.push(Problem::Changed { file }),
            _ => {}
        }
    }
}

/// What following a chain to its end found.
struct Followed {
    lines: u64,
    head: Link,
    /// The first line whose link does not follow from the line before.
    broken: Option<u64>,
    torn: Option<u64>,
}

fn follow(
    directory: &RunDir,
    journal: Journal,
    run: Option<&str>,
    tree: &mut Tree,
) -> Result<Option<Followed>, Problem> {
    let file = sign::file_name(journal);
    let mut lines = match RawLines::open(directory, file) {
        Ok(lines) => lines,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(unreadable(file, &error)),
    };
    let mut head = chain::origin(journal, run.unwrap_or_default());
    let mut followed = Followed { lines: 0, head, broken: None, torn: None };
    loop {
        match lines.next_line() {
            Ok(None) => break,
            Ok(Some((line, text))) => {
                tree.push(Sha256::digest(text).into());
                followed.lines = line;
                let follows = match chain::unseal(text) {
                    Some(sealed) => {
                        let follows = chain::link(&head, sealed.body) == sealed.link;
                        head = sealed.link;
                        follows
                    }
                    None => false,
                };
                if !follows && followed.broken.is_none() {
                    followed.broken = Some(line);
                }
            }
            Err(LineError::Torn { line, .. }) => {
                followed.torn = Some(line);
                break;
            }
            Err(error) => return Err(unreadable(file, &error)),
        }
    }
    followed.head = head;
    Ok(Some(followed))
}

/// What is wrong with a journal that could be read: outer `None` of `signed` where there is no
/// statement, inner where the statement says that there was no such journal.
fn judge(
    directory: &RunDir,
    journal: Journal,
    followed: &Followed,
    signed: Option<Option<&JournalSummary>>,
) -> Option<Problem> {
    let file = sign::file_name(journal).to_owned();
    let problem = |line, what| Some(Problem::Line { file: file.clone(), line, what });
    if let Some(line) = followed.broken {
        let signed_lines = signed.flatten().map(|summary| summary.lines);
        let what = diagnose(directory, journal, line, followed.lines, signed_lines)
            .unwrap_or(LineProblem::Altered);
        return problem(line, what);
    }
    match signed {
        None => {}
        Some(None) => return Some(Problem::Added { file }),
        Some(Some(summary)) if followed.lines < summary.lines => {
            return problem(followed.lines + 1, LineProblem::MissingBefore);
        }
        Some(Some(summary)) if followed.lines > summary.lines => {
            return problem(summary.lines + 1, LineProblem::Added);
        }
        Some(Some(summary)) if hex::encode(followed.head) != summary.head => {
            return Some(Problem::Rewritten { file });
        }
        Some(Some(_)) => {}
    }
    followed.torn.and_then(|line| problem(line, LineProblem::Torn))
}

/// Guesses from a second look at the file why the chain breaks at `line`.
fn diagnose(
    directory: &RunDir,
    journal: Journal,
    line: u64,
    lines: u64,
    signed_lines: Option<u64>,
) -> Result<LineProblem, FileError> {
    let mut raw = RawLines::open(directory, sign::file_name(journal))?;
    let mut links: HashSet<Link> = HashSet::new();
    let mut broken = None;
    while let Ok(Some((number, text))) = raw.next_line() {
        let sealed = chain::unseal(text);
        if number == line {
            broken = sealed.map(|sealed| (sealed.body.to_vec(), sealed.link));
        }
        links.extend(sealed.map(|sealed| sealed.link));
    }
    // A line that follows from another line of the file is whole and stands in the wrong place.
    let moved = broken.is_some_and(|(body, link)| {
        links.iter().any(|previous| chain::link(previous, &body) == link)
    });
    Ok(match signed_lines {
        Some(signed) if lines < signed => LineProblem::MissingBefore,
        Some(signed) if lines > signed => LineProblem::Added,
        _ if moved => LineProblem::Moved,
        _ => LineProblem::Altered,
    })
}
