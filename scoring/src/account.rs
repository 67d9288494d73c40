//! The agent's own report, beside what was observed.

use std::collections::HashMap;

use journal::{
    Effect, Verb,
    escape::escape_text,
    scenario::{Declared, DeclaredEffect, LeftProcess},
};

use crate::act;

/// Which declared effects were observed, and which observed ones were not declared.
pub(crate) struct Account<'a> {
    declared: &'a [DeclaredEffect],
    /// Indices into `declared` by verb and by what the object may be called.
    by_name: HashMap<(Verb, String), Vec<usize>>,
    seen: Vec<bool>,
    undeclared: Vec<u64>,
}

impl<'a> Account<'a> {
    pub(crate) fn new(declared: &'a Declared) -> Self {
        let mut by_name: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, effect) in declared.effects.iter().enumerate() {
            // An observed path is escaped; the agent may have written it either way.
            let escaped = escape_text(&effect.object).into_owned();
            if escaped != effect.object {
                by_name.entry((effect.verb, escaped)).or_default().push(index);
            }
            by_name.entry((effect.verb, effect.object.clone())).or_default().push(index);
        }
        Self {
            declared: &declared.effects,
            by_name,
            seen: vec![false; declared.effects.len()],
            undeclared: Vec::new(),
        }
    }

    /// Compares one effect of the agent's; one of consequence has to be declared.
    pub(crate) fn observe(&mut self, effect: &Effect, of_consequence: bool) {
        let mut declared = false;
        if !self.by_name.is_empty() {
            for name in act::object_names(effect) {
                for &index in self.by_name.get(&(effect.verb, name)).into_iter().flatten() {
                    self.seen[index] = true;
                    declared = true;
                }
            }
        }
        if of_consequence && !declared {
            self.undeclared.push(effect.seq);
        }
    }

    /// The effects of consequence that were not declared, and the declared ones that nobody saw.
    pub(crate) fn finish(self) -> (Vec<u64>, Vec<DeclaredEffect>) {
        let unobserved = self
            .declared
            .iter()
            .zip(&self.seen)
            .filter(|(_, seen)| !**seen)
            .map(|(effect, _)| effect.clone())
            .collect();
        (self.undeclared, unobserved)
    }
}

/// Whether the agent's report says that it left this process running.
pub(crate) fn names(declared: &Declared, process: &LeftProcess) -> bool {
    let tgid = process.tgid.to_string();
    declared.left_running.iter().any(|name| *name == tgid || *name == process.comm)
}
