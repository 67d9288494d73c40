//! Reports of hand-made runs, judged by `scoring` and shown as text and page.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod bounds;
mod browser;
mod difference;
mod golden;
mod hostile;
mod interventions;
mod runs;
mod structure;
