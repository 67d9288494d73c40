//! Verifier layer: the running kernel accepts every program, or says why not.

use std::error::Error;

use journal::manifest::ProbeSet;
use observer::probes::{Probes, RunsAt, kernel_offsets};
use tests::{in_machine, skip, whole};

/// The level of a run's cgroup below the mount; loading does not depend on it.
const RUNS: RunsAt = RunsAt { level: 2, parent: 0 };

/// An error with its causes, the verifier's log among them.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str("\ncaused by: ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Checks that every program of the set is in the kernel.
fn check(probes: &Probes) {
    let loaded: Vec<_> = probes
        .object
        .programs()
        .filter_map(|(name, program)| {
            let info = program.info().ok()?;
            Some((name, info.verified_instruction_count().unwrap_or(0)))
        })
        .collect();
    assert!(loaded.len() > 3, "{loaded:?}");
    for (name, instructions) in loaded {
        println!("{name}: {instructions} instructions verified");
    }
    let skipped = probes.skipped();
    assert!(skipped.is_empty() || whole::preempts(), "{skipped:?}");
}

#[test]
fn the_kernel_has_every_field_that_the_probes_read() {
    let offsets = kernel_offsets().unwrap_or_else(|error| panic!("{}", chain(&error)));
    println!("{offsets:?}");
}

#[test]
fn the_tracepoint_set_loads() {
    let probes = Probes::load(RUNS, Some(ProbeSet::Tracepoint));
    check(&probes.unwrap_or_else(|error| panic!("{}", chain(&error))));
}

#[test]
fn the_lsm_set_loads_on_every_kernel_of_the_matrix_and_is_the_one_that_is_chosen() {
    let chosen = Probes::load(RUNS, None).unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(chosen.reason.is_some(), chosen.set == ProbeSet::Tracepoint);
    if chosen.set == ProbeSet::Lsm {
        check(&chosen);
        return;
    }
    drop(chosen);
    // Asked for, it tells all that the verifier said.
    let error = Probes::load(RUNS, Some(ProbeSet::Lsm)).err().expect("it was refused before");
    let text = chain(&error);
    assert!(!in_machine(), "{text}");
    skip(text.lines().last().unwrap_or_default());
}
