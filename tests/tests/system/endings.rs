//! Runs that do not end by themselves.

use std::{fs, path::Path};

use journal::{Manifest, RunDir, Verb};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tests::{
    deadline::wait_for,
    http, in_machine,
    record::Record,
    run::{Ended, Invocation, Running},
    skip, traces,
    whole::until_whole,
    world::World,
};

/// A run costs many seconds in a machine.
const ON_THE_HOST: &str = "how signals end a run depends on no kernel: tried on the host alone";

/// Every file of a run directory that ended in order, by DESIGN's contract.
pub(crate) const FILES: [&str; 11] = [
    "manifest.json",
    "policy.toml",
    "scenario.json",
    "declared.json",
    "transcript.jsonl",
    "effects.jsonl",
    "evidence.json",
    "journal.sig",
    "metrics.prom",
    "report.json",
    "report.html",
];

/// In a journal: the removal, whose word stands among the agent's arguments too.
pub(crate) const UNLINKED: &str = "\"verb\":\"unlink\"";

/// A run whose agent waits for good.
fn waiting(world: &World, name: &str) -> Running {
    wait_under(world, Invocation::run(world, name))
}

/// The same as this was invoked.
pub(crate) fn wait_under(world: &World, invocation: Invocation) -> Running {
    let running = invocation
        .tier(1, "enforce")
        .label("data", &world.directory("data"))
        .args(["--metrics", "127.0.0.1:0", "--"])
        .args([world.actor()])
        .args(["unlink", "missing", ",", "pause"])
        .start();
    wait_for("the agent", || running.stdout().contains("unlink").then_some(()));
    running
}

pub(crate) fn manifest(directory: &Path) -> Manifest {
    RunDir::open(directory).and_then(|run| run.manifest()).expect("it has a manifest")
}

/// Checks that a run ended as invalid for this reason, with a complete directory that verifies.
pub(crate) fn check_invalid(world: &World, ended: &Ended, reason: &str, files: &[&str]) -> Record {
    ended.assert_code(81);
    let record = check_complete(world, ended, files);
    assert_eq!(record.verdict(), "invalid");
    let reasons = &record.report["invalid_reasons"];
    assert!(reasons.to_string().contains(reason), "{reasons}");
    record
}

/// Checks that a run has left a directory with these files, which verifies, and nothing else.
pub(crate) fn check_complete(world: &World, ended: &Ended, files: &[&str]) -> Record {
    for file in files {
        let path = ended.out.join(file);
        let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        assert!(bytes > 0, "{file} is missing or empty");
    }
    let record = ended.record();
    assert!(record.manifest.end.is_some());
    traces::assert_none(&record.manifest);
    let verified = Invocation::new(world, "verify", "verify").args([&ended.out]).finish();
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
    record
}

#[test]
fn sigterm_ends_a_run_in_order_and_its_metrics_are_served_until_then() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(end_by_sigterm);
}

fn end_by_sigterm() {
    let world = World::new();
    let running = waiting(&world, "run");
    let run = manifest(running.out()).run;
    let text = scrape(&running, &run);
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let counted = |verb: &str, verdict: &str, count: u64| {
        let labels = format!("run=\"{run}\",verb=\"{verb}\",verdict=\"{verdict}\"");
        let line = format!("belljar_effects_total{{{labels}}} {count}");
        assert!(text.lines().any(|found| found == line), "no {line}:\n{text}");
    };
    counted("unlink", "allow", 1);
    counted("kill", "deny", 0);
    running.signal(Signal::SIGTERM);
    let ended = running.finish();
    let record = check_invalid(&world, &ended, "interrupted", &FILES);
    // What was seen until then is whole all the same.
    record.assert_whole();
}

/// What the run's metrics endpoint serves.
fn scrape(running: &Running, run: &str) -> String {
    let address = wait_for("the address of the metrics", || {
        let text = running.stderr();
        let rest = text.split("metrics: http://").nth(1)?;
        Some(rest.split_once("/metrics")?.0.to_owned())
    });
    let mut text = String::new();
    // Effects are counted when they are read, which the act does not wait for.
    wait_for("the unlink to be counted", || {
        text = http::get(&address, "/metrics");
        let line = format!("{{run=\"{run}\",verb=\"unlink\",verdict=\"allow\"}} 1");
        text.lines().any(|found| found.ends_with(&line)).then_some(())
    });
    text
}

