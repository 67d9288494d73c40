//! Where two judged runs differ: what they were granted, what came of it, what their agents did.
//!
//! Process ids and numbers of calls and effects differ between any two runs, so that acts are
//! compared by verb and object, and an object that is a process by its label.

use std::collections::BTreeMap;

use journal::{Effect, Verb, Verdict};
use serde::Serialize;

use crate::{Class, Record, Report, RunVerdict};

/// How many acts of one side only are told one by one.
pub const SHOWN: usize = 100;

/// Where two runs differ. What is the same in both is left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The runs' names.
    pub runs: Pair<String>,
    /// Their verdicts, also where they are the same.
    pub verdicts: Pair<RunVerdict>,
    /// What they were granted and where they ran.
    pub setting: Vec<Setting>,
    /// Classes that only one of them falls in.
    pub classes: Pair<Vec<Class>>,
    /// Constraints that held in one and not in the other, or that only one of them has.
    pub constraints: Vec<Constraint>,
    /// The objective at the end, where both have one of this name; also where it is the same.
    pub objective: Option<Objective>,
    /// Counts that differ, by what is counted.
    pub counts: BTreeMap<&'static str, Pair<u64>>,
    /// Effects of the agents by verb and verdict, where their numbers differ.
    pub effects: Vec<Effects>,
    /// Acts that weigh and that only one of the agents tried; of each run's first 400.
    pub acts: Pair<Vec<Act>>,
    /// How many more there are of each.
    pub more_acts: Pair<u64>,
}

/// The same of both runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pair<T> {
    /// Of the first run.
    pub before: T,
    /// Of the second.
    pub after: T,
}

/// Something that the runs were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its key in the manifest.
    pub name: &'static str,
    /// What each was given.
    #[serde(flatten)]
    pub values: Pair<String>,
}

/// Whether a constraint held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Constraint {
    /// Its name.
    pub name: String,
    /// `held`, `broken`, `unknown`, or `absent` where a run has no such constraint.
    #[serde(flatten)]
    pub held: Pair<&'static str>,
}

/// What was measured at the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Objective {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// The independent measure.
    pub measured: Pair<Option<f64>>,
    /// What the system says of itself.
    pub proxy: Pair<Option<f64>>,
}

/// Effects of a verb and a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effects {
    /// The verb.
    pub verb: Verb,
    /// The verdict.
    pub verdict: Verdict,
    /// How many.
    #[serde(flatten)]
    pub effects: Pair<u64>,
}

/// Something that only one of the agents tried.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Act {
    /// The verb.
    pub verb: Verb,
    /// A path, and where a rename goes; or `a process`.
    pub object: String,
    /// The object's label.
    pub label: String,
    /// What the policy said.
    pub verdict: Verdict,
    /// `seq` of the first.
    pub seq: u64,
    /// How many.
    pub times: u64,
}

impl Difference {
    /// Whether the runs came to the same verdict, classes and constraints, and their agents did the
    /// same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.verdicts.before == self.verdicts.after
            && self.setting.is_empty()
            && self.constraints.is_empty()
            && self.counts.is_empty()
            && self.effects.is_empty()
            && [&self.classes.before, &self.classes.after].iter().all(|list| list.is_empty())
            && [&self.acts.before, &self.acts.after].iter().all(|list| list.is_empty())
    }
}

impl<T> Pair<T> {
    fn of<S>(sides: [S; 2], mut of: impl FnMut(S) -> T) -> Self {
        let [before, after] = sides;
        Self { before: of(before), after: of(after) }
    }
}

impl<T: PartialEq> Pair<T> {
    fn differs(&self) -> bool {
        self.before != self.after
    }
}

/// Compares two judged runs.
#[must_use]
pub fn diff(before: (&Report, &Record), after: (&Report, &Record)) -> Difference {
    let reports = [before.0, after.0];
    let acts = reports.map(|report| acts(&report.notable));
    let only = |one: usize, other: usize| -> (Vec<Act>, u64) {
        let only: Vec<&Act> = acts[one]
            .iter()
            .filter(|(key, _)| !acts[other].contains_key(*key))
            .map(|(_, act)| act)
            .collect();
        let more = only.len().saturating_sub(SHOWN) as u64;
        (only.into_iter().take(SHOWN).cloned().collect(), more)
    };
    let (only_before, only_after) = (only(0, 1), only(1, 0));
    let missing = |of: usize, other: usize| {
        let classes = reports[of].classes.iter().copied();
        classes.filter(|class| !reports[other].classes.contains(class)).collect()
    };
    Difference {
        runs: Pair::of(reports, |report| report.run.clone()),
        verdicts: Pair::of(reports, |report| report.verdict),
        setting: setting([before.1, after.1]),
        classes: Pair { before: missing(0, 1), after: missing(1, 0) },
        constraints: constraints(reports),
        objective: objective(reports),
        counts: counts(reports),
        effects: effects(reports),
        acts: Pair { before: only_before.0, after: only_after.0 },
        more_acts: Pair { before: only_before.1, after: only_after.1 },
    }
}

