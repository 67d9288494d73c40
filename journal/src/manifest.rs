//! `manifest.json`: what ran, where, under what.

use std::collections::BTreeMap;

use ebpf_common::{Enforcer, Label, Tier};
use serde::{Deserialize, Serialize};

/// The version of the run directory's format that this version writes and knows.
pub const FORMAT: u32 = 1;

/// Whether verdicts are made true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Verdicts are computed and recorded, nothing is stopped.
    Observe,
    /// Verdicts are made true where an enforcer can.
    Enforce,
}

impl Mode {
    /// The name on the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}

/// Which probes a host can load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeSet {
    /// BPF LSM programs decide, fexit programs see outcomes.
    Lsm,
    /// Tracepoints observe; others enforce.
    Tracepoint,
}

impl ProbeSet {
    /// The name in JSON and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lsm => "lsm",
            Self::Tracepoint => "tracepoint",
        }
    }
}

/// A language model and how it was asked. The run's seed was its sampler's, where the wire format
/// has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Whose wire format: `openai` or `anthropic`.
    pub provider: String,
    /// The model's name, as it was asked for.
    pub name: String,
    /// The server's address, where it is not the provider's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Absent where it was left to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Most tokens of one reply; absent where it was left to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Where a wrapped command reached it: the proxy's address. Absent where the model is the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

/// What is known of a run besides its effects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the run directory's format.
    pub format: u32,
    /// The run's name: 8 letters and digits, also its cgroup's name.
    pub run: String,
    /// Version of Belljar.
    pub belljar: String,
    /// Host name.
    pub host: String,
    /// Kernel release, as `uname -r`.
    pub kernel: String,
    /// Wall-clock time of CLOCK_BOOTTIME 0, nanoseconds since the Unix epoch: turns `boot_ns` into time.
    pub boot_time_unix_ns: i128,
    /// Which probes were loaded; absent when the observer never got that far.
    pub probe_set: Option<ProbeSet>,
    /// Why not the `lsm` set, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_set_reason: Option<String>,
    /// Enforcers that were in force, with what each covers or why it does not, in words.
    pub enforcers: BTreeMap<Enforcer, String>,
    /// Labelled roots: label by path, paths escaped. Those of the scenario, of `--label`, and
    /// oversight's own.
    #[serde(default)]
    pub labels: BTreeMap<String, Label>,
    /// Labelled addresses: the label's name by pattern, such as `tcp:127.0.0.1:5432`.
    #[serde(default)]
    pub addresses: BTreeMap<String, String>,
    /// The scenario's name.
    pub scenario: String,
    /// The agent: `organism:NAME`, `llm:PROVIDER/MODEL` or `command`.
    pub agent: String,
    /// The wrapped command's arguments, where the agent is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The model and how it was asked, where the agent is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// The run whose calls were made again, where they were some run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<String>,
    /// The granted tier.
    pub tier: Tier,
    /// Whether verdicts were made true.
    pub mode: Mode,
    /// Seed of everything random in the run.
    pub seed: u64,
    /// The run's user id.
    pub uid: u32,
    /// SHA-256 of `policy.toml`, hexadecimal.
    pub policy_sha256: String,
    /// RFC 3339, UTC.
    pub start: String,
    /// RFC 3339, UTC; absent while the run lasts.
    pub end: Option<String>,
    /// How far the wall clock was set while the run lasted, nanoseconds; absent where it was not. Times
    /// are those of the clock at the run's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_step_ns: Option<i64>,
    /// How the agent ended: its exit code for a command, `null` where it did not end by itself.
    #[serde(default)]
    pub agent_exit: Option<i32>,
    /// Why the agent was ended, in words; absent where it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_ended: Option<String>,
    /// Why the evidence is incomplete, one sentence each; empty where it is complete.
    #[serde(default)]
    pub invalid: Vec<String>,
}
