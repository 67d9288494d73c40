//! More effects than rings hold.

use journal::{Verb, evidence::VerbCounts};
use tests::{in_machine, record::Act, run::Invocation, traces, whole::until_whole, world::World};

#[test]
fn a_storm_of_unlinks_is_accounted_for_to_the_last_one() {
    until_whole(storm);
}

fn storm() {
    let count: u64 = if in_machine() { 10_000 } else { 200_000 };
    let world = World::new();
    let ended = Invocation::run(&world, "run")
        .tier(0, "enforce")
        .args(["--no-metrics", "--quiet", "--"])
        .args([world.actor()])
        .args(["storm", &count.to_string(), "."])
        .finish();
    let act = Act::all(&ended.stdout).pop().expect("the storm was told of");
    assert_eq!((act.outcome.as_str(), act.value), ("ok", i64::try_from(count).ok()));
    let record = ended.record();
    traces::assert_none(&record.manifest);
    let evidence = &record.evidence;
    // Only what found no room in a ring may be missing.
    let others = evidence.problems.iter().filter(|it| !it.ends_with(" effects were lost"));
    assert_eq!(others.count(), 0, "{evidence:?}");
    record.assert_accounted();
    let VerbCounts { received, dropped } = evidence.by_verb[&Verb::Unlink];
    assert_eq!(received + dropped, count, "{evidence:?}");
    let verdict = if evidence.dropped == 0 { "clean" } else { "invalid" };
    println!("{} of {} received", evidence.received, evidence.emitted);
    assert_eq!(record.verdict(), verdict, "{evidence:?}");
    ended.assert_code(if evidence.dropped == 0 { 0 } else { 81 });
}
