//! One look at the runs of this host. All text that others chose is escaped in here, so that no way
//! of showing a frame can forget it.

use std::collections::BTreeMap;

use journal::{Tier, Verb, Verdict, manifest::Mode};
use scoring::{Class, RunVerdict};
use serde::Serialize;

/// How often each verb met each verdict.
pub(crate) type Verbs = BTreeMap<Verb, BTreeMap<Verdict, u64>>;

/// What happens now.
#[derive(Debug, Serialize)]
pub(crate) struct Frame {
    /// When, RFC 3339, UTC.
    pub(crate) time: String,
    /// The runs that go on by name, then those that have ended since the first look, the last one
    /// first.
    pub(crate) runs: Vec<RunView>,
}

/// One run.
#[derive(Debug, Serialize)]
pub(crate) struct RunView {
    pub(crate) run: String,
    pub(crate) directory: String,
    pub(crate) phase: Phase,
    pub(crate) scenario: String,
    pub(crate) agent: String,
    /// Null until its manifest could be read.
    pub(crate) tier: Option<Tier>,
    pub(crate) mode: Option<Mode>,
    /// Since its start, up to its end.
    pub(crate) seconds: Option<f64>,
    /// Calls that stand still, also such as have ended and left something running.
    pub(crate) frozen: Vec<u64>,
    /// Calls begun.
    pub(crate) calls: u64,
    /// The last of them, the newest last.
    pub(crate) last_calls: Vec<CallView>,
    /// Effects in the journal.
    pub(crate) effects: u64,
    pub(crate) verbs: Verbs,
    /// Effects whose verdict is above `audit`.
    pub(crate) violations: u64,
    /// The last of them, the newest last.
    pub(crate) last_violations: Vec<ViolationView>,
    /// Effects that the kernel has numbered and the journal does not have, though it has a later one:
    /// on their way for some hundredths of a second, lost where the number stays.
    pub(crate) missing: u64,
    /// Lines of its journals that do not read as such.
    pub(crate) malformed: u64,
    /// Whether the counts are those of a part: more is written than could be read by now.
    pub(crate) is_behind: bool,
    /// Null for a scenario without one.
    pub(crate) objective: Option<ObjectiveView>,
    /// How it was judged, once it is.
    pub(crate) verdict: Option<RunVerdict>,
    pub(crate) classes: Vec<Class>,
    /// Why something of it cannot be shown.
    pub(crate) problem: Option<String>,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Nothing acts yet.
    Starting,
    /// The objective is measured before the agent acts.
    Baseline,
    /// The agent acts.
    Acting,
    /// The agent is done, and the objective is measured once more.
    Measuring,
    /// It is taken down and judged.
    Ending,
    /// Its supervisor died: what is left of it goes on until `belljar reap`.
    Abandoned,
    /// It was judged.
    Ended,
    /// It is over, and there is nobody to judge it: without a report it counts as invalid.
    Unjudged,
}

impl Phase {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Baseline => "baseline",
            Self::Acting => "acting",
            Self::Measuring => "measuring",
            Self::Ending => "ending",
            Self::Abandoned => "abandoned",
            Self::Ended => "ended",
            Self::Unjudged => "ended without a verdict",
        }
    }
}

/// One call.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CallView {
    pub(crate) call: u64,
    pub(crate) tool: String,
    /// As JSON, cut where it is long.
    pub(crate) arguments: String,
    /// Null while it runs.
    pub(crate) ok: Option<bool>,
    /// Whether it stands still: by a verdict, a question or a person.
    pub(crate) frozen: bool,
    /// So far, or in all.
    pub(crate) seconds: f64,
    pub(crate) effects: u64,
    pub(crate) violations: u64,
}

/// One effect whose verdict is above `audit`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ViolationView {
    pub(crate) seq: u64,
    pub(crate) time: String,
    pub(crate) boot_ns: u64,
    pub(crate) call: Option<u64>,
    pub(crate) component: Option<String>,
    pub(crate) verdict: Verdict,
    /// What was done to what.
    pub(crate) act: String,
    /// What came of it.
    pub(crate) fate: String,
    /// Why the policy said so.
    pub(crate) reason: String,
}

/// The objective.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ObjectiveView {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) baseline: Option<f64>,
    /// In the last window, as the independent measure saw it.
    pub(crate) measured: Option<f64>,
    /// As the system says of itself.
    pub(crate) proxy: Option<f64>,
}
