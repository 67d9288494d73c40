//! A scenario as its TOML file declares it.
//!
//! Everything that can be wrong with a file is found here, before anything is started: unknown keys,
//! labels, verbs, components, and numbers out of range. Errors carry the span.

use std::sync::Arc;

use journal::{Tier, Verb};
use miette::{NamedSource, SourceSpan};
use policy::{AddressPattern, Label};
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use crate::{
    component,
    suggestion::{nearest, phrase},
};

/// The version of the format that this crate reads.
const VERSION: u32 = 1;

/// A system under test with its goal, its load and what must not break in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Version of the format: 1.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// What it is, for people.
    pub doc: String,
    /// What the agent is asked to do, with `{{variables}}` of the stage.
    pub instruction: String,
    /// How many turns an agent has.
    pub turns: u32,
    /// How many instances of the agent there may be.
    pub max_instances: u32,
    /// The tier that a run gets when none is asked for.
    #[serde(deserialize_with = "tier")]
    pub default_tier: Tier,
    /// How long each part of a run lasts.
    pub durations: Durations,
    /// Labelled roots.
    #[serde(default, rename = "root")]
    pub roots: Vec<RootEntry>,
    /// Labelled addresses.
    #[serde(default, rename = "address")]
    pub addresses: Vec<AddressEntry>,
    /// Files that the agent is asked to edit in place, relative to the stage.
    #[serde(default)]
    pub writable: Vec<WritableEntry>,
    /// Components, in the order of their labels.
    #[serde(default, rename = "component")]
    pub components: Vec<ComponentEntry>,
    /// The load; a scenario without one has no measure.
    pub load: Option<LoadEntry>,
    /// What is measured.
    pub objective: Option<ObjectiveEntry>,
    /// What must not break.
    #[serde(default, rename = "constraint")]
    pub constraints: Vec<ConstraintEntry>,
}

/// How long each part of a run lasts, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Durations {
    /// From the start of the load to the first window of the baseline.
    pub settle_seconds: f64,
    /// Of the baseline.
    pub baseline_seconds: f64,
    /// Of the last measure, after the agent's last act.
    pub final_seconds: f64,
    /// Of one window of measurement.
    pub window_seconds: f64,
}

/// A labelled root, relative to the stage's directory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootEntry {
    /// Path below the stage's directory.
    pub path: String,
    /// What it means to the policy.
    #[serde(deserialize_with = "label")]
    pub label: Label,
}

/// Addresses that share a label.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressEntry {
    /// `tcp:ADDRESS:PORT` or `udp:ADDRESS:PORT`, with `*` for every address or port.
    #[serde(deserialize_with = "pattern")]
    pub address: AddressPattern,
    /// What it means to the policy.
    #[serde(deserialize_with = "label")]
    pub label: Label,
}

/// A file that the agent is asked to edit in place.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WritableEntry {
    /// Path below the stage's directory.
    pub path: String,
}

/// A component, by the name of its code.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentEntry {
    /// Its name: one of [`crate::COMPONENT_NAMES`].
    pub name: Spanned<String>,
    /// Its nice value, -20 to 19.
    #[serde(default)]
    pub nice: i32,
}

/// The load and the size of the work that it causes.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadEntry {
    /// Processor time that one request costs the backend.
    pub request_cpu_seconds: f64,
    /// Processor time that one commit of the audit log costs, whatever the number of its records.
    pub commit_cpu_seconds: f64,
    /// Requests offered a second, whether or not they are answered.
    pub rate_per_second: f64,
    /// Connections, each with at most one request in flight.
    pub connections: u32,
}

/// What is measured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveEntry {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Whether more is better.
    pub maximize: bool,
    /// Smallest relative change that counts as one.
    pub threshold: f64,
    /// Largest relative distance of proxy and measure that still counts as agreement.
    pub gap: f64,
}

/// A safety constraint and the probe that judges it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConstraintEntry {
    /// Its name.
    pub name: String,
    /// What it says, in a sentence.
    pub description: String,
    /// What looks whether it held.
    pub probe: Probe,
    /// Verbs of effects that explain a breach.
    #[serde(deserialize_with = "verbs")]
    pub verbs: Vec<Verb>,
    /// Labels of effects that explain a breach.
    pub labels: Vec<Spanned<String>>,
}

/// What looks whether a constraint held.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// The component's first process is there, not stopped, and uses processor time.
    ComponentAlive {
        /// Which component.
        component: String,
    },
    /// The backend's audit log is the same file, never shorter than it was, and has a record for
    /// every answer.
    AuditLogKept,
}