#[test]
fn ctrl_c_ends_a_run_in_order_also_before_the_agent_acts() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let running = waiting(&world, "acting");
    running.signal(Signal::SIGINT);
    // Once more, as the impatient do.
    running.signal(Signal::SIGINT);
    check_invalid(&world, &running.finish(), "interrupted", &FILES);

    let early = Invocation::run(&world, "early").args(["--"]).args([world.actor()]).args(["pause"]);
    let early = early.start();
    wait_for("the run to begin", || early.stderr().contains("loading probes").then_some(()));
    early.signal(Signal::SIGINT);
    let ended = early.finish();
    ended.assert_code(81);
    let report = fs::read_to_string(ended.out.join("report.json")).expect("there is a report");
    let report: Value = serde_json::from_str(&report).expect("it is JSON");
    assert_eq!(report["verdict"], "invalid", "{report}");
    traces::assert_none(&manifest(&ended.out));
}

/// The child of a process whose command line holds this word.
fn child_of(parent: i32, word: &str) -> Option<i32> {
    fs::read_dir("/proc").expect("/proc is mounted").flatten().find_map(|entry| {
        let tgid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let has_word = command.split(|byte| *byte == 0).any(|part| part == word.as_bytes());
        (line.trim().parse() == Ok(parent) && has_word).then_some(tgid)
    })
}

/// Observers that hold the journal of this run directory open.
fn observers(out: &Path) -> Vec<u32> {
    let journal = out.join("effects.jsonl");
    let processes = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let holders = processes.filter(|process| {
        let descriptors = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.any(|target| target == journal)
    });
    holders.filter_map(|process| process.file_name().to_str()?.parse().ok()).collect()
}

#[test]
fn a_run_whose_observer_is_killed_is_finished_as_invalid() {
    let world = World::new();
    let running = wait_under(&world, Invocation::run_alone(&world, "run"));
    // What is journaled by now, stays: a journal is written as things happen, not at the end.
    let journal = running.out().join("effects.jsonl");
    wait_for("the unlink to be journaled", || {
        fs::read_to_string(&journal).ok().filter(|text| text.contains(UNLINKED))
    });
    let observer = child_of(running.pid(), "observer").expect("belljar supervises an observer");
    kill(Pid::from_raw(observer), Signal::SIGKILL).expect("root may");
    let ended = running.finish();
    let files: Vec<_> = FILES.into_iter().filter(|file| *file != "metrics.prom").collect();
    let record = check_invalid(&world, &ended, "observer", &files);
    assert_eq!(record.of(Verb::Unlink).count(), 1);
    assert!(!record.evidence.complete);
}

#[test]
fn what_a_killed_belljar_leaves_is_reaped() {
    leave_and_reap(Invocation::run);
}

#[test]
fn what_a_killed_belljar_with_an_observer_of_its_own_leaves_is_reaped() {
    if in_machine() {
        return skip("what is left does not depend on whose the observer was: tried on the host");
    }
    leave_and_reap(Invocation::run_alone);
}

fn leave_and_reap(run: fn(&World, &str) -> Invocation) {
    let world = World::new();
    let running = wait_under(&world, run(&world, "run"));
    let out = running.out().to_owned();
    let run = manifest(&out);
    running.signal(Signal::SIGKILL);
    assert_eq!(running.finish().code, None);
    let ended = Invocation::new(&world, "reap", "reap").finish();
    ended.assert_code(0);
    assert!(ended.stdout.lines().any(|line| line == run.run), "{:?}", ended.stdout);
    wait_for("everything to be gone", || {
        let mut traces = traces::of(&run.run, run.uid);
        // The next allocation of a user id takes its lock away.
        traces.retain(|trace| !trace.contains("/run/belljar/users/"));
        traces.is_empty().then_some(())
    });
    wait_for("the observer to close the journal", || observers(&out).is_empty().then_some(()));
    // What it had recorded is no proof of anything.
    let report = Invocation::new(&world, "report", "report").args(["json"]).args([&out]).finish();
    report.assert_code(65);
    let report: Value = serde_json::from_str(&report.stdout).expect("it prints JSON");
    assert_eq!(report["verdict"], "invalid");
    assert!(!out.join("report.json").exists());
}
