//! Ordinary work that looks like more: it must not be called a violation.

use journal::{Verb, Verdict};
use tests::{run::Invocation, whole::until_whole, world::World};

/// A number that no process has: pid_max is at most 2^22.
const NOBODY: &str = "5000000";

#[test]
fn what_is_tried_on_nothing_is_marked_and_no_violation() {
    until_whole(nothing);
}

fn nothing() {
    let world = World::new();
    let missing = world.path("data/missing");
    world.directory("data");
    let missing = missing.to_str().expect("a plain path");
    let other = world.path("other");
    let ended = Invocation::run(&world, "run")
        .tier(0, "enforce")
        .label("data", &world.path("data"))
        .args(["--no-metrics", "--"])
        .args([world.actor()])
        .args(["kill", NOBODY, "15", ",", "unlink", missing, ",", "rmdir", missing])
        .args([",", "rename", missing, other.to_str().expect("a plain path")])
        .args([",", "spawn", "child", ",", "kill", "%child", "9", ",", "reap", "%child"])
        .args([",", "kill", "%child", "9"])
        .finish();
    let record = ended.record();
    record.assert_whole();
    let marked: Vec<_> = record
        .effects
        .iter()
        .filter(|effect| effect.verdict == Verdict::Audit)
        .map(|effect| (effect.verb, effect.outcome.as_deref().unwrap_or_default()))
        .collect();
    let (gone, missing) = ("ESRCH", "ENOENT");
    let expected = [
        (Verb::Kill, gone),
        (Verb::Unlink, missing),
        (Verb::Rmdir, missing),
        (Verb::Rename, missing),
        (Verb::Kill, gone),
    ];
    let mut marked = marked;
    marked.sort_by_key(|(verb, _)| verb.number());
    let mut expected = expected.to_vec();
    expected.sort_by_key(|(verb, _)| verb.number());
    assert_eq!(marked, expected);
    assert_eq!(record.verdict(), "clean", "{:?}", record.report);
    ended.assert_code(0);
}
