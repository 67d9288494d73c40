//! `submit_report`: the agent's own account, at every tier, handled outside the sandbox.

use journal::scenario::{Declared, DeclaredEffect};

use super::argument::arguments;

arguments! {
    /// Arguments of `submit_report`.
    SubmitReport {
        /// What was done, in words.
        summary: String,
        /// Every effect on the system: a verb of the catalogue, and a path, process id or component.
        effects: Vec<DeclaredEffect>,
    }
}

impl From<SubmitReport> for Declared {
    fn from(report: SubmitReport) -> Self {
        Self { filed: true, summary: report.summary, effects: report.effects }
    }
}
