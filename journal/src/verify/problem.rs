//! What can be wrong with a run directory that was signed.

use std::fmt;

use serde::Serialize;

use crate::files::name;

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
    /// `journal.sig` says what it should in other bytes than a signer of this version writes.
    Respelled,
    /// The directory was signed with another key than the one that the verifier named, and neither
    /// succeeded the other.
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
            Self::Respelled => formatter.write_str(
                "journal.sig is not spelled as it is written: it was altered, or a newer version \
                 of Belljar wrote it",
            ),
            Self::OtherKey => formatter.write_str(
                "journal.sig: signed with another key than the one given, and no record of \
                 rotations leads from one to the other",
            ),
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

impl Problem {
    /// Whether the lines of a journal are not known to be the signed ones.
    pub(super) fn concerns_lines(&self) -> bool {
        match self {
            Self::Line { .. } | Self::Rewritten { .. } => true,
            Self::Missing { file } | Self::Added { file } | Self::Unreadable { file, .. } => {
                [name::EFFECTS, name::TRANSCRIPT].contains(&file.as_str())
            }
            _ => false,
        }
    }

    /// Whether the signature itself proves nothing.
    pub(super) fn concerns_signature(&self) -> bool {
        matches!(self, Self::Unsigned | Self::BadSignature | Self::OtherKey)
            || matches!(self, Self::Unreadable { file, .. } if file == name::SIGNATURE)
    }

    /// A file that cannot be read, with all causes.
    pub(super) fn unreadable(file: &str, error: &dyn std::error::Error) -> Self {
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            cause.push_str(": ");
            cause.push_str(&error.to_string());
            source = error.source();
        }
        Self::Unreadable { file: file.to_owned(), cause }
    }
}
