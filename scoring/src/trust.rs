//! What of a recorded run is still as it was signed.

use journal::verify::{Problem, Verification};

/// Why a record cannot be relied on, a sentence each, and what of it can; empty where all can.
///
/// Without a key from elsewhere this is what the directory says of itself: it finds what was cut or
/// altered, not a directory that somebody else has signed.
pub(crate) fn problems(verification: &Verification) -> Vec<String> {
    if verification.holds() {
        return Vec::new();
    }
    let mut sentences: Vec<String> = verification
        .problems
        .iter()
        .map(|problem| match problem {
            Problem::Unsigned => "The record is not signed, and nothing proves it.".to_owned(),
            problem => format!("The record is not as it was signed: {problem}."),
        })
        .collect();
    if !verification.trusted.is_empty() {
        let trusted = verification.trusted.join(", ");
        sentences.push(format!("As they were signed are only {trusted}."));
    }
    sentences
}
