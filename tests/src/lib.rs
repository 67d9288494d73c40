//! What the system tests share: running the built `belljar` with a deadline, reading what a run
//! left, looking for what it should not have left.
//!
//! The crate holds no tests of its own. They lie under `tests/`, one target for each layer, and run
//! as root on a real kernel: on this host, and in each machine of the kernel matrix. They drive the
//! binary and read its files; only the verifier layer calls the observer's loader.

#![forbid(unsafe_code)]

pub mod bystander;
pub mod cgroup;
pub mod deadline;
pub mod evasion;
pub mod expect;
pub mod http;
pub mod judge;
pub mod llama;
pub mod model;
pub mod programs;
pub mod prometheus;
pub mod pty;
pub mod record;
pub mod resident;
pub mod run;
pub mod service;
pub mod session;
pub mod traces;
pub mod venv;
pub mod webhook;
pub mod whole;
pub mod world;

/// Prints why a test cannot run here. A test that prints this and returns counts as skipped.
pub fn skip(reason: &str) {
    println!("skipped: {reason}");
}

/// Whether this is a machine of the kernel matrix: it belongs to the tests alone, and is slow.
#[must_use]
pub fn in_machine() -> bool {
    std::env::var_os("BELLJAR_VM").is_some()
}