/// A scenario's file is wrong.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot read scenario {file}: {message}")]
pub struct ParseError {
    /// The file's name.
    pub file: String,
    /// What is wrong with it.
    pub message: String,
    #[source_code]
    source_code: Arc<NamedSource<String>>,
    #[label("here")]
    span: Option<SourceSpan>,
}

impl Scenario {
    /// Reads a scenario; `file` is the name that errors give.
    ///
    /// # Errors
    ///
    /// [`ParseError`] with the span of what is wrong.
    pub fn parse(file: &str, source: &str) -> Result<Self, ParseError> {
        let scenario: Self = toml::from_str(source)
            .map_err(|error| ParseError::new(file, source, error.message(), error.span()))?;
        match scenario.check() {
            Ok(()) => Ok(scenario),
            Err(Flaw { message, span }) => Err(ParseError::new(file, source, &message, span)),
        }
    }

    /// The number of the component `name` among the components, which is that of its label.
    #[must_use]
    pub fn component_index(&self, name: &str) -> Option<usize> {
        self.components.iter().position(|component| component.name.get_ref() == name)
    }

    fn check(&self) -> Result<(), Flaw> {
        if self.version != VERSION {
            return Err(Flaw::plain(format!("version is {}, not {VERSION}", self.version)));
        }
        for root in &self.roots {
            check_relative(&root.path)?;
        }
        for writable in &self.writable {
            check_relative(&writable.path)?;
        }
        if self.roots.iter().filter(|root| root.label == Label::Workspace).count() != 1 {
            return Err(Flaw::plain(
                "exactly one [[root]] must be labelled \"workspace\"".to_owned(),
            ));
        }
        for component in &self.components {
            let name = component.name.get_ref().as_str();
            if !component::NAMES.contains(&name) {
                let hint = phrase(nearest(name, component::NAMES.iter().copied()));
                return Err(Flaw::at(
                    format!("no component is named {name:?}{hint}"),
                    component.name.span(),
                ));
            }
            if !(-20..=19).contains(&component.nice) {
                return Err(Flaw::plain(format!("nice of {name:?} is not in -20..=19")));
            }
        }
        for constraint in &self.constraints {
            self.check_constraint(constraint)?;
        }
        self.check_numbers()
    }

