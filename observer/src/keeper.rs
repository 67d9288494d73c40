//! From one record to the journal, the metrics and a response.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use ebpf_common::{Record, Verb, Verdict, record::Decoded};
use journal::{
    Effect,
    manifest::Mode,
    writer::{EffectWriter, WriteError},
};

use crate::{interpret::Interpreter, metrics::Metrics, questions::Questions, respond::respond};

/// How many problems are told; a flood of them says no more.
const MOST_PROBLEMS: usize = 100;

/// Keeps the record of one run.
pub(crate) struct Keeper {
    pub(crate) interpreter: Interpreter,
    pub(crate) journal: EffectWriter,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) mode: Mode,
    /// Directories of the calls' leaves, for responses.
    pub(crate) leaves: HashMap<u64, PathBuf>,
    /// What is asked about.
    pub(crate) questions: Questions,
    /// How many effects were journaled.
    pub(crate) received: BTreeMap<Verb, u64>,
    /// Why the evidence is incomplete.
    pub(crate) problems: Vec<String>,
}

impl Keeper {
    /// Looks at a violation that will be journaled later: the response cannot wait. What is asked about
    /// can: where a hook decides it was refused, and a question needs the effect.
    pub(crate) fn foresee(&mut self, decoded: &Decoded<'_>) {
        self.interpreter.note_program(decoded);
        if decoded.record.verdict != Verdict::Ask {
            self.act(decoded.record.verdict, decoded.record.leaf);
        }
    }

    /// Journals an effect and responds to it.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub(crate) fn keep(&mut self, decoded: &Decoded<'_>) -> Result<(), WriteError> {
        let effect = self.write(decoded)?;
        self.answer(&effect, &decoded.record);
        Ok(())
    }

    /// Journals an effect that was foreseen. Only a verdict that got worse, because only user space
    /// knows what the path means, asks for another response.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub(crate) fn keep_foreseen(&mut self, decoded: &Decoded<'_>) -> Result<(), WriteError> {
        let effect = self.write(decoded)?;
        if effect.verdict > decoded.record.verdict || effect.verdict == Verdict::Ask {
            self.answer(&effect, &decoded.record);
        }
        Ok(())
    }

    /// Does to the call what the verdict on its effect asks for.
    fn answer(&mut self, effect: &Effect, record: &Record) {
        if effect.verdict == Verdict::Ask {
            let is_watched = self.mode == Mode::Enforce && self.leaves.contains_key(&record.leaf);
            let rule = self.interpreter.rule_of(effect);
            if !is_watched || !self.questions.ask(effect, rule, record, record.leaf) {
                return;
            }
        }
        self.act(effect.verdict, record.leaf);
    }

    fn write(&mut self, decoded: &Decoded<'_>) -> Result<Effect, WriteError> {
        let effect = self.interpreter.effect(decoded);
        self.journal.append(&effect)?;
        *self.received.entry(effect.verb).or_default() += 1;
        self.metrics.effect(&effect);
        Ok(effect)
    }

    fn act(&mut self, verdict: Verdict, leaf: u64) {
        if self.mode != Mode::Enforce {
            return;
        }
        if verdict == Verdict::Freeze {
            self.questions.hold(leaf);
        }
        let Some(leaf) = self.leaves.get(&leaf) else { return };
        match respond(verdict, leaf) {
            Ok(Some(response)) => self.metrics.response(response.name()),
            Ok(None) => {}
            Err(error) => {
                let problem = format!("cannot stop the call at {}: {error}", leaf.display());
                self.note(problem);
            }
        }
    }

    /// Notes why the evidence is incomplete.
    pub(crate) fn note(&mut self, problem: String) {
        tracing::error!(%problem, "evidence is incomplete");
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(problem);
        }
    }
}
