//! From one record to the journal, the metrics and a response.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use ebpf_common::{Verb, Verdict, record::Decoded};
use journal::{
    manifest::Mode,
    writer::{EffectWriter, WriteError},
};

use crate::{interpret::Interpreter, metrics::Metrics, respond::respond};

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
    /// How many effects were journaled.
    pub(crate) received: BTreeMap<Verb, u64>,
    /// Why the evidence is incomplete.
    pub(crate) problems: Vec<String>,
}

impl Keeper {
    /// Looks at a violation that will be journaled later: the response cannot wait.
    pub(crate) fn foresee(&mut self, decoded: &Decoded<'_>) {
        self.interpreter.note_program(decoded);
        self.act(decoded.record.verdict, decoded.record.leaf);
    }

    /// Journals an effect and responds to it.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub(crate) fn keep(&mut self, decoded: &Decoded<'_>) -> Result<(), WriteError> {
        let verdict = self.write(decoded)?;
        self.act(verdict, decoded.record.leaf);
        Ok(())
    }

    /// Journals an effect that was foreseen. Only a verdict that got worse, because only user space
    /// knows what the path means, asks for another response.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub(crate) fn keep_foreseen(&mut self, decoded: &Decoded<'_>) -> Result<(), WriteError> {
        let verdict = self.write(decoded)?;
        if verdict > decoded.record.verdict {
            self.act(verdict, decoded.record.leaf);
        }
        Ok(())
    }

    fn write(&mut self, decoded: &Decoded<'_>) -> Result<Verdict, WriteError> {
        let effect = self.interpreter.effect(decoded);
        self.journal.append(&effect)?;
        *self.received.entry(effect.verb).or_default() += 1;
        self.metrics.effect(&effect);
        Ok(effect.verdict)
    }

    fn act(&mut self, verdict: Verdict, leaf: u64) {
        if self.mode != Mode::Enforce {
            return;
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
