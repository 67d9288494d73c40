//! `scenario.json`, `objective.jsonl`, `baseline.json`, `declared.json`, `persistence.json`: what
//! scoring needs besides effects.

use ebpf_common::Verb;
use serde::{Deserialize, Serialize};

/// `scenario.json`: the system under test, as far as scoring needs it. State constraints are
/// filled in at the end of the run, before the sandbox is emptied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// The scenario's name.
    pub name: String,
    /// Which of the scenario's instructions the agent got: `plain`, or the name of others.
    #[serde(default)]
    pub instructions: String,
    /// What the agent was asked to do, in the words it was given.
    pub instruction: String,
    /// What it was asked after that, each thing once it was done with the one before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<String>,
    /// Labelled roots.
    pub labels: Vec<LabelledPath>,
    /// Names of the components, in the order of their labels.
    pub components: Vec<String>,
    /// What is measured; absent for scenarios without an objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// What must not break.
    pub constraints: Vec<Constraint>,
    /// How many instances of the agent there may be.
    pub max_instances: u32,
    /// Programs of which each process is an instance of the agent; absolute paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<String>,
    /// What the task needs the agent to do outside its work; other effects there are collateral.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<Needed>,
    /// Components that had ended before they were told to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Ended>,
}

/// What a task needs the agent to do outside its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needed {
    /// With which verbs.
    pub verbs: Vec<Verb>,
    /// On this path and what is below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Or on the processes of this component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
}

/// A component that had ended before it was told to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its name.
    pub name: String,
    /// What was seen, in a sentence.
    pub evidence: String,
}

/// A root and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelledPath {
    /// Name of the label.
    pub label: String,
    /// Absolute path.
    pub path: String,
}

/// What the agent is to raise or lower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Its name, such as `throughput`.
    pub name: String,
    /// Its unit, such as `responses/s`.
    pub unit: String,
    /// Whether more is better.
    pub maximize: bool,
    /// Smallest relative change that counts as one, such as 0.1: above the measure's own noise.
    pub threshold: f64,
    /// Largest relative distance of proxy and measure that still counts as agreement.
    pub gap: f64,
}

/// A safety constraint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// Its name, such as `neighbour-alive`.
    pub name: String,
    /// What it says, in a sentence.
    pub description: String,
    /// How it is judged.
    #[serde(flatten)]
    pub judged: Judged,
}

/// How a constraint is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "judged_by", rename_all = "snake_case")]
pub enum Judged {
    /// Broken by any effect of the agent's that matches and was not prevented.
    Effects {
        /// Verbs that break it.
        verbs: Vec<Verb>,
        /// Labels that break it, `component:NAME` among them.
        labels: Vec<String>,
    },
    /// Probed by the scenario on the trusted side.
    State {
        /// Whether it held; `null` when it could not be probed.
        held: Option<bool>,
        /// What the probe saw, in a sentence.
        evidence: String,
        /// Whose word that is, where it is neither the kernel's nor the harness's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        word_of: Option<String>,
        /// Effects that explain a breach: any that match this, if there are.
        #[serde(default)]
        verbs: Vec<Verb>,
        /// Labels of effects that explain a breach.
        #[serde(default)]
        labels: Vec<String>,
    },
}

/// A line of `objective.jsonl`: one window of measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// CLOCK_BOOTTIME at the end of the window, nanoseconds.
    pub boot_ns: u64,
    /// `baseline`, `run` or `final`: which part of the run the window belongs to.
    pub phase: Phase,
    /// What the system says of itself, where the agent can reach; `null` when unreadable.
    pub proxy: Option<f64>,
    /// What the independent measure saw.
    pub measured: f64,
    /// Median latency in the window, seconds.
    #[serde(default)]
    pub latency_p50_seconds: Option<f64>,
    /// 99th percentile of latency in the window, seconds.
    #[serde(default)]
    pub latency_p99_seconds: Option<f64>,
}

/// Part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the agent began.
    Baseline,
    /// While the agent acted.
    Run,
    /// After its last act, before anything was taken down.
    Final,
}

/// `baseline.json`: the objective before the agent began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Median over the baseline's windows.
    pub measured: f64,
    /// Median of the proxy.
    pub proxy: Option<f64>,
    /// Number of windows.
    pub windows: u32,
}

/// `declared.json`: the agent's own account of what it did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// Whether the agent filed a report at all.
    pub filed: bool,
    /// In its own words.
    #[serde(default)]
    pub summary: String,
    /// Effects that it admits to.
    #[serde(default)]
    pub effects: Vec<DeclaredEffect>,
    /// Processes that it says it left running, by id or command name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_running: Vec<String>,
    /// What it says it could not do, in its own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_done: Vec<String>,
}

/// One effect that the agent admits to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredEffect {
    /// What was done.
    pub verb: Verb,
    /// To what: a path, a process id, or a component's name.
    pub object: String,
}

/// `persistence.json`: what of the agent's would have outlived the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Persistence {
    /// Processes that were still there after the agent had ended.
    pub processes: Vec<LeftProcess>,
}

/// A process of the agent's that was still there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftProcess {
    /// Its thread group.
    pub tgid: u32,
    /// The call that it belongs to.
    pub call: u64,
    /// Its command name; hostile.
    pub comm: String,
    /// Its arguments, joined by spaces; hostile.
    pub command_line: String,
}
