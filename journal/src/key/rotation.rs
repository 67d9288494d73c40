//! One key in the place of another.

use serde::{Deserialize, Serialize};

use super::{SigningKey, signed};

/// What the signed bytes begin with.
const SIGNED_PREFIX: &[u8] = b"belljar key rotation 1\n";

/// A statement that one key takes another's place, signed by both: the old one names its successor,
/// the new one takes up its predecessor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// What is signed.
    #[serde(flatten)]
    statement: Statement,
    /// The old key's Ed25519 signature, hexadecimal.
    signed_by_old: String,
    /// The new key's.
    signed_by_new: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Statement {
    /// The public key until then, hexadecimal.
    old: String,
    /// The public key from then on.
    new: String,
    /// When, RFC 3339 in UTC, as the signers' machine had it.
    time: String,
}

impl Statement {
    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = SIGNED_PREFIX.to_vec();
        serde_json::to_writer(&mut bytes, self).expect("strings have a JSON form");
        bytes
    }
}

impl Rotation {
    /// States that `new` takes the place of `old`.
    pub(super) fn of(old: &SigningKey, new: &SigningKey, time: &str) -> Self {
        let statement =
            Statement { old: old.public_key(), new: new.public_key(), time: time.to_owned() };
        let bytes = statement.signed_bytes();
        Self { signed_by_old: old.sign(&bytes), signed_by_new: new.sign(&bytes), statement }
    }

    /// The key until then.
    #[must_use]
    pub fn old(&self) -> &str {
        &self.statement.old
    }

    /// The key from then on.
    #[must_use]
    pub fn new_key(&self) -> &str {
        &self.statement.new
    }

    /// When, as the signers' machine had it.
    #[must_use]
    pub fn time(&self) -> &str {
        &self.statement.time
    }

    /// Whether both keys have signed it.
    #[must_use]
    pub fn holds(&self) -> bool {
        let bytes = self.statement.signed_bytes();
        signed(self.old(), &bytes, &self.signed_by_old)
            && signed(self.new_key(), &bytes, &self.signed_by_new)
    }
}

/// Whether rotations that hold lead from one key to another.
pub(super) fn leads(rotations: &[&Rotation], from: &str, to: &str) -> bool {
    let mut reached = vec![from];
    let mut next = 0;
    while let Some(key) = reached.get(next).copied() {
        if key == to {
            return true;
        }
        for rotation in rotations {
            let new = rotation.new_key();
            if rotation.old() == key && !reached.contains(&new) && rotation.holds() {
                reached.push(new);
            }
        }
        next += 1;
    }
    false
}
