//! What another policy would have said to a recorded run, without a kernel.
//!
//! Every effect of the agent's is looked up in the other policy's table. What a run would have gone on
//! to do after another answer, nobody knows: the result speaks of each act as it was tried.

use std::collections::BTreeMap;

use journal::{Effect, Label, RunDir, Tier, Verb, Verdict, files::FileError, reader::LineError};
use policy::{CompileError, Compiled, Policy};
use serde::Serialize;

use crate::act;

/// How many changed effects are told one by one.
pub const SHOWN: usize = 100;

/// What another policy would have said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Simulation {
    /// The run.
    pub run: String,
    /// The other policy's name.
    pub policy: String,
    /// The tier that was granted in the simulation.
    pub tier: Tier,
    /// Effects of the agent's that were looked up.
    pub effects: u64,
    /// Effects with the same verdict.
    pub same: u64,
    /// Effects with another verdict, by verb and by both verdicts.
    pub changed: Vec<ChangeCount>,
    /// The first of them.
    pub examples: Vec<Change>,
}

/// Effects of a verb that went from one verdict to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeCount {
    /// The verb.
    pub verb: Verb,
    /// As recorded.
    pub recorded: Verdict,
    /// As the other policy has it.
    pub simulated: Verdict,
    /// How many.
    pub effects: u64,
}

/// One effect with another verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its number.
    pub seq: u64,
    /// Its call.
    pub call: Option<u64>,
    /// The verb.
    pub verb: Verb,
    /// The object's label.
    pub label: String,
    /// The object: path or process.
    pub object: String,
    /// As recorded.
    pub recorded: Verdict,
    /// As the other policy has it.
    pub simulated: Verdict,
    /// Why.
    pub reason: String,
}

/// Why a run cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A file of the run cannot be read.
    #[error("cannot read the recorded run")]
    File(#[from] FileError),
    /// A line of the journal cannot be read.
    #[error("cannot read the recorded effects")]
    Line(#[from] LineError),
    /// The policy does not fit the run.
    #[error("the policy does not fit the run")]
    Policy(#[source] Box<CompileError>),
}

/// Looks up every effect of a recorded run's agent in `policy`, at the run's tier or at `tier`.
///
/// # Errors
///
/// When the run cannot be read, or the policy names a component that the run's scenario lacks.
pub fn simulate(
    directory: &RunDir,
    policy: &Policy,
    tier: Option<Tier>,
) -> Result<Simulation, SimulateError> {
    let manifest = directory.manifest()?;
    let tier = tier.unwrap_or(manifest.tier);
    let components = directory.scenario()?.components;
    let compiled = policy
        .compile(tier, &components)
        .map_err(|error| SimulateError::Policy(Box::new(error)))?;
    let mut simulation = Simulation {
        run: manifest.run,
        policy: policy.name().to_owned(),
        tier,
        effects: 0,
        same: 0,
        changed: Vec::new(),
        examples: Vec::new(),
    };
    let mut counts = BTreeMap::<_, u64>::new();
    for effect in directory.effects()? {
        let effect = effect?;
        if !effect.is_agents() {
            continue;
        }
        simulation.effects += 1;
        let (simulated, reason) = answer(&compiled, &effect);
        if simulated == effect.verdict {
            simulation.same += 1;
            continue;
        }
        *counts.entry((effect.verb, effect.verdict, simulated)).or_default() += 1;
        if simulation.examples.len() < SHOWN {
            simulation.examples.push(change(effect, simulated, reason()));
        }
    }
    simulation.changed = counts
        .into_iter()
        .map(|((verb, recorded, simulated), effects)| ChangeCount {
            verb,
            recorded,
            simulated,
            effects,
        })
        .collect();
    Ok(simulation)
}

/// The other policy's verdict, and its reason when it is asked for.
fn answer<'a>(compiled: &'a Compiled, effect: &Effect) -> (Verdict, impl FnOnce() -> String + 'a) {
    let by_name = |name: &str| compiled.label_id(name).unwrap_or(Label::Unknown.into());
    let label = by_name(&effect.object.label);
    let to = effect.object.to_label.as_deref().map(by_name);
    let verb = effect.verb;
    let worst = compiled.decisive(verb, label, to);
    let verdict = compiled.verdict(verb, worst);
    let verdict = if act::found_nothing(effect) {
        compiled.verdict_for_absent(verdict, worst)
    } else {
        verdict
    };
    (verdict, move || compiled.reason(verb, worst))
}

fn change(effect: Effect, simulated: Verdict, reason: String) -> Change {
    let object = &effect.object;
    let told = match (&object.path, &object.to, object.tgid) {
        (None, _, None) => object.address.clone().unwrap_or_default(),
        (Some(path), Some(to), _) => format!("{path} to {to}"),
        (Some(path), None, _) => path.clone(),
        (None, _, Some(tgid)) => format!("process {tgid}"),
    };
    Change {
        seq: effect.seq,
        call: effect.call,
        verb: effect.verb,
        object: told,
        label: effect.object.label,
        recorded: effect.verdict,
        simulated,
        reason,
    }
}
