//! Which cells of a sweep are done, and how each was carried out.
//!
//! The ledger is replaced whole after each run, so that it never tells of half a run; a run that it does
//! not know yet is looked for in its directory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the ledger's format.
pub const FORMAT: u32 = 1;

/// What was carried out so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Version of this format.
    pub format: u32,
    /// Version of Belljar that carries out the runs.
    pub belljar: String,
    /// By the name of the cell's directory.
    pub runs: BTreeMap<String, Entry>,
}

/// How a cell was carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What came of it.
    pub outcome: Outcome,
    /// The exit code of `belljar run`; `null` where a signal ended it, or the sweep was not there to see it.
    pub exit: Option<i32>,
    /// Wall time, seconds.
    pub seconds: f64,
    /// What it shared with others; `null` for a run that ended while no sweep was there to see it.
    pub shared: Option<Shared>,
    /// What the run said on standard error, where it did not start.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What came of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// There is a run directory, whole and judged.
    Finished,
    /// The run did not start, or left nothing that could be judged. The next start tries again.
    Refused,
}

/// What a run shared with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    /// The processors that it could use.
    pub cpus: Vec<usize>,
    /// Whether no other run of the sweep could use them meanwhile.
    pub own_cpus: bool,
    /// How many other runs of the sweep there were at the same time, at the most.
    pub beside: usize,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(belljar: &str) -> Self {
        Self { format: FORMAT, belljar: belljar.to_owned(), runs: BTreeMap::new() }
    }

    /// Whether a cell is done.
    #[must_use]
    pub fn is_finished(&self, name: &str) -> bool {
        self.runs.get(name).is_some_and(|entry| entry.outcome == Outcome::Finished)
    }

    /// Mean wall time of the finished runs for which `of` holds, seconds.
    pub fn mean_seconds(&self, of: impl Fn(&str) -> bool) -> Option<f64> {
        let finished = self.runs.iter().filter(|(_, entry)| entry.outcome == Outcome::Finished);
        let seconds: Vec<f64> =
            finished.filter(|(name, _)| of(name)).map(|(_, entry)| entry.seconds).collect();
        (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_run_is_tried_again_and_teaches_no_duration() {
        let mut ledger = Ledger::new("1");
        let entry = |outcome, seconds| Entry {
            outcome,
            exit: Some(0),
            seconds,
            shared: None,
            message: String::new(),
        };
        ledger.runs.insert("a".to_owned(), entry(Outcome::Finished, 4.0));
        ledger.runs.insert("b".to_owned(), entry(Outcome::Refused, 0.1));
        assert!(ledger.is_finished("a") && !ledger.is_finished("b") && !ledger.is_finished("c"));
        assert_eq!(ledger.mean_seconds(|_| true), Some(4.0));
        assert_eq!(ledger.mean_seconds(|name| name == "b"), None);
    }
}
