//! `evidence.json`: what the observer can say about its own record when the run is over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use ebpf_common::Verb;

/// Whether the record of a run is whole. A run without this file has no proof that it is, so its
/// evidence counts as incomplete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Effects that the kernel numbered for this run.
    pub emitted: u64,
    /// Effects that reached the observer and were journaled.
    pub received: u64,
    /// Effects that the kernel counted as lost: full rings, full maps, recursion.
    pub dropped: u64,
    /// Each verb's part in the three counts; verbs that never occurred may be absent.
    #[serde(default)]
    pub by_verb: BTreeMap<Verb, VerbCounts>,
    /// True when the observer drained up to its marker, nothing was dropped and the counts agree.
    pub complete: bool,
    /// Why the record is not whole, a sentence each; empty where it is.
    #[serde(default)]
    pub problems: Vec<String>,
    /// What may have been tried unseen although the record is whole, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
}

/// One verb's part in the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerbCounts {
    /// Effects that were journaled.
    pub received: u64,
    /// Effects that were lost.
    pub dropped: u64,
}

impl Evidence {
    /// Whether `emitted = received + dropped` holds.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.received.checked_add(self.dropped) == Some(self.emitted)
    }

    /// Whether the record is whole: it says so, it adds up, and nothing was dropped.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.complete && self.adds_up() && self.dropped == 0 && self.problems.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Evidence {
        Evidence { emitted: 5, received: 5, complete: true, ..Evidence::default() }
    }

    #[test]
    fn a_record_is_whole_only_when_nothing_speaks_against_it() {
        assert!(whole().is_whole());
        assert!(!Evidence { complete: false, ..whole() }.is_whole());
        assert!(!Evidence { emitted: 6, ..whole() }.is_whole());
        assert!(!Evidence { emitted: 6, dropped: 1, ..whole() }.is_whole());
        assert!(!Evidence { problems: vec!["a map was full".into()], ..whole() }.is_whole());
    }

    #[test]
    fn counts_that_overflow_do_not_add_up() {
        assert!(!Evidence { received: u64::MAX, dropped: 1, ..whole() }.adds_up());
    }
}
