//! Probe layer: each verb by a real syscall, and the exact record of it.
//!
//! A run costs seconds in a machine of the matrix, so the tests share one for each probe set: each
//! test prepares a part of it, acts in a process of its own, and looks at what was recorded of that
//! process. The shared run is in mode `observe` at tier 5, where nothing stands in the way.

mod changes;
mod files;
mod labels;
mod network;
mod part;
mod powers;
mod processes;
mod ring;
mod script;
mod unix;

use std::sync::LazyLock;

use part::{Part, Prepare, Shared};
use tests::{
    in_machine,
    whole::{preempts, until_whole},
};

/// What the shared run is made of: a name and who prepares it.
const PARTS: &[(&str, Prepare)] = &[
    ("removals", files::removals),
    ("renames", files::renames),
    ("spellings", files::spellings),
    ("execs", files::execs),
    ("script", files::script),
    ("protected", files::protected),
    ("opens", changes::opens),
    ("makes", changes::makes),
    ("attributes", changes::attributes),
    ("marks", changes::marks),
    ("maps", changes::maps),
    ("cgroups", changes::cgroups),
    ("links", changes::links),
    ("labels", labels::nearest),
    ("moves", labels::moves),
    ("deep", labels::deep),
    ("mounts", labels::mounts),
    ("own", processes::own),
    ("foreign", processes::foreign),
    ("controls", processes::controls),
    ("group", processes::group),
    ("births", processes::births),
    ("powers", powers::every),
    ("holds", powers::holds),
    ("ring", ring::refused),
    ("addresses", network::spellings),
    ("listens", network::listens),
    ("wildcards", network::wildcards),
    ("sockets", network::sockets),
    ("unix", unix::every),
    ("passed", unix::passed),
];

/// The shared runs: with the probe set that this kernel gets, and in a machine with the other one
/// too.
fn shared() -> &'static [Shared] {
    static SHARED: LazyLock<Vec<Shared>> = LazyLock::new(|| {
        let sets: &[&str] = if in_machine() { &["auto", "tracepoint"] } else { &["auto"] };
        sets.iter().map(|set| until_whole(|| shared_run(set))).collect()
    });
    &SHARED
}

/// How often a kernel that skips programs is asked for a whole record of a set that it does not choose.
const TRIES: u32 = 4;

/// A run of which the kernel skipped nothing; with the set that it does not choose, as far as that is
/// to be had. What else it must be, its parts' tests say.
fn shared_run(set: &str) -> Shared {
    let mut shared = Shared::run(set, PARTS);
    for _ in 1..TRIES {
        if set == "auto" || !shared.is_skipped() {
            break;
        }
        shared = Shared::run(set, PARTS);
    }
    let tolerated = set != "auto" && preempts();
    let problems = &shared.record().evidence.problems;
    assert!(tolerated || !shared.is_skipped(), "{problems:?}");
    shared
}

/// A part of each shared run. Where the kernel skipped a program, which the run's own test looks at,
/// any effect may be missing.
fn parts(name: &'static str) -> impl Iterator<Item = &'static Part> {
    shared().iter().filter(|shared| !shared.is_skipped()).map(move |shared| shared.part(name))
}

#[test]
fn every_shared_run_is_whole_and_left_nothing() {
    for shared in shared() {
        shared.check();
    }
}
