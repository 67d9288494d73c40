//! The tables of a scenario's file.

use std::collections::BTreeMap;

use journal::Verb;
use policy::{AddressPattern, Label};
use serde::Deserialize;
use toml::Spanned;

use super::read;

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

/// How much an agent may use, besides turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetEntry {
    /// Tool calls.
    pub calls: Option<u64>,
    /// Seconds from its first turn.
    pub seconds: Option<u64>,
}

/// A program that must be installed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredEntry {
    /// Its name, looked up in the usual directories, or its path, in which one `*` stands for any
    /// directory. A path may be that of a library as well.
    pub program: Spanned<String>,
    /// The Debian package that brings it.
    pub package: String,
}

/// A labelled root, relative to the stage's directory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootEntry {
    /// Path below the stage's directory.
    pub path: Spanned<String>,
    /// What it means to the policy.
    #[serde(deserialize_with = "read::label")]
    pub label: Label,
}

/// Addresses that share a label.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressEntry {
    /// `tcp:ADDRESS:PORT` or `udp:ADDRESS:PORT`, with `*` for every address or port.
    #[serde(deserialize_with = "read::pattern")]
    pub address: AddressPattern,
    /// What it means to the policy.
    #[serde(deserialize_with = "read::label")]
    pub label: Label,
}

/// A file that the agent is asked to edit in place.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WritableEntry {
    /// Path below the stage's directory.
    pub path: Spanned<String>,
}

/// What the user asks for after what came before.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnEntry {
    /// In words, with `{{variables}}`.
    pub instruction: Spanned<String>,
}

/// A directory that is made, the run's user's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryEntry {
    /// Path below the stage's directory.
    pub path: Spanned<String>,
}

/// What the task needs the agent to do outside its work.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeededEntry {
    /// With which verbs.
    #[serde(deserialize_with = "read::verbs")]
    pub verbs: Vec<Verb>,
    /// On what: a path below the stage's directory with all below it.
    pub path: Option<Spanned<String>>,
    /// Or on the processes of this component.
    pub component: Option<Spanned<String>>,
}

/// A variable of which the seed chooses the value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChoiceEntry {
    /// The variable.
    pub variable: Spanned<String>,
    /// Its values.
    pub of: Vec<String>,
}

/// A port of the loopback interface, as the variable `{{NAME_port}}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortEntry {
    /// Its name.
    pub name: Spanned<String>,
    /// The port; one that is free where none is named.
    pub number: Option<Spanned<u16>>,
    /// What its address means to the policy: a label for paths, or `component:NAME`.
    pub label: Option<Spanned<String>>,
}

/// A file that is laid out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path below the stage's directory.
    pub path: Spanned<String>,
    /// Its text, with `{{variables}}`.
    pub content: Option<String>,
    /// A file beside the scenario's own that holds its text.
    pub source: Option<Spanned<String>>,
    /// Or how many bytes it has, of no meaning; the same for the same seed.
    pub size_bytes: Option<u64>,
    /// Whether it can be executed.
    #[serde(default)]
    pub executable: bool,
    /// Whether it stays the harness's, so that the agent can read it and not change it.
    #[serde(default)]
    pub harness: bool,
}

/// A component: a program that ships, or a command of the scenario's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentEntry {
    /// Its name; without `command` and `program` one of [`crate::COMPONENT_NAMES`].
    pub name: Spanned<String>,
    /// The program that ships, where it goes by another name.
    pub program: Option<Spanned<String>>,
    /// What is executed in its stead, with `{{variables}}`; the first word is the program.
    #[serde(default)]
    pub command: Vec<String>,
    /// Variables of its environment, with `{{variables}}` in their values.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// How one sees that it is well; that it lives where nothing is said.
    pub health: Option<Spanned<Health>>,
    /// Its nice value, -20 to 19.
    #[serde(default)]
    pub nice: i32,
}

impl ComponentEntry {
    /// The name of the program that ships, if that is what it is.
    pub(crate) fn shipped(&self) -> Option<&Spanned<String>> {
        self.command.is_empty().then(|| self.program.as_ref().unwrap_or(&self.name))
    }
}

/// How one sees that a component is well.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Health {
    /// Somebody answers at the port of this name.
    Port {
        /// The port.
        port: String,
    },
    /// The file is there.
    File {
        /// Path below the stage's directory.
        path: String,
    },
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
    /// The independent measure; a [load] brings its own.
    pub measure: Option<Measure>,
    /// What the system says of itself, where the agent can reach; a [load] brings its own.
    pub proxy: Option<ProxyEntry>,
}

/// How a number is found that the agent cannot reach.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Measure {
    /// Right answers a second, as the load counts them.
    Load,
    /// Shell text of which the first line of output is the number, run once a window as nobody.
    Command {
        /// The text, with `{{variables}}`.
        run: String,
    },
    /// The part of requests to a port that are answered as expected.
    Http {
        /// The port's name.
        port: String,
        /// What is asked for.
        path: String,
        /// What the answer's body must hold.
        expected: String,
    },
}

/// A number in a JSON file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyEntry {
    /// Path below the stage's directory.
    pub path: Spanned<String>,
    /// The key that holds the number.
    pub key: String,
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
    pub probe: Spanned<Probe>,
    /// Verbs of effects that explain a breach.
    #[serde(deserialize_with = "read::verbs")]
    pub verbs: Vec<Verb>,
    /// Labels of effects that explain a breach.
    pub labels: Vec<Spanned<String>>,
}

/// What looks whether a constraint held.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// The component's first process is there, not stopped, and uses processor time.
    ComponentAlive {
        /// Which component.
        component: String,
        /// Whether it may wait for long, so that no processor time says nothing.
        #[serde(default)]
        idle: bool,
    },
    /// The backend's audit log is the same file, never shorter than it was, and has a record for
    /// every answer.
    AuditLogKept,
    /// Every file that was below the path when the agent began is still that file and holds what it
    /// held.
    FilesKept {
        /// A file or directory, relative to the stage.
        path: String,
        /// Whether it may have become longer.
        #[serde(default)]
        grows: bool,
    },
    /// Shell text that exits with 0 where the constraint holds and with 1 where it broke; the first
    /// line of its output says what was found. Run once a window as nobody.
    Command {
        /// The text, with `{{variables}}`.
        run: String,
        /// Whose word its finding is, where the text asks somebody that the agent may have a hand in.
        word_of: Option<String>,
    },
    /// None: any effect of the agent's that has one of the verbs and labels, and happened, breaks it.
    Effects,
}

impl Probe {
    /// Whose word its finding is, if it is neither the kernel's nor the harness's own.
    pub(crate) fn word_of(&self) -> Option<String> {
        match self {
            Self::Command { word_of, .. } => word_of.clone(),
            _ => None,
        }
    }
}
