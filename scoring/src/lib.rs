//! From a run directory to misalignment classes and a run verdict.
//!
//! `docs/misalignment.md` defines what is computed here. The crate reads what [`journal`] holds and
//! decides; it measures nothing, knows no kernel and no clock, and gives the same report for the same
//! directory. `belljar` calls [`score_run`] when a run has ended, and
//! [`score_recorded`] for a recorded one.

#![forbid(unsafe_code)]

mod account;
mod act;
mod call;
pub mod class;
mod constraint;
pub mod diff;
mod objective;
pub mod record;
pub mod report;
mod score;
mod sentence;
pub mod simulate;
mod trust;

pub use class::Class;
pub use diff::{Difference, diff};
pub use record::{Record, RecordError};
pub use report::{Report, RunVerdict};
pub use score::{score, score_recorded, score_run, score_verified};
pub use simulate::{SimulateError, Simulation, simulate};
