//! An observer that is killed or stands still frees nobody, and the run says so.

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher as _, Hasher as _},
    thread,
    time::{Duration, Instant},
};

use ebpf_common::maps::STALE_AFTER_NS;
use journal::{Disposition, Effect, Enforcer, Verb, Verdict, manifest::ProbeSet};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tests::{
    deadline::wait_for,
    in_machine,
    resident::{Resident, shared},
    run::{Invocation, Running},
    skip, traces,
    whole::until_whole,
    world::{World, words},
};

use crate::endings::{check_invalid, manifest};

/// Numbers that look random, the same for the same seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        most.mul_f64((self.next() >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// `BELLJAR_SEED`, or another one each time.
fn seed() -> u64 {
    let given = std::env::var("BELLJAR_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| RandomState::new().build_hasher().finish())
}

/// Runs that lose one observer at once, each at another moment of its life.
const RUNS: usize = 5;

#[test]
fn an_observer_that_is_killed_at_any_moment_frees_nobody() {
    let seed = seed();
    println!("seed: {seed} (BELLJAR_SEED={seed} kills at the same moments)");
    let mut random = Random(seed);
    let kills = if in_machine() { 1 } else { 10 };
    let mut acting = 0;
    for _ in 0..kills {
        acting += kill_the_observer(&mut random);
    }
    println!("{} runs lost their observer, {acting} of them while the agent acted", kills * RUNS);
}

/// Starts runs whose agents insist on what is denied, and kills their observer; gives how many agents
/// acted by then.
fn kill_the_observer(random: &mut Random) -> usize {
    let window = Duration::from_millis(if in_machine() { 3000 } else { 150 });
    let pinned = pins();
    let mut resident = Resident::start("deadman");
    let runs: Vec<(World, Running)> = (0..RUNS)
        .map(|number| {
            thread::sleep(random.up_to(window));
            let world = World::new();
            let file = world.file("data/precious");
            let data = world.path("data");
            let name = format!("run-{number}");
            let running = Invocation::run_under(&world, &name, resident.socket().as_os_str())
                .tier(1, "enforce")
                .label("data", &data)
                .args(["--no-metrics", "--"])
                .args([world.actor()])
                .args(words([&"insist", &file]))
                .start();
            (world, running)
        })
        .collect();
    thread::sleep(random.up_to(window));
    let acting = runs.iter().filter(|(_, run)| run.stderr().contains("the agent acts")).count();
    resident.signal(Signal::SIGKILL);
    resident.wait();
    for (world, running) in runs {
        let acted = running.stderr().contains("the agent acts");
        let ended = running.finish();
        assert!(world.path("data/precious").exists(), "what was prevented has happened");
        assert!(!ended.stdout.contains("\"outcome\":\"ok\""), "{}", ended.stdout);
        if !acted {
            // Nobody was there to begin with, or the harness failed before the agent began.
            let codes = [81, 71, 70, 69];
            assert!(ended.code.is_some_and(|it| codes.contains(&it)), "{}", ended.stderr);
            continue;
        }
        ended.assert_code(81);
        let report = fs::read_to_string(ended.out.join("report.json")).expect("a report");
        let report: Value = serde_json::from_str(&report).expect("it is JSON");
        assert_eq!(report["verdict"], "invalid", "{report}");
        traces::assert_none(&manifest(&ended.out));
    }
    // The pins have outlived it, and are gone when they guard nobody.
    assert!(pins() == 0 || pins() > pinned);
    Invocation::new(&World::new(), "reap", "reap").finish().assert_code(0);
    assert_eq!(pins(), pinned);
    acting
}

/// How many owners of pinned probes there are.
fn pins() -> usize {
    fs::read_dir("/sys/fs/bpf/belljar").into_iter().flatten().flatten().count()
}

fn send(to: i32, signal: Signal) {
    kill(Pid::from_raw(to), signal).expect("root may, and it is not waited for");
}

/// Lets an observer go on, whatever else happens.
struct Stopped(i32);

impl Drop for Stopped {
    fn drop(&mut self) {
        send(self.0, Signal::SIGCONT);
    }
}

#[test]
fn while_nobody_watches_the_hooks_deny_what_needs_oversight_and_work_goes_on() {
    until_whole(unwatched);
}

fn unwatched() {
    let world = World::new();
    let (data, marks) = (world.directory("data"), world.directory("marks"));
    let mark = |name: &str| marks.join(name);
    let (began, denied, done) = (mark("began"), mark("denied"), mark("done"));
    let running = Invocation::run(&world, "run")
        .tier(3, "enforce")
        .label("data", &data)
        .label("workspace", &marks)
        .args(["--no-metrics", "--"])
        .args([world.actor()])
        .args(words([&"touch", &began, &",", &"until_denied", &data, &",", &"touch", &denied]))
        .args(words([&",", &"touch", &"own", &",", &"unlink", &"own", &",", &"touch", &done]))
        .start();
    wait_for("the agent", || began.exists().then_some(()));
    if manifest(running.out()).probe_set != Some(ProbeSet::Lsm) {
        running.signal(Signal::SIGTERM);
        let _ = running.finish();
        return skip("no hook decides here, so none can deny");
    }
    send(shared().pid, Signal::SIGSTOP);
    let stopped = Stopped(shared().pid);
    let start = Instant::now();
    wait_for("the denial", || denied.exists().then_some(()));
    let (took, bound) = (start.elapsed(), Duration::from_nanos(STALE_AFTER_NS));
    assert!(took > bound / 2, "denied after {took:?}, while somebody watched");
    wait_for("the agent's work", || done.exists().then_some(()));
    drop(stopped);
    let ended = running.finish();
    let record = ended.record();
    record.assert_accounted();
    let refused: Vec<&Effect> =
        record.effects.iter().filter(|effect| effect.verdict == Verdict::Deny).collect();
    let [refused] = refused.as_slice() else { panic!("{refused:?}") };
    assert_eq!(
        (refused.object.label.as_str(), refused.outcome.as_deref()),
        ("data", Some("EPERM"))
    );
    let by = (refused.disposition, refused.enforcer);
    assert_eq!(by, (Disposition::Prevented, Some(Enforcer::BpfLsm)));
    assert!(refused.reason.contains("no observer watched"), "{}", refused.reason);
    let before = record.of(Verb::Unlink).filter(|it| it.object.label == "data");
    assert!(before.count() > 0, "what its tier grants went on until then");
    let own: Vec<&Effect> = record
        .of(Verb::Unlink)
        .filter(|it| it.object.path.as_ref().is_some_and(|path| path.ends_with("/own")))
        .collect();
    let [own] = own.as_slice() else { panic!("{own:?}") };
    assert_eq!((own.verdict, own.outcome.as_deref()), (Verdict::Allow, Some("ok")));
}

#[test]
fn a_run_whose_observer_stands_still_is_ended_as_invalid() {
    if in_machine() {
        return skip("how a supervisor asks depends on no kernel: tried on the host alone");
    }
    let world = World::new();
    let resident = Resident::start("still");
    let running = Invocation::run_under(&world, "run", resident.socket().as_os_str())
        .tier(0, "enforce")
        .args(["--no-metrics", "--"])
        .args([world.actor()])
        .args(["unlink", "missing", ",", "pause"])
        .start();
    wait_for("the agent", || running.stdout().contains("unlink").then_some(()));
    resident.signal(Signal::SIGSTOP);
    let stopped = Stopped(resident.pid());
    let ended = running.finish();
    drop(stopped);
    check_invalid(&world, &ended, "stood still", &["manifest.json", "report.json", "report.html"]);
}
