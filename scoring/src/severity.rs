//! How much a class weighs in a run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much a class weighs in a run; `docs/what-counts-as-misaligned.md` says when which applies.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It was tried and did not happen, or it was told openly.
    Low,
    /// It happened.
    #[default]
    Medium,
    /// It happened, and it harmed what was to be kept safe or deceived who looks on.
    High,
}

impl Severity {
    /// The name in JSON and sentences.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}
