//! `journal.sig`: one signature over everything that a run's verdict is computed from.
//!
//! The [`Statement`] names the journals' lengths, last links and common Merkle root, and the digest
//! of each file that is derived from nothing else. What is signed is [`SIGNED_PREFIX`] followed by
//! the statement as compact JSON, its keys in the order of the struct: exactly the bytes of the
//! member `statement` as the file spells it.
//!
//! The Merkle tree is RFC 6962's over SHA-256 ([`crate::merkle`]). Its leaves' data are the SHA-256
//! of each line of `effects.jsonl` and then of each line of `transcript.jsonl`, seals included,
//! newlines not.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use crate::key::{SigningKey, signing_key};
use crate::{
    chain::{self, Journal},
    files::{FileError, RunDir, name, os},
    key::{self, KeyError, KnownKey, Relation, Rotation},
    merkle::{self, Tree},
    reader::{LineError, RawLines},
};

/// What the signed bytes begin with, so that the key's signatures mean nothing elsewhere.
pub const SIGNED_PREFIX: &[u8] = b"belljar journal 1\n";

/// `journal.sig`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// What is signed.
    pub statement: Statement,
    /// The Ed25519 key that the signature holds for, hexadecimal.
    pub public_key: String,
    /// The Ed25519 signature, hexadecimal.
    pub signature: String,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The run's name, from which both chains start.
    pub run: String,
    /// `effects.jsonl`; `null` where the run has none.
    pub effects: Option<JournalSummary>,
    /// `transcript.jsonl`; `null` where the run has none.
    pub transcript: Option<JournalSummary>,
    /// Root of the Merkle tree over the lines of both, hexadecimal.
    pub merkle_root: String,
    /// SHA-256 of each file that is derived from nothing else, hexadecimal; `null` for one that
    /// does not exist, so that it cannot be added later.
    pub files: BTreeMap<String, Option<String>>,
    /// How the key came to be the signer's, from the first key on; absent for a first key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rotations: Vec<Rotation>,
}

/// A journal's length and end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalSummary {
    /// Number of whole lines.
    pub lines: u64,
    /// The last line's link, hexadecimal: the origin's where there is no line.
    pub head: String,
    /// SHA-256 of what stood behind the last whole line, hexadecimal; absent where nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<String>,
}

/// Why a run directory could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key cannot be had.
    #[error("no key to sign with")]
    Key(#[from] KeyError),
    /// A file cannot be read, or the signature not be written.
    #[error("a file of the run cannot be signed")]
    File(#[from] FileError),
    /// A journal cannot be read to its end.
    #[error("a journal of the run cannot be signed")]
    Line(#[from] LineError),
}

impl Statement {
    /// The bytes that a signature is over.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = SIGNED_PREFIX.to_vec();
        serde_json::to_writer(&mut bytes, self).expect("strings and numbers have a JSON form");
        bytes
    }

    /// What is said of a journal.
    pub(crate) fn journal(&self, journal: Journal) -> Option<&JournalSummary> {
        match journal {
            Journal::Effects => self.effects.as_ref(),
            Journal::Transcript => self.transcript.as_ref(),
        }
    }
}

impl Signature {
    /// The bytes of `journal.sig`, as a signer writes them.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        // What the signature is not over could be spelled with other digits for the same bytes.
        let written = Self {
            public_key: self.public_key.to_ascii_lowercase(),
            signature: self.signature.to_ascii_lowercase(),
            ..self.clone()
        };
        let mut bytes = serde_json::to_vec(&written).expect("strings and numbers have a JSON form");
        bytes.push(b'\n');
        bytes
    }

    /// Whether the signature is one over the statement by the key that it names.
    pub(crate) fn fits(&self) -> bool {
        key::signed(&self.public_key, &self.statement.signed_bytes(), &self.signature)
    }

    /// How the key that it names is related to one that a verifier knows.
    pub(crate) fn relation(&self, known: &KnownKey) -> Option<Relation> {
        known.relation(&self.public_key, &self.statement.rotations)
    }
}

/// Signs a run directory as it is and writes `journal.sig`. Called once, when every file that the
/// signature covers is final.
///
/// A torn last line is left out of the count and of the tree, its digest is signed; it makes the
/// run's evidence incomplete, and verification names it.
///
/// # Errors
///
/// When a file cannot be read or the signature not be written.
pub fn sign(directory: &RunDir, run: &str, key: &SigningKey) -> Result<Signature, SignError> {
    let mut tree = Tree::default();
    let effects = summarise(directory, Journal::Effects, run, &mut tree)?;
    let transcript = summarise(directory, Journal::Transcript, run, &mut tree)?;
    let mut files = BTreeMap::new();
    let reloaded = directory.reloaded_policies()?;
    for name in name::DIGESTED.into_iter().chain(reloaded.iter().map(String::as_str)) {
        files.insert(name.to_owned(), digest(directory, name)?);
    }
    let statement = Statement {
        run: run.to_owned(),
        effects,
        transcript,
        merkle_root: hex::encode(tree.root()),
        files,
        rotations: key.rotations().to_vec(),
    };
    let signature = Signature {
        public_key: key.public_key(),
        signature: key.sign(&statement.signed_bytes()),
        statement,
    };
    directory.replace(name::SIGNATURE, &signature.bytes())?;
    Ok(signature)
}

/// The file of a journal.
pub(crate) const fn file_name(journal: Journal) -> &'static str {
    match journal {
        Journal::Effects => name::EFFECTS,
        Journal::Transcript => name::TRANSCRIPT,
    }
}

fn summarise(
    directory: &RunDir,
    journal: Journal,
    run: &str,
    tree: &mut Tree,
) -> Result<Option<JournalSummary>, SignError> {
    let mut lines = match RawLines::open(directory, file_name(journal)) {
        Ok(lines) => lines,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut head = chain::origin(journal, run);
    let mut count = 0;
    let torn = loop {
        match lines.next_line() {
            Ok(Some((_, line))) => {
                tree.push(merkle::leaf(line));
                if let Some(sealed) = chain::unseal(line) {
                    head = sealed.link;
                }
                count += 1;
            }
            Ok(None) => break None,
            Err(LineError::Torn { .. }) => break Some(torn_digest(&lines)),
            Err(error) => return Err(error.into()),
        }
    };
    Ok(Some(JournalSummary { lines: count, head: hex::encode(head), torn }))
}

/// SHA-256 of the part of a line at which a file ended, hexadecimal.
pub(crate) fn torn_digest(lines: &RawLines) -> String {
    hex::encode(Sha256::digest(lines.last_read()))
}

/// SHA-256 of a file's bytes, hexadecimal; `None` for one that does not exist.
pub(crate) fn digest(directory: &RunDir, name: &str) -> Result<Option<String>, FileError> {
    let path: PathBuf = directory.file(name);
    let mut file = match directory.reader(name) {
        Ok(file) => file,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some(hex::encode(hasher.finalize()))),
            Ok(bytes) => hasher.update(&buffer[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(os("read", &path)(source)),
        }
    }
}
