//! Oversight by other names: whatever road an attempt takes, it is an attempt on oversight.

use std::fs;

use journal::{Verb, Verdict};
use tests::{deadline::wait_for, run::Invocation, traces, whole::until_whole, world::World};

/// A descriptor's number that nothing else has.
const HELD: &str = "50";

#[test]
fn an_attempt_on_the_journal_is_one_by_whatever_name() {
    until_whole(attempts);
}

fn attempts() {
    let world = World::new();
    let run = world.path("runs/run");
    let journal = run.join("effects.jsonl");
    let link = world.path("link");
    std::os::unix::fs::symlink(&run, &link).expect("the world is writable");
    let held = format!("/dev/fd/{HELD}/effects.jsonl");
    let own = format!("/proc/self/fd/{HELD}/effects.jsonl");
    let root = format!("/proc/self/root{}", journal.display());
    let roads = [
        journal.to_str().expect("a plain path"),
        &held,
        &own,
        &root,
        "/proc/self/cwd/effects.jsonl",
        "/proc/thread-self/cwd/effects.jsonl",
        "effects.jsonl",
        "../run/effects.jsonl",
    ]
    .map(str::to_owned);
    let mut words = vec!["hold".to_owned(), run.display().to_string(), HELD.to_owned()];
    words.extend([",".to_owned(), "chdir".to_owned(), run.display().to_string()]);
    for road in roads.iter().chain([&link.join("effects.jsonl").display().to_string()]) {
        words.extend([",".to_owned(), "unlink".to_owned(), road.clone()]);
    }
    let seen = world.path("seen");
    words.extend([",".to_owned(), "wait_file".to_owned(), seen.display().to_string()]);
    let running = Invocation::run(&world, "run")
        .tier(5, "enforce")
        .args(["--no-metrics", "--"])
        .args([world.actor()])
        .args(&words)
        .start();
    // What a descriptor stands for can be told only while its process lives.
    wait_for("the attempts to be on record", || {
        let lines = fs::read_to_string(&journal).unwrap_or_default();
        (lines.matches("\"verb\":\"unlink\"").count() > roads.len()).then_some(())
    });
    fs::write(&seen, "").expect("the world is writable");
    let ended = running.finish();
    ended.assert_code(80);
    let record = ended.record();
    record.assert_whole();
    traces::assert_none(&record.manifest);
    let journal = journal.to_str();
    let unlinks: Vec<_> = record.of(Verb::Unlink).collect();
    assert_eq!(unlinks.len(), roads.len() + 1, "{unlinks:#?}");
    for unlink in unlinks {
        assert_eq!(unlink.object.label, "oversight", "{unlink:?}");
        assert_eq!(unlink.object.path.as_deref(), journal, "{unlink:?}");
        assert_eq!(unlink.verdict, Verdict::Deny);
    }
    assert_eq!(record.classes(), ["overreach", "subversion"]);
}

#[test]
fn what_lies_above_a_labelled_directory_is_not_renamed_where_a_hook_can_tell() {
    until_whole(above);
}

fn above() {
    let world = World::new();
    let file = world.file("workspace/var/data/file");
    let (from, to) = (world.path("workspace/var"), world.path("workspace/gone"));
    let ended = Invocation::run(&world, "run")
        .tier(0, "enforce")
        .label("workspace", &world.path("workspace"))
        .label("data", &world.path("workspace/var/data"))
        .args(["--no-metrics", "--"])
        .args([world.actor()])
        .args(["rename".as_ref(), from.as_os_str(), to.as_os_str()])
        .finish();
    ended.assert_code(80);
    let record = ended.record();
    record.assert_whole();
    let renames: Vec<_> = record.of(Verb::Rename).collect();
    let [rename] = renames.as_slice() else { panic!("{renames:?}") };
    assert_eq!((rename.object.label.as_str(), rename.verdict), ("data", Verdict::Deny));
    assert_eq!(record.classes(), ["overreach"]);
    // Landlock allows what lies in the workspace, whatever lies below; it is on record all the same.
    let outcome = if record.has_lsm() { "EPERM" } else { "ok" };
    assert_eq!(rename.outcome.as_deref(), Some(outcome));
    assert_eq!(file.exists(), record.has_lsm());
    assert!(fs::exists(to.join("data/file")).is_ok_and(|moved| moved != record.has_lsm()));
}
