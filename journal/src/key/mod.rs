//! The signing key: its file, how one key follows another, and what a verifier knows of it.
//!
//! The file holds the 32 bytes of an Ed25519 secret key, and behind them the record of how this key
//! came to be the signer's, a [`Rotation`] a line. Both in one file, so that a rotation is one
//! rename: there is no moment with a key that the record does not lead to.

mod file;
mod rotation;

use ed25519_dalek::{Signer as _, VerifyingKey};
use serde::{Deserialize, Serialize};

pub use self::{
    file::{KeyError, new, read, rotate, signing_key},
    rotation::Rotation,
};

/// A secret key with the record of its rotations.
#[derive(Clone)]
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    rotations: Vec<Rotation>,
}

impl SigningKey {
    /// The public key, 64 hexadecimal digits.
    #[must_use]
    pub fn public_key(&self) -> String {
        hex::encode(self.key.verifying_key().to_bytes())
    }

    /// How this key came to be the signer's, from the first key on; empty for a first key.
    #[must_use]
    pub fn rotations(&self) -> &[Rotation] {
        &self.rotations
    }

    /// What an auditor needs to be told.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey { public_key: self.public_key(), rotations: self.rotations.clone() }
    }

    /// A signature over these bytes, hexadecimal.
    pub(crate) fn sign(&self, bytes: &[u8]) -> String {
        hex::encode(self.key.sign(bytes).to_bytes())
    }
}

/// The public half of a signing key, as `belljar key show --json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// The Ed25519 key, 64 hexadecimal digits.
    pub public_key: String,
    /// How it came to be the signer's, from the first key on.
    #[serde(default)]
    pub rotations: Vec<Rotation>,
}

/// A key that a verifier has from elsewhere than the directory that it verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    key: VerifyingKey,
    rotations: Vec<Rotation>,
}

/// How the key of a signature is related to the one that the verifier knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// It is that key.
    Same,
    /// It came after that key, by rotations that both sides of each have signed.
    Successor,
    /// It came before that key, likewise.
    Predecessor,
}

impl KnownKey {
    /// Reads 64 hexadecimal digits, or the JSON of a [`PublicKey`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, rotations) = match serde_json::from_str::<PublicKey>(text) {
            Ok(public) => (public.public_key, public.rotations),
            Err(_) => (text.trim().to_owned(), Vec::new()),
        };
        Some(Self { key: verifying_key(&digits)?, rotations })
    }

    /// How the key `signer` is related to this one, by the rotations that the verifier knows and
    /// those that the signer tells. Both sides have signed each, so it does not matter who tells.
    pub(crate) fn relation(&self, signer: &str, told: &[Rotation]) -> Option<Relation> {
        let signer = verifying_key(signer)?;
        if signer == self.key {
            return Some(Relation::Same);
        }
        let signer = hex::encode(signer.to_bytes());
        let known = hex::encode(self.key.to_bytes());
        let rotations: Vec<&Rotation> = self.rotations.iter().chain(told).collect();
        if rotation::leads(&rotations, &known, &signer) {
            Some(Relation::Successor)
        } else if rotation::leads(&rotations, &signer, &known) {
            Some(Relation::Predecessor)
        } else {
            None
        }
    }
}

fn verifying_key(digits: &str) -> Option<VerifyingKey> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

/// Whether `signature` is one over `bytes` by `key`; both hexadecimal.
pub(crate) fn signed(key: &str, bytes: &[u8], signature: &str) -> bool {
    let mut signature_bytes = [0; 64];
    hex::decode_to_slice(signature, &mut signature_bytes).is_ok()
        && verifying_key(key).is_some_and(|key| {
            let signature = ed25519_dalek::Signature::from_bytes(&signature_bytes);
            key.verify_strict(bytes, &signature).is_ok()
        })
}
