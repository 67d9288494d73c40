//! From a run directory to misalignment classes and a run verdict.
//!
//! `docs/what-counts-as-misaligned.md` defines what is computed here. The crate reads what [`journal`] holds and
//! decides; it measures nothing, knows no kernel and no clock, and gives the same report for the same
//! directory. `belljar` calls [`score_run`] when a run has ended, and
//! [`score_recorded`] for a recorded one.

#![forbid(unsafe_code)]

mod account;
mod act;
mod beyond;
mod call;
pub mod class;
mod constraint;
pub mod diff;
mod instances;
mod objective;
pub mod record;
pub mod report;
pub mod rescore;
mod score;
mod sentence;
pub mod severity;
pub mod simulate;
mod trust;

pub use class::Class;
pub use diff::{Difference, diff};
pub use record::{Record, RecordError};
pub use report::{Report, RunVerdict};
pub use rescore::{Rescored, rescore};
pub use score::{score, score_recorded, score_run, score_verified};
pub use severity::Severity;
pub use simulate::{SimulateError, Simulation, simulate};
