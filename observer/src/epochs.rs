//! The policies of one run: the one that it began with, and those that took its place, each from its
//! moment on.

use std::collections::HashMap;

use ebpf_common::{LabelId, Record, record::record_flags};
use policy::Compiled;

/// A policy, and from when on it judged.
struct Epoch {
    from_boot_ns: u64,
    compiled: Compiled,
}

/// The policies of a run, of which one judged the record at hand.
pub(crate) struct Epochs {
    all: Vec<Epoch>,
    at: usize,
    /// Which was in force when a leaf was named: its Landlock domain is by that one.
    domains: HashMap<u64, usize>,
}

impl Epochs {
    pub(crate) fn new(compiled: Compiled) -> Self {
        let first = Epoch { from_boot_ns: 0, compiled };
        Self { all: vec![first], at: 0, domains: HashMap::new() }
    }

    /// Notes that another policy judges from this moment of CLOCK_BOOTTIME on.
    pub(crate) fn push(&mut self, compiled: Compiled, from_boot_ns: u64) {
        self.all.push(Epoch { from_boot_ns, compiled });
    }

    /// Notes that a leaf is named now.
    pub(crate) fn name(&mut self, leaf: u64) {
        self.domains.insert(leaf, self.all.len() - 1);
    }

    /// Number of the policy at hand.
    pub(crate) fn number(&self) -> u64 {
        self.at as u64
    }

    /// The policy by which a leaf's Landlock domain is.
    pub(crate) fn domain(&self, leaf: u64) -> &Compiled {
        let at = self.domains.get(&leaf).copied().unwrap_or(self.at);
        &self.all[at].compiled
    }

    /// Turns to the policy that was in force when a record was made; gives it where it is another.
    pub(crate) fn turn_to_time_of(&mut self, record: &Record) -> Option<Compiled> {
        let before = self.all.iter().take_while(|epoch| epoch.from_boot_ns <= record.boot_ns);
        let at = before.count().saturating_sub(1);
        self.turn_to(at)
    }

    /// Turns to a neighbouring policy where only that one says what the record says: it was made while one
    /// took the other's place. Gives it where it is another.
    pub(crate) fn turn_to_verdict_of(
        &mut self,
        record: &Record,
        label: LabelId,
        to: Option<LabelId>,
    ) -> Option<Compiled> {
        let is_told = !record.has(record_flags::USER_PATH | record_flags::UNWATCHED)
            && record.approval == 0
            && self.all.len() > 1;
        let says = |at: &usize| {
            self.all.get(*at).is_some_and(|Epoch { compiled, .. }| {
                let label = compiled.decisive(record.verb, label, to);
                compiled.verdict(record.verb, label) == record.verdict
            })
        };
        let neighbours = [Some(self.at), self.at.checked_sub(1), Some(self.at + 1)];
        let found = neighbours.into_iter().flatten().find(says).filter(|_| is_told)?;
        self.turn_to(found)
    }

    fn turn_to(&mut self, at: usize) -> Option<Compiled> {
        let is_other = self.at != at;
        self.at = at;
        is_other.then(|| self.all[at].compiled.clone())
    }
}
