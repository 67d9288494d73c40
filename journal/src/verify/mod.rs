//! Proving that a run directory is as it was when it was signed.
//!
//! The chain finds the first line that was altered, moved, added or removed by someone without the
//! means to write the chain anew; the signed Merkle root finds it out when the chain was written
//! anew; the digests find any other changed file. What this proves depends on the key: one that
//! the directory itself brings only proves that the directory agrees with itself.

mod diagnose;
mod follow;
mod problem;

use std::collections::BTreeSet;

use serde::Serialize;

pub use self::problem::{LineProblem, Problem};
use crate::{
    chain::Journal,
    files::{RunDir, name},
    key::{KnownKey, Relation},
    merkle::{Hash, Tree},
    sign::{self, Signature},
};

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The run's name, as signed.
    pub run: Option<String>,
    /// The key that the directory says it was signed with, hexadecimal.
    pub public_key: Option<String>,
    /// Whether the verifier named a key; otherwise the directory is only known to agree with
    /// itself.
    pub key_given: bool,
    /// How the key of the signature is related to the key given; `null` where it is not, or none
    /// was given.
    pub key_relation: Option<Relation>,
    /// Whole lines in `effects.jsonl`; `null` where there is no such file.
    pub effects: Option<u64>,
    /// Whole lines in `transcript.jsonl`; `null` where there is no such file.
    pub transcript: Option<u64>,
    /// Whether the run has a `report.json`. Without one it reads as invalid, whole or not.
    pub reported: bool,
    /// The files that are known to be as they were signed, whatever became of others; empty where
    /// the signature is not sound.
    pub trusted: Vec<String>,
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

/// Checks a run directory, against `key` where the verifier has one from elsewhere. Never fails:
/// what cannot be read is a problem like any other.
#[must_use]
pub fn verify(directory: &RunDir, key: Option<&KnownKey>) -> Verification {
    verify_with(directory, key, |_| {})
}

/// Does the same and hands over the hash of each leaf of the Merkle tree, from left to right.
pub(crate) fn verify_with(
    directory: &RunDir,
    key: Option<&KnownKey>,
    mut leaf: impl FnMut(Hash) + Send,
) -> Verification {
    let mut problems = Vec::new();
    let signature = signature(directory, &mut problems);
    let mut key_relation = None;
    let mut trusted = Vec::new();
    if let Some(signature) = &signature {
        key_relation = check_signature(signature, key, &mut problems);
        trusted = check_files(directory, signature, &mut problems);
    }
    let is_sound = !problems.iter().any(Problem::concerns_signature);
    // Without a signature the manifest still names the run, so the chains can be followed.
    let run = match &signature {
        Some(signature) => Some(signature.statement.run.clone()),
        None => directory.manifest().ok().map(|manifest| manifest.run),
    };
    let statement = signature.as_ref().map(|signature| &signature.statement);
    let mut tree = Tree::default();
    let mut sound = Vec::new();
    let mut counts = [None, None];
    for (journal, count) in [Journal::Effects, Journal::Transcript].into_iter().zip(&mut counts) {
        let signed = statement.map(|statement| statement.journal(journal));
        let grow = |hash| {
            tree.push(hash);
            leaf(hash);
        };
        match follow::follow(directory, journal, run.as_deref(), grow) {
            Ok(None) => {
                if signed.flatten().is_some() {
                    problems.push(Problem::Missing { file: sign::file_name(journal).into() });
                }
            }
            Ok(Some(followed)) => {
                *count = Some(followed.lines);
                match follow::judge(directory, journal, run.as_deref(), &followed, signed) {
                    Some(problem) => problems.push(problem),
                    None => sound.push(journal),
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    // Sound chains under another root: the heads agree too only where SHA-256 is broken, so this
    // is the last of several locks and names every journal.
    if let Some(statement) = statement
        && !problems.iter().any(Problem::concerns_lines)
        && hex::encode(tree.root()) != statement.merkle_root
    {
        let rewritten = |journal| Problem::Rewritten { file: sign::file_name(journal).into() };
        problems.extend(sound.drain(..).map(rewritten));
        // Without a line there is no journal to name, and the root is still not that of nothing.
        if !problems.iter().any(Problem::concerns_lines) {
            problems.push(Problem::BadSignature);
        }
    }
    // The signed last link covers every line before it, also where the other journal is broken.
    trusted.extend(sound.into_iter().map(|journal| sign::file_name(journal).to_owned()));
    if !is_sound {
        trusted.clear();
    }
    Verification {
        run,
        public_key: signature.map(|signature| signature.public_key),
        key_given: key.is_some(),
        key_relation,
        effects: counts[0],
        transcript: counts[1],
        reported: directory.has(name::REPORT_JSON),
        trusted,
        problems,
    }
}

fn signature(directory: &RunDir, problems: &mut Vec<Problem>) -> Option<Signature> {
    let read = directory.signature().and_then(|signature| {
        // The digits of a hash can be spelled in two ways, JSON in many: all but one were not
        // written by a signer.
        if directory.read(name::SIGNATURE)? != signature.bytes() {
            problems.push(Problem::Respelled);
        }
        Ok(signature)
    });
    match read {
        Ok(signature) => Some(signature),
        Err(error) if error.is_missing() => {
            problems.push(Problem::Unsigned);
            None
        }
        Err(error) => {
            problems.push(Problem::unreadable(name::SIGNATURE, &error));
            None
        }
    }
}

fn check_signature(
    signature: &Signature,
    key: Option<&KnownKey>,
    problems: &mut Vec<Problem>,
) -> Option<Relation> {
    let relation = key.and_then(|key| signature.relation(key));
    if key.is_some() && relation.is_none() {
        problems.push(Problem::OtherKey);
    }
    if !signature.fits() {
        problems.push(Problem::BadSignature);
    }
    relation
}

/// Compares digests, and gives the files that have theirs.
fn check_files(
    directory: &RunDir,
    signature: &Signature,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let mut whole = Vec::new();
    let signed = &signature.statement.files;
    // A directory that cannot be listed has other problems, told below.
    let reloaded = directory.reloaded_policies().unwrap_or_default();
    let mut names: BTreeSet<&str> =
        signed.keys().map(String::as_str).chain(name::DIGESTED).collect();
    names.extend(reloaded.iter().map(String::as_str));
    for file in names {
        // A name from the file itself must not lead out of the directory.
        if file.contains('/') {
            problems.push(Problem::BadSignature);
            continue;
        }
        let expected = signed.get(file).cloned().flatten();
        let file = file.to_owned();
        match (expected, sign::digest(directory, &file)) {
            (_, Err(error)) => problems.push(Problem::unreadable(&file, &error)),
            (Some(_), Ok(None)) => problems.push(Problem::Missing { file }),
            (None, Ok(Some(_))) => problems.push(Problem::Added { file }),
            (expected, Ok(found)) if expected != found => problems.push(Problem::Changed { file }),
            (Some(_), Ok(Some(_))) => whole.push(file),
            (None, Ok(None)) => {}
        }
    }
    whole
}
