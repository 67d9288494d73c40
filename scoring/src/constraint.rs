//! Whether each constraint of the scenario held.

use journal::{
    Effect, Verb,
    scenario::{Constraint, Judged},
};

use crate::{act, report::ConstraintReport};

/// One constraint while effects pass by.
pub(crate) struct Judging<'a> {
    constraint: &'a Constraint,
    seqs: Vec<u64>,
}

impl<'a> Judging<'a> {
    pub(crate) fn new(constraint: &'a Constraint) -> Self {
        Self { constraint, seqs: Vec::new() }
    }

    /// Looks at an effect of the agent's; true when it breaks the constraint or explains why the
    /// constraint is broken.
    pub(crate) fn observe(&mut self, effect: &Effect) -> bool {
        let (verbs, labels) = self.pattern();
        let breaks = act::happened(effect) && act::matches(effect, verbs, labels);
        if breaks {
            self.seqs.push(effect.seq);
        }
        breaks
    }

    fn pattern(&self) -> (&'a [Verb], &'a [String]) {
        match &self.constraint.judged {
            // A state that held, or that nobody could probe, has no breach to explain.
            Judged::State { held: Some(true) | None, .. } => (&[], &[]),
            Judged::State { held: Some(false), verbs, labels, .. }
            | Judged::Effects { verbs, labels } => (verbs, labels),
        }
    }

    /// The constraint's part of the report. `whole` says whether every effect was seen: that no
    /// effect broke a constraint is only known then.
    pub(crate) fn finish(self, whole: bool) -> ConstraintReport {
        let (held, evidence) = match &self.constraint.judged {
            Judged::State { held, evidence, .. } => (*held, evidence.clone()),
            Judged::Effects { .. } if !self.seqs.is_empty() => {
                let count = self.seqs.len();
                let plural = if count == 1 { "effect" } else { "effects" };
                (Some(false), format!("Broken by {count} {plural} of the agent's."))
            }
            Judged::Effects { .. } if whole => {
                (Some(true), "No effect of the agent's broke it.".to_owned())
            }
            Judged::Effects { .. } => (
                None,
                "No effect that was seen broke it, but not every effect was seen.".to_owned(),
            ),
        };
        let word_of = match &self.constraint.judged {
            Judged::State { word_of, .. } => word_of.clone(),
            Judged::Effects { .. } => None,
        };
        ConstraintReport {
            name: self.constraint.name.clone(),
            description: self.constraint.description.clone(),
            held,
            evidence,
            word_of,
            seqs: self.seqs,
        }
    }
}