    fn check_constraint(&self, constraint: &ConstraintEntry) -> Result<(), Flaw> {
        if let Probe::ComponentAlive { component } = &constraint.probe
            && self.component_index(component).is_none()
        {
            return Err(Flaw::plain(format!(
                "constraint {:?} probes component {component:?}, which the scenario does not have",
                constraint.name
            )));
        }
        if constraint.probe == Probe::AuditLogKept && self.component_index("backend").is_none() {
            return Err(Flaw::plain(format!(
                "constraint {:?} probes the audit log of \"backend\", which the scenario does not have",
                constraint.name
            )));
        }
        for label in &constraint.labels {
            let name = label.get_ref();
            let known = match name.strip_prefix("component:") {
                Some(component) => self.component_index(component).is_some(),
                None => Label::from_name(name).is_some(),
            };
            if !known {
                let hint = phrase(nearest(name, Label::ALL.iter().map(|label| label.name())));
                return Err(Flaw::at(format!("no label is named {name:?}{hint}"), label.span()));
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), Flaw> {
        let Durations { settle_seconds, baseline_seconds, final_seconds, window_seconds } =
            self.durations;
        let mut checks = vec![
            ("durations.settle_seconds", settle_seconds, 0.0..=600.0),
            ("durations.baseline_seconds", baseline_seconds, 0.0..=600.0),
            ("durations.final_seconds", final_seconds, 0.0..=600.0),
            ("durations.window_seconds", window_seconds, 0.1..=60.0),
        ];
        if let Some(load) = &self.load {
            checks.extend([
                ("load.request_cpu_seconds", load.request_cpu_seconds, 0.000_01..=1.0),
                ("load.commit_cpu_seconds", load.commit_cpu_seconds, 0.000_01..=1.0),
                ("load.rate_per_second", load.rate_per_second, 1.0..=100_000.0),
                ("load.connections", f64::from(load.connections), 1.0..=1024.0),
                ("durations.baseline_seconds", baseline_seconds, window_seconds..=600.0),
                ("durations.final_seconds", final_seconds, window_seconds..=600.0),
            ]);
        }
        if let Some(objective) = &self.objective {
            checks.extend([
                ("objective.threshold", objective.threshold, 0.0..=10.0),
                ("objective.gap", objective.gap, 0.0..=10.0),
            ]);
        }
        for (key, value, range) in checks {
            if !range.contains(&value) {
                return Err(Flaw::plain(format!(
                    "{key} is {value}, which is not in {}..={}",
                    range.start(),
                    range.end()
                )));
            }
        }
        if self.objective.is_some() != self.load.is_some() {
            return Err(Flaw::plain("[objective] and [load] come together".to_owned()));
        }
        if self.load.is_none() && !self.constraints.is_empty() {
            return Err(Flaw::plain("[[constraint]] needs a [load], which watches it".to_owned()));
        }
        if self.load.is_some() != self.component_index("backend").is_some() {
            return Err(Flaw::plain(
                "[load] and the component \"backend\" come together".to_owned(),
            ));
        }
        Ok(())
    }
}

/// What is wrong in a file that is well-formed TOML.
struct Flaw {
    message: String,
    span: Option<std::ops::Range<usize>>,
}

impl Flaw {
    const fn plain(message: String) -> Self {
        Self { message, span: None }
    }

    const fn at(message: String, span: std::ops::Range<usize>) -> Self {
        Self { message, span: Some(span) }
    }
}

impl ParseError {
    fn new(file: &str, source: &str, message: &str, span: Option<std::ops::Range<usize>>) -> Self {
        Self {
            file: file.to_owned(),
            message: message.to_owned(),
            source_code: Arc::new(NamedSource::new(file, source.to_owned()).with_language("TOML")),
            span: span.map(Into::into),
        }
    }
}

fn check_relative(path: &str) -> Result<(), Flaw> {
    let plain = !path.is_empty()
        && path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'));
    if plain {
        Ok(())
    } else {
        Err(Flaw::plain(format!("{path:?} is not a plain path below the stage's directory")))
    }
}

fn tier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tier, D::Error> {
    let number = u8::deserialize(deserializer)?;
    Tier::from_number(number)
        .ok_or_else(|| D::Error::custom(format!("there is no tier {number}; tiers are 0 to 5")))
}

fn pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AddressPattern, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn label<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Label, D::Error> {
    let name = String::deserialize(deserializer)?;
    Label::from_name(&name).filter(|label| Label::FOR_PATHS.contains(label)).ok_or_else(|| {
        let known = Label::FOR_PATHS.iter().map(|label| label.name());
        D::Error::custom(format!(
            "no label for paths and addresses is named {name:?}{}",
            phrase(nearest(&name, known))
        ))
    })
}

fn verbs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Verb>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|name| {
            Verb::from_name(name).ok_or_else(|| {
                let known = Verb::ALL.iter().map(|verb| verb.name());
                D::Error::custom(format!(
                    "no verb is named {name:?}{}",
                    phrase(nearest(name, known))
                ))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THROUGHPUT: &str = include_str!("../scenarios/throughput.toml");

    fn error_after(from: &str, to: &str) -> ParseError {
        assert!(THROUGHPUT.contains(from), "{from:?} is not in the file");
        Scenario::parse("test.toml", &THROUGHPUT.replacen(from, to, 1)).unwrap_err()
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_span() {
        let error = error_after("turns = 20", "turnz = 20");
        assert!(error.message.contains("turnz"), "{}", error.message);
        assert!(error.span.is_some());
    }

    #[test]
    fn an_unknown_label_is_refused_with_the_nearest() {
        let error = error_after("label = \"config\"", "label = \"confg\"");
        assert!(error.message.contains("did you mean \"config\"?"), "{}", error.message);
        assert!(error.span.is_some());
    }

    #[test]
    fn an_unknown_verb_is_refused_with_the_nearest() {
        let error = error_after("\"unlink\"", "\"unlnk\"");
        assert!(error.message.contains("did you mean \"unlink\"?"), "{}", error.message);
    }

    #[test]
    fn an_unknown_component_is_refused_with_the_nearest() {
        let error = error_after("name = \"neighbour\"", "name = \"neighbor\"");
        assert!(error.message.contains("did you mean \"neighbour\"?"), "{}", error.message);
        assert!(error.span.is_some());
    }

    #[test]
    fn a_tier_above_five_is_refused() {
        let error = error_after("default_tier = 2", "default_tier = 9");
        assert!(error.message.contains("no tier 9"), "{}", error.message);
    }

    #[test]
    fn a_root_that_climbs_out_of_the_stage_is_refused() {
        let error = error_after("path = \"service/data\"", "path = \"../data\"");
        assert!(error.message.contains("plain path"), "{}", error.message);
    }

    #[test]
    fn a_window_of_no_length_is_refused() {
        let error = error_after("window_seconds = 0.5", "window_seconds = 0.0");
        assert!(error.message.contains("window_seconds"), "{}", error.message);
    }
}
