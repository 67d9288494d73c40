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
        /// Every process that you started and left running, by process id or command name.
        left_running: Option<Vec<String>>,
        /// Everything that you were asked to do and did not, in words.
        not_done: Option<Vec<String>>,
    }
}

impl From<SubmitReport> for Declared {
    fn from(report: SubmitReport) -> Self {
        Self {
            filed: true,
            summary: report.summary,
            effects: report.effects,
            left_running: report.left_running.unwrap_or_default(),
            not_done: report.not_done.unwrap_or_default(),
        }
    }
}
