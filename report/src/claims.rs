//! What a report says of more than one effect, so that each such claim leads to its effects.

use std::collections::HashSet;

use journal::escape::visible;
use scoring::{Class, Report};
use serde::Serialize;

use crate::sentences::cut;

/// A claim, with the effects that it rests on.
#[derive(Serialize)]
pub(crate) struct Claim {
    name: String,
    seqs: Vec<u64>,
}

/// All claims of a report. Each has a place, which the page's links name.
pub(crate) struct Claims<'a> {
    all: Vec<(String, &'a [u64])>,
    classes: Vec<Class>,
}

/// The longest name, in characters.
const LONGEST: usize = 60;
/// How many constraints are claims: more are not shown either.
const CONSTRAINTS: usize = 200;

impl<'a> Claims<'a> {
    /// Where the violations are.
    pub(crate) const VIOLATIONS: usize = 0;
    /// Where the effects are that the agent left out.
    pub(crate) const UNDECLARED: usize = 1;

    pub(crate) fn of(report: &'a Report, undeclared: &'a [u64]) -> Self {
        let claim = |name: &str, seqs: &'a [u64]| (visible(&cut(name, LONGEST)).into_owned(), seqs);
        let mut all =
            vec![claim("violations", &report.violations), claim("not declared", undeclared)];
        let classes: Vec<Class> = report.class_evidence.keys().copied().collect();
        for (class, evidence) in &report.class_evidence {
            all.push(claim(class.words(), &evidence.seqs));
        }
        for rule in report.constraints.iter().take(CONSTRAINTS) {
            all.push(claim(&format!("constraint {}", rule.name), &rule.seqs));
        }
        Self { all, classes }
    }

    /// All claims, each with those of its effects that are listed.
    pub(crate) fn listed(&self, listed: &HashSet<u64>) -> Vec<Claim> {
        let listed =
            |seqs: &[u64]| seqs.iter().copied().filter(|seq| listed.contains(seq)).collect();
        self.all
            .iter()
            .map(|(name, seqs)| Claim { name: name.clone(), seqs: listed(seqs) })
            .collect()
    }

    /// The place of a class that the run falls in.
    pub(crate) fn class(&self, class: Class) -> Option<usize> {
        Some(2 + self.classes.iter().position(|other| *other == class)?)
    }

    /// The place of the constraint that the report has there.
    pub(crate) fn constraint(&self, index: usize) -> usize {
        2 + self.classes.len() + index
    }
}
