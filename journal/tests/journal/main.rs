//! Run directories: how they are made and signed, and what verification says when they change.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod directory;
mod keys;
mod mutations;
mod proofs;
mod run;
