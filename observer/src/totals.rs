//! What an observer has counted of all its runs. A run's own series begin with it and end soon after
//! it, so that a run between two scrapes would be nobody's; these stay as long as the observer.

use std::sync::Arc;

use ebpf_common::{Label, Verb, Verdict};
use journal::Effect;
use prometheus::{IntCounterVec, Opts, Registry, proto::MetricFamily};

use crate::metrics::{CLASSES, CONSTRAINTS, DISPOSITIONS, RUN_VERDICTS, help};

/// How a run was judged, as its supervisor says. The observer knows no constraints and no classes.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Judgement {
    /// One of [`RUN_VERDICTS`].
    pub verdict: String,
    /// Names of [`CLASSES`].
    pub classes: Vec<String>,
    /// What became of each safety constraint, one of [`CONSTRAINTS`].
    pub constraints: Vec<String>,
}

impl Judgement {
    /// The first word that no metric has a label for.
    #[must_use]
    pub fn stranger(&self) -> Option<&str> {
        let verdict = std::iter::once((&self.verdict, &RUN_VERDICTS[..]));
        let classes = self.classes.iter().map(|class| (class, &CLASSES[..]));
        let constraints = self.constraints.iter().map(|outcome| (outcome, &CONSTRAINTS[..]));
        let mut words = verdict.chain(classes).chain(constraints);
        words.find(|(word, known)| !known.contains(&word.as_str())).map(|(word, _)| word.as_str())
    }
}

/// Counters over all runs, those that have ended included.
#[derive(Debug)]
pub struct Totals {
    registry: Registry,
    effects: IntCounterVec,
    violations: IntCounterVec,
    subversions: IntCounterVec,
    dropped: IntCounterVec,
    judged: IntCounterVec,
    classed: IntCounterVec,
    constraints: IntCounterVec,
}

impl Totals {
    /// All of them at 0.
    ///
    /// # Panics
    ///
    /// Never: names and labels are constants that the library accepts.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let registry = Registry::new();
        let counters = |name: &str, labels: &[&str]| {
            let options = Opts::new(name, help(name));
            let counters = IntCounterVec::new(options, labels).expect("a valid metric");
            registry.register(Box::new(counters.clone())).expect("registered once");
            counters
        };
        let totals = Self {
            effects: counters("belljar_observer_effects_total", &["verb", "verdict"]),
            violations: counters("belljar_observer_violations_total", &["label", "disposition"]),
            subversions: counters("belljar_observer_subversions_total", &["disposition"]),
            dropped: counters("belljar_observer_effects_dropped_total", &["verb"]),
            judged: counters("belljar_runs_judged_total", &["verdict"]),
            classed: counters("belljar_runs_classed_total", &["class"]),
            constraints: counters("belljar_constraints_judged_total", &["outcome"]),
            registry,
        };
        for verb in Verb::ALL {
            for verdict in Verdict::ALL {
                totals.effects.with_label_values(&[verb.name(), verdict.name()]);
            }
            totals.dropped.with_label_values(&[verb.name()]);
        }
        for disposition in DISPOSITIONS {
            for label in Label::ALL {
                totals.violations.with_label_values(&[label.name(), disposition.name()]);
            }
            totals.subversions.with_label_values(&[disposition.name()]);
        }
        for (counters, values) in [
            (&totals.judged, &RUN_VERDICTS[..]),
            (&totals.classed, &CLASSES[..]),
            (&totals.constraints, &CONSTRAINTS[..]),
        ] {
            for value in values {
                counters.with_label_values(&[*value]);
            }
        }
        Arc::new(totals)
    }

    /// Counts an effect of whatever run; `label` is its object's in the closed set.
    pub(crate) fn effect(&self, effect: &Effect, label: Label) {
        let disposition = effect.disposition.name();
        self.effects.with_label_values(&[effect.verb.name(), effect.verdict.name()]).inc();
        if effect.verdict.is_violation() {
            self.violations.with_label_values(&[label.name(), disposition]).inc();
        }
        if effect.is_agents() && effect.subverts() {
            self.subversions.with_label_values(&[disposition]).inc();
        }
    }

    /// Counts effects of a verb that were lost.
    pub(crate) fn dropped(&self, verb: Verb, more: u64) {
        self.dropped.with_label_values(&[verb.name()]).inc_by(more);
    }

    /// Counts a run that was judged; each of its words must be known.
    pub(crate) fn judged(&self, judgement: &Judgement) {
        self.judged.with_label_values(&[judgement.verdict.as_str()]).inc();
        for class in &judgement.classes {
            self.classed.with_label_values(&[class.as_str()]).inc();
        }
        for outcome in &judgement.constraints {
            self.constraints.with_label_values(&[outcome.as_str()]).inc();
        }
    }

    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judgement_with_a_word_that_no_metric_knows_is_recognised() {
        let known = Judgement {
            verdict: "misaligned".to_owned(),
            classes: vec!["subversion".to_owned(), "overreach".to_owned()],
            constraints: vec!["held".to_owned()],
        };
        assert_eq!(known.stranger(), None);
        let word = || vec!["agent's own".to_owned()];
        for unknown in [
            Judgement { verdict: "agent's own".to_owned(), ..known.clone() },
            Judgement { classes: word(), ..known.clone() },
            Judgement { constraints: word(), ..known },
        ] {
            assert_eq!(unknown.stranger(), Some("agent's own"));
        }
    }
}
