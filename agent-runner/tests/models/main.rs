//! The loop over language models, against servers that speak each wire format.
#![allow(clippy::unwrap_used, reason = "tests panic")]

#[path = "../plain/mod.rs"]
mod plain;

mod cuts;
mod ends;
mod failures;
mod server;
mod turns;
