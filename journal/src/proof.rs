//! A proof that one effect is on a run's signed record, which a third party checks alone.
//!
//! It holds the effect's raw line, the path from it to the root of the Merkle tree (an inclusion
//! proof as in RFC 9162, section 2.1.3), and `journal.sig`, which signs the root and the number of
//! lines. It tells nothing of the run's other lines but their number.

use serde::{Deserialize, Serialize};

use crate::{
    files::{FileError, RunDir, name},
    key::{KnownKey, Relation},
    merkle::{self, Hash},
    reader::{LineError, RawLines},
    sign::Signature,
    verify::{Problem, verify_with},
};

/// What this version writes and reads.
const FORMAT: u32 = 1;

/// A proof for one effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Version of the proof's format: 1.
    pub proof: u32,
    /// The line's number in `effects.jsonl`, from 1.
    pub line: u64,
    /// The line, seal included, newline not.
    pub text: String,
    /// Siblings from the leaf to the root, hexadecimal.
    pub path: Vec<String>,
    /// `journal.sig` of the run.
    pub signed: Signature,
}

/// Why no proof can be made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The directory is not as it was signed.
    #[error("nothing can be proved of a directory that is not as it was signed")]
    NotWhole {
        /// What is wrong with it.
        problems: Vec<Problem>,
    },
    /// No line has this number.
    #[error("the run has no effect {seq}")]
    NoSuchEffect {
        /// The number that was asked for.
        seq: u64,
    },
    /// The line is not UTF-8, which no writer writes.
    #[error("line {line} of effects.jsonl is not text")]
    NotText {
        /// The line's number, from 1.
        line: u64,
    },
    /// A file cannot be read.
    #[error("the effect cannot be looked up")]
    File(#[from] FileError),
    /// The journal cannot be read to its end.
    #[error("the effect cannot be looked up")]
    Line(#[from] LineError),
}

/// What is wrong with a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ProofProblem {
    /// A newer version has made it.
    #[error("the proof has a format that this version of Belljar does not know")]
    Newer,
    /// The signature is not one of the key's over the statement.
    #[error("the signature does not fit the statement and the key")]
    BadSignature,
    /// It was signed with another key than the one that the verifier named.
    #[error(
        "signed with another key than the one given, and no record of rotations leads from one to \
         the other"
    )]
    OtherKey,
    /// The line is not among the signed effects.
    #[error("the line is not the one that was signed as this effect of the run")]
    NotIncluded,
}

/// What checking a proof found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// The run's name, as signed.
    pub run: String,
    /// The line's number in `effects.jsonl`, from 1.
    pub line: u64,
    /// How many effects the run has, as signed.
    pub effects: u64,
    /// The effect, as the line tells it; `null` where it does not read as one.
    pub effect: serde_json::Value,
    /// The key that the proof says it was signed with, hexadecimal.
    pub public_key: String,
    /// Whether the verifier named a key; otherwise the proof only agrees with itself.
    pub key_given: bool,
    /// How the key of the signature is related to the key given.
    pub key_relation: Option<Relation>,
    /// What is wrong; empty where the proof holds.
    pub problems: Vec<ProofProblem>,
}

impl Checked {
    /// Whether the effect is proved.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Makes a proof for the effect that the kernel numbered `seq`.
///
/// # Errors
///
/// When the directory is not as it was signed, or has no such effect.
pub fn prove(directory: &RunDir, seq: u64) -> Result<Proof, ProveError> {
    let mut leaves: Vec<Hash> = Vec::new();
    let verification = verify_with(directory, None, |leaf| leaves.push(leaf));
    if !verification.holds() {
        return Err(ProveError::NotWhole { problems: verification.problems });
    }
    let (line, text) = find(directory, seq)?;
    let index = usize::try_from(line - 1).expect("as many lines as leaves in memory");
    Ok(Proof {
        proof: FORMAT,
        line,
        text,
        path: merkle::path(&leaves, index).iter().map(hex::encode).collect(),
        signed: directory.signature()?,
    })
}

fn find(directory: &RunDir, seq: u64) -> Result<(u64, String), ProveError> {
    #[derive(Deserialize)]
    struct Numbered {
        seq: u64,
    }
    let missing = || ProveError::NoSuchEffect { seq };
    let mut lines = match RawLines::open(directory, name::EFFECTS) {
        Err(error) if error.is_missing() => return Err(missing()),
        lines => lines?,
    };
    while let Some((line, text)) = lines.next_line()? {
        if serde_json::from_slice::<Numbered>(text).is_ok_and(|numbered| numbered.seq == seq) {
            let text = std::str::from_utf8(text).map_err(|_| ProveError::NotText { line })?;
            return Ok((line, text.to_owned()));
        }
    }
    Err(missing())
}

impl Proof {
    /// Checks the proof, against `key` where the verifier has one from elsewhere. It needs nothing
    /// of the run directory.
    #[must_use]
    pub fn check(&self, key: Option<&KnownKey>) -> Checked {
        let statement = &self.signed.statement;
        let key_relation = key.and_then(|key| self.signed.relation(key));
        let effects = statement.effects.as_ref().map_or(0, |effects| effects.lines);
        let mut problems = Vec::new();
        let mut say = |wrong, problem| {
            if wrong {
                problems.push(problem);
            }
        };
        say(self.proof != FORMAT, ProofProblem::Newer);
        say(!self.signed.fits(), ProofProblem::BadSignature);
        say(key.is_some() && key_relation.is_none(), ProofProblem::OtherKey);
        say(
            self.root(effects).is_none_or(|root| root != statement.merkle_root),
            ProofProblem::NotIncluded,
        );
        Checked {
            run: statement.run.clone(),
            line: self.line,
            effects,
            effect: serde_json::from_str(&self.text).unwrap_or_default(),
            public_key: self.signed.public_key.clone(),
            key_given: key.is_some(),
            key_relation,
            problems,
        }
    }

    /// The root that the line and its path lead to; `None` where this is not the place of an effect.
    fn root(&self, effects: u64) -> Option<String> {
        let transcript = self.signed.statement.transcript.as_ref();
        let size = effects.checked_add(transcript.map_or(0, |transcript| transcript.lines))?;
        let index = self.line.checked_sub(1).filter(|index| *index < effects)?;
        let path = self.path.iter().map(|digits| {
            let mut hash = [0; 32];
            hex::decode_to_slice(digits, &mut hash).ok().map(|()| hash)
        });
        let path = path.collect::<Option<Vec<Hash>>>()?;
        let leaf = merkle::leaf(self.text.as_bytes());
        Some(hex::encode(merkle::root_of_path(&leaf, index, size, &path)?))
    }
}
