//! The hash chain over the lines of `effects.jsonl` and `transcript.jsonl`.
//!
//! A line is one JSON object whose last member is its link:
//!
//! ```text
//! {"seq":7,…,"reason":"","chain":"9f86d081…0f00a08"}
//! └────────── body ─────┘└───────── seal ─────────┘
//! ```
//!
//! The seal is always [`SEAL_BYTES`] long: `,"chain":"`, 64 lowercase hexadecimal digits, `"}`. What
//! comes before it is the body, byte for byte. The link is the SHA-256 of the previous line's link
//! (32 bytes, not its spelling) followed by the body. Before the first line stands
//! [`origin`]: the SHA-256 of the journal's domain and the run's name, so that no line can be carried
//! over into another run or from effects into the transcript.
//!
//! Nothing has to be parsed to check a chain, and nothing can be spelled in two ways.

use sha2::{Digest, Sha256};

/// A link: SHA-256 over everything up to and including a line's body.
pub type Link = [u8; 32];

/// Length of the seal at the end of each line, without the newline.
pub const SEAL_BYTES: usize = SEAL_START.len() + 64 + SEAL_END.len();

const SEAL_START: &[u8] = b",\"chain\":\"";
const SEAL_END: &[u8] = b"\"}";

/// Which journal a chain belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Journal {
    /// `effects.jsonl`.
    Effects,
    /// `transcript.jsonl`.
    Transcript,
}

impl Journal {
    /// The text that the origin's hash begins with.
    #[must_use]
    pub const fn domain(self) -> &'static str {
        match self {
            Self::Effects => "belljar effects 1",
            Self::Transcript => "belljar transcript 1",
        }
    }
}

/// The link before the first line: SHA-256 of the domain, a newline and the run's name.
#[must_use]
pub fn origin(journal: Journal, run: &str) -> Link {
    let mut hasher = Sha256::new();
    hasher.update(journal.domain().as_bytes());
    hasher.update(b"\n");
    hasher.update(run.as_bytes());
    hasher.finalize().into()
}

/// The link of a line with this body, after a line with the link `previous`.
#[must_use]
pub fn link(previous: &Link, body: &[u8]) -> Link {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(body);
    hasher.finalize().into()
}

/// Turns a JSON object in `line` into a sealed line without its newline, and returns its link.
///
/// # Panics
///
/// When `line` is not a JSON object with at least one member: every type that is journaled has one.
pub fn seal(previous: &Link, line: &mut Vec<u8>) -> Link {
    let brace = line.pop();
    assert!(
        brace == Some(b'}') && line.len() > 1,
        "a journaled value serialises to an object with members"
    );
    let link = link(previous, line);
    let mut digits = [0; 64];
    hex::encode_to_slice(link, &mut digits).expect("32 bytes are 64 digits");
    line.extend_from_slice(SEAL_START);
    line.extend_from_slice(&digits);
    line.extend_from_slice(SEAL_END);
    link
}

/// A sealed line, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The bytes that the link covers.
    pub body: &'a [u8],
    /// The link that the line states.
    pub link: Link,
}

/// Takes a line (without its newline) apart; `None` when it does not end in a seal.
#[must_use]
pub fn unseal(line: &[u8]) -> Option<Sealed<'_>> {
    let (body, seal) = line.split_at_checked(line.len().checked_sub(SEAL_BYTES)?)?;
    let digits = seal.strip_prefix(SEAL_START)?.strip_suffix(SEAL_END)?;
    if digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut link = [0; 32];
    hex::decode_to_slice(digits, &mut link).ok()?;
    Some(Sealed { body, link })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_line_is_json_and_comes_apart_into_its_body() {
        let first = origin(Journal::Effects, "abcd1234");
        let mut line = br#"{"seq":7}"#.to_vec();
        let link = seal(&first, &mut line);
        let json: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(json["seq"], 7);
        assert_eq!(json["chain"], hex::encode(link));
        assert_eq!(unseal(&line), Some(Sealed { body: br#"{"seq":7"#, link }));
    }

    #[test]
    fn the_link_is_the_documented_hash() {
        let first = origin(Journal::Effects, "abcd1234");
        assert_eq!(first, <Link>::from(Sha256::digest(b"belljar effects 1\nabcd1234")));
        let mut line = br#"{"a":1}"#.to_vec();
        let expected = <Link>::from(Sha256::digest([&first[..], br#"{"a":1"#].concat()));
        assert_eq!(seal(&first, &mut line), expected);
    }

    #[test]
    fn journals_and_runs_have_origins_of_their_own() {
        let origins = [
            origin(Journal::Effects, "a"),
            origin(Journal::Effects, "b"),
            origin(Journal::Transcript, "a"),
        ];
        assert_ne!(origins[0], origins[1]);
        assert_ne!(origins[0], origins[2]);
    }

    #[test]
    fn a_line_without_a_well_spelled_seal_does_not_come_apart() {
        let mut line = br#"{"a":1}"#.to_vec();
        seal(&[0; 32], &mut line);
        assert!(unseal(&line).is_some());
        assert_eq!(unseal(&line[..line.len() - 1]), None);
        assert_eq!(unseal(b"{}"), None);
        let text = String::from_utf8(line).unwrap();
        let (body, digits) = text.split_at(text.len() - 66);
        assert_eq!(unseal(format!("{body}{}", digits.to_uppercase()).as_bytes()), None);
    }
}
