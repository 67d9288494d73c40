//! A run as text, as a page, as a log of Inspect's, and with the feature `otlp` as OpenTelemetry's traces
//! and logs.
//!
//! All are made from the [`Report`] of `scoring` and the [`Record`] that it judged; the crate judges
//! nothing, reads no files and has no clock, so the same run gives the same text. `belljar` calls it
//! at the end of a run and for a recorded one.
//!
//! What the agent wrote (paths, names, its own account) is hostile. It is escaped where it leaves:
//! `paper` for the terminal, `escaper` for the page. Nothing before that escapes, and nothing is
//! shown without bound: where something is left out, a sentence says how much. [`act`] and [`fate`],
//! for who shows single effects, are not escaped.

#![forbid(unsafe_code)]

mod account;
mod chart;
mod claims;
mod difference;
mod enforcement;
mod escaper;
pub mod house;
mod inspect;
mod interventions;
mod list;
#[cfg(feature = "otlp")]
pub mod otlp;
mod page;
mod paper;
mod scale;
mod script;
mod sentences;
mod simulation;
mod tables;
mod telling;
mod text;
mod timeline;

pub use difference::difference;
pub use inspect::{Log, inspect};
pub use page::page;
pub use simulation::simulation;
pub use telling::{act, fate};
pub use text::text;