fn setting(records: [&Record; 2]) -> Vec<Setting> {
    let manifests = records.map(|record| &record.manifest);
    let none = || "none".to_owned();
    let settings = [
        ("scenario", Pair::of(manifests, |manifest| manifest.scenario.clone())),
        ("agent", Pair::of(manifests, |manifest| manifest.agent.clone())),
        (
            "command",
            Pair::of(manifests, |manifest| match &manifest.command[..] {
                [] => none(),
                command => command.join(" "),
            }),
        ),
        ("tier", Pair::of(manifests, |manifest| manifest.tier.to_string())),
        ("mode", Pair::of(manifests, |manifest| manifest.mode.name().to_owned())),
        ("seed", Pair::of(manifests, |manifest| manifest.seed.to_string())),
        ("policy_sha256", Pair::of(manifests, |manifest| manifest.policy_sha256.clone())),
        (
            "probe_set",
            Pair::of(manifests, |manifest| {
                manifest.probe_set.map_or_else(none, |set| set.name().to_owned())
            }),
        ),
        ("host", Pair::of(manifests, |manifest| manifest.host.clone())),
        ("kernel", Pair::of(manifests, |manifest| manifest.kernel.clone())),
        ("belljar", Pair::of(manifests, |manifest| manifest.belljar.clone())),
    ];
    settings
        .into_iter()
        .filter(|(_, values)| values.differs())
        .map(|(name, values)| Setting { name, values })
        .collect()
}

fn constraints(reports: [&Report; 2]) -> Vec<Constraint> {
    let mut held: BTreeMap<&str, [&'static str; 2]> = BTreeMap::new();
    for (side, report) in reports.iter().enumerate() {
        for rule in &report.constraints {
            held.entry(&rule.name).or_insert(["absent"; 2])[side] = match rule.held {
                Some(true) => "held",
                Some(false) => "broken",
                None => "unknown",
            };
        }
    }
    held.into_iter()
        .filter(|(_, [before, after])| before != after)
        .map(|(name, [before, after])| Constraint {
            name: name.to_owned(),
            held: Pair { before, after },
        })
        .collect()
}

fn objective(reports: [&Report; 2]) -> Option<Objective> {
    let [before, after] = reports.map(|report| report.objective.as_ref());
    let objectives = [before?, after?];
    let [before, after] = objectives;
    if (&before.name, &before.unit) != (&after.name, &after.unit) {
        return None;
    }
    Some(Objective {
        name: before.name.clone(),
        unit: before.unit.clone(),
        measured: Pair::of(objectives, |objective| objective.measured),
        proxy: Pair::of(objectives, |objective| objective.proxy),
    })
}

fn counts(reports: [&Report; 2]) -> BTreeMap<&'static str, Pair<u64>> {
    let counts = [
        ("calls", Pair::of(reports, |report| report.calls.len() as u64)),
        ("violations", Pair::of(reports, |report| report.violations.len() as u64)),
        ("undeclared", Pair::of(reports, |report| report.undeclared.len() as u64)),
        ("dropped", Pair::of(reports, |report| report.evidence.dropped)),
    ];
    counts.into_iter().filter(|(_, counts)| counts.differs()).collect()
}

fn effects(reports: [&Report; 2]) -> Vec<Effects> {
    let mut sums: BTreeMap<(Verb, Verdict), [u64; 2]> = BTreeMap::new();
    for (side, report) in reports.iter().enumerate() {
        for (verb, verdicts) in report.calls.iter().flat_map(|call| &call.did.verbs) {
            for (verdict, effects) in verdicts {
                let sum = &mut sums.entry((*verb, *verdict)).or_default()[side];
                *sum = sum.saturating_add(*effects);
            }
        }
    }
    sums.into_iter()
        .filter(|(_, [before, after])| before != after)
        .map(|((verb, verdict), [before, after])| Effects {
            verb,
            verdict,
            effects: Pair { before, after },
        })
        .collect()
}

/// Verb, object, label, verdict.
type Key = (Verb, String, String, Verdict);

fn acts(notable: &[Effect]) -> BTreeMap<Key, Act> {
    let mut acts: BTreeMap<Key, Act> = BTreeMap::new();
    for effect in notable {
        let object = match (&effect.object.path, &effect.object.to) {
            (Some(path), Some(to)) => format!("{path} to {to}"),
            (Some(path), None) => path.clone(),
            (None, _) => "a process".to_owned(),
        };
        let label = effect.object.label.clone();
        let key = (effect.verb, object.clone(), label.clone(), effect.verdict);
        let act = acts.entry(key).or_insert(Act {
            verb: effect.verb,
            object,
            label,
            verdict: effect.verdict,
            seq: effect.seq,
            times: 0,
        });
        act.times += 1;
    }
    acts
}
