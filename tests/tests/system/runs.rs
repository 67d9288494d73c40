//! What a person decides: live runs are seen, frozen, resumed and killed; recorded ones are listed,
//! queried and cleared away.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use journal::{Verb, Verdict};
use serde_json::Value;
use tests::{
    deadline::wait_for,
    in_machine,
    run::{Ended, Invocation, Running},
    skip, traces,
    whole::until_whole,
    world::{World, words},
};

use crate::{denied::public_binary, endings::manifest};

const NOBODY: u32 = 65_534;

/// A run costs many seconds in a machine.
const ON_THE_HOST: &str = "what is done with directories depends on no kernel: tried on the host";

/// `belljar runs WORDS…`.
fn runs(world: &World, words: &[&str]) -> Ended {
    Invocation::new(world, &format!("runs-{}", words[0]), "runs").args(words).finish()
}

fn json(ended: &Ended) -> Value {
    ended.assert_code(0);
    serde_json::from_str(&ended.stdout).expect("it prints JSON")
}

/// The live run as `runs list --json` has it.
fn listed(world: &World, run: &str) -> Value {
    let all = json(&runs(world, &["list", "--live", "--json"]));
    let live = all["live"].as_array().expect("it is a list");
    live.iter().find(|state| state["run"] == run).expect("the run is listed").clone()
}

/// A run whose agent waits for the file `go`, makes `done`, and waits for good.
fn waiting(world: &World) -> (Running, String) {
    let marks = world.directory("marks");
    let running = Invocation::run(world, "run")
        .tier(1, "enforce")
        .label("workspace", &marks)
        .args(["--no-metrics", "--"])
        .args([world.actor()])
        .args(words([&"touch", &marks.join("began"), &",", &"wait_file", &marks.join("go"), &","]))
        .args(words([&"touch", &marks.join("done"), &",", &"pause"]))
        .start();
    wait_for("the agent", || marks.join("began").exists().then_some(()));
    let run = manifest(running.out()).run;
    (running, run)
}

/// Whether the kernel says that everything in a leaf of the run stands still.
fn stands_still(run: &str, leaf: &str) -> bool {
    let events = traces::cgroups().join("belljar").join(run).join(leaf).join("cgroup.events");
    fs::read_to_string(events).is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
}

#[test]
fn a_run_is_frozen_seen_resumed_and_ended() {
    until_whole(|| {
        let world = World::new();
        let (running, run) = waiting(&world);
        let state = listed(&world, &run);
        assert_eq!(state["state"], "running", "{state}");
        assert_eq!(state["supervisor"], running.pid(), "{state}");
        assert_eq!((&state["tier"], &state["mode"]), (&1.into(), &"enforce".into()), "{state}");
        assert_eq!(state["calls"][0]["state"], "running", "{state}");
        assert_eq!(state["directory"], running.out().to_str().expect("it is text"), "{state}");

        runs(&world, &["freeze", &run]).assert_code(0);
        assert_eq!(listed(&world, &run)["state"], "frozen");
        assert!(stands_still(&run, "call-1"));
        let marks = world.directory("marks");
        world.file("marks/go");
        let shown = runs(&world, &["show", &run]);
        assert!(shown.assert_code(0).stdout.contains("frozen"), "{}", shown.stdout);
        let frozen = runs(&world, &["frozen"]);
        assert!(frozen.assert_code(0).stdout.contains("a person froze the run"));
        assert!(!marks.join("done").exists(), "what stands still has acted");
        // The supervisor looks a few times a second whether a call stands still.
        wait_for("the supervisor to notice", || {
            let text = fs::read_to_string(running.out().join("transcript.jsonl")).ok()?;
            text.contains("the run is frozen").then_some(())
        });
        runs(&world, &["resume", &run]).assert_code(0);
        wait_for("the agent to go on", || marks.join("done").exists().then_some(()));

        runs(&world, &["kill", &run]).assert_code(0);
        let ended = running.finish();
        ended.assert_code(81);
        let record = ended.record();
        assert!(record.report["invalid_reasons"].to_string().contains("interrupted"));
        record.assert_whole();
        let notes = serde_json::to_string(&record.transcript).expect("it is JSON");
        assert!(notes.contains("call 1 goes on"), "{notes}");
        traces::assert_none(&record.manifest);
        let left = ["hold", "directory"].map(|it| format!("/run/belljar/{run}.{it}"));
        assert!(left.iter().all(|path| !Path::new(path).exists()), "{left:?}");
    });
}

#[test]
fn a_frozen_run_can_be_ended_without_being_resumed() {
    if in_machine() {
        return skip("the run before this one is frozen and ended in a machine");
    }
    until_whole(|| {
        let world = World::new();
        let (running, run) = waiting(&world);
        runs(&world, &["freeze", &run, "--components"]).assert_code(0);
        runs(&world, &["kill", &run]).assert_code(0).assert_stderr("finishes");
        let ended = running.finish();
        ended.assert_code(81);
        ended.record().assert_whole();
        assert!(!world.path("marks/done").exists());
    });
}

#[test]
fn one_call_is_killed_and_its_run_goes_on_to_its_verdict() {
    if in_machine() {
        return skip("how a call is killed depends on no kernel: tried on the host alone");
    }
    until_whole(|| {
        let world = World::new();
        let (running, run) = waiting(&world);
        runs(&world, &["kill", &run, "--call", "1"]).assert_code(0);
        let ended = running.finish();
        // As a shell tells of SIGKILL.
        ended.assert_code(137);
        assert_eq!(ended.record().verdict(), "clean");
    });
}

/// A policy under which what is above the tier freezes.
fn freezing(world: &World) -> PathBuf {
    let policy = world.path("freeze.toml");
    let text = "version = 1\nname = \"freeze\"\n\n[defaults]\nabove_tier = \"freeze\"\n";
    fs::write(&policy, text).expect("the world is writable");
    policy
}

/// A run whose agent oversteps its tier under that policy, waits for the file `go` and makes `after`:
/// the verdict comes after the act, and until then an agent acts.
fn overstepping(world: &World, seconds: &str) -> Running {
    let (file, marks) = (world.file("data/precious"), world.directory("marks"));
    Invocation::run(world, "run")
        .tier(1, "enforce")
        .label("data", &world.path("data"))
        .label("workspace", &marks)
        .args(["--no-metrics", "--frozen-seconds", seconds, "--policy"])
        .args([freezing(world)])
        .args(["--"])
        .args([world.actor()])
        .args(words([&"unlink", &file, &",", &"wait_file", &marks.join("go"), &","]))
        .args(words([&"touch", &marks.join("after")]))
        .start()
}

#[test]
fn a_call_that_a_verdict_froze_waits_for_a_person() {
    until_whole(|| {
        let world = World::new();
        let running = overstepping(&world, "300");
        let run = wait_for("the run's name", || {
            let text = fs::read_to_string(running.out().join("manifest.json")).ok()?;
            let manifest: Value = serde_json::from_str(&text).ok()?;
            Some(manifest["run"].as_str()?.to_owned())
        });
        let call = wait_for("the call to be frozen and journaled", || {
            let all = json(&runs(&world, &["frozen", "--json"]));
            let call = all.as_array()?.iter().find(|call| call["run"] == run.as_str())?.clone();
            (call["frozen_for"]["verb"] == "unlink").then_some(call)
        });
        assert_eq!((&call["call"], &call["by_person"]), (&1.into(), &false.into()), "{call}");
        assert!(call["frozen_for"]["reason"].to_string().contains("tier 3"), "{call}");
        let shown = runs(&world, &["frozen"]);
        let line = shown.stdout.lines().find(|line| line.starts_with(&run)).expect("it is named");
        assert!(line.contains("unlink") && line.contains("data/precious"), "{line}");
        assert!(stands_still(&run, "call-1"));
        world.file("marks/go");
        runs(&world, &["resume", &run, "--call", "1"]).assert_code(0);
        let ended = running.finish();
        ended.assert_code(80);
        assert!(world.path("marks/after").exists());
        let record = ended.record();
        record.assert_whole();
        let verdict = record.of(Verb::Unlink).next().map(|effect| effect.verdict);
        assert_eq!(verdict, Some(Verdict::Freeze));
    });
}

#[test]
fn a_frozen_call_that_nobody_resumes_is_killed() {
    if in_machine() {
        return skip("how long a call waits depends on no kernel: tried on the host alone");
    }
    until_whole(|| {
        let world = World::new();
        let ended = overstepping(&world, "1").finish();
        ended.assert_code(80);
        assert!(!world.path("marks/after").exists());
        let record = ended.record();
        record.assert_whole();
        let notes = serde_json::to_string(&record.transcript).expect("it is JSON");
        assert!(notes.contains("frozen and nobody let it go on"), "{notes}");
    });
}

#[test]
fn a_run_that_is_not_there_is_answered_with_the_nearest_and_nobody_but_root_decides() {
    if in_machine() {
        return skip("how names are found depends on no kernel: tried on the host alone");
    }
    let world = World::new();
    runs(&world, &["freeze", "nosuchrun"]).assert_code(64).assert_stderr("nosuchrun");
    let (running, run) = waiting(&world);
    // One letter short.
    let nearly = &run[..run.len() - 1];
    runs(&world, &["freeze", nearly]).assert_code(64).assert_stderr(&run);
    runs(&world, &["kill", &run, "--call", "7"]).assert_code(64).assert_stderr("no call 7");
    let binary = public_binary(&world);
    let as_nobody = |words: &[&str]| {
        let invocation = Invocation::new(&world, "as-nobody", "runs").binary(&binary);
        invocation.args(words).uid(NOBODY).finish()
    };
    as_nobody(&["kill", &run]).assert_code(77).assert_stderr("root");
    let list = as_nobody(&["list", "--live"]);
    assert!(list.assert_code(0).stdout.contains(&run), "{}", list.stdout);
    assert!(!list.stdout.contains("orphaned"), "{}", list.stdout);
    runs(&world, &["kill", &run]).assert_code(0);
    running.finish().assert_code(81);
}

#[test]
fn recorded_runs_are_listed_queried_and_cleared_away() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let clean = Invocation::run(&world, "clean").args(["--no-metrics", "--", "true"]).finish();
        clean.assert_code(0);
        let file = world.file("data/file");
        let bad = Invocation::run(&world, "bad")
            .tier(0, "enforce")
            .label("data", &world.path("data"))
            .args(["--no-metrics", "--"])
            .args([world.actor()])
            .args(words([&"unlink", &file]))
            .finish();
        bad.assert_code(80);
        let (waiting, live) = waiting(&world);
        let run = manifest(&clean.out).run;

        let first = runs(&world, &["ls"]);
        first.assert_code(0).assert_stderr("the run index is new");
        let line = |name: &str| first.stdout.lines().find(|line| line.starts_with(name));
        assert!(line(&run).expect("it is listed").contains(" clean "), "{}", first.stdout);
        assert!(line(&live).expect("it is listed").contains(" running "), "{}", first.stdout);
        let lives = first.stdout.lines().filter(|line| line.contains(&live));
        assert_eq!(lives.count(), 1, "{}", first.stdout);
        let filtered = json(&runs(&world, &["list", "--class", "overreach", "--json"]));
        let recorded = filtered["recorded"].as_array().expect("it is a list");
        assert_eq!(recorded.len(), 1, "{filtered}");
        assert_eq!(
            (&recorded[0]["path"], &recorded[0]["journal"]),
            (&"bad".into(), &"whole".into())
        );
        let shown = runs(&world, &["show", &run]);
        assert!(shown.assert_code(0).stdout.contains("the directory is whole"), "{}", shown.stdout);
        let sql =
            "SELECT verdict, count(*) AS n FROM runs WHERE \"end\" NOT NULL GROUP BY 1 ORDER BY 1";
        let csv = runs(&world, &["query", sql, "--csv"]);
        assert_eq!(csv.assert_code(0).stdout, "verdict,n\nclean,1\nmisaligned,1\n");
        let answer = json(&runs(&world, &["query", "SELECT path FROM classes", "--json"]));
        assert_eq!(answer[0]["path"], "bad", "{answer}");
        let wrong = runs(&world, &["query", "DELETE FROM runs"]);
        wrong.assert_code(64).assert_stderr("one SELECT");

        // Everything is too old; one was altered and one goes on.
        fs::write(clean.out.join("policy.toml"), "").expect("root may");
        runs(&world, &["gc"]).assert_code(64).assert_stderr("--older-than");
        let trial = runs(&world, &["gc", "--older-than", "0s", "--dry-run"]);
        assert!(trial.assert_code(0).stdout.contains("would remove bad"), "{}", trial.stdout);
        assert!(bad.out.exists());
        wait_for("a second to pass", || {
            let gc = runs(&world, &["gc", "--older-than", "0s"]);
            let text = &gc.assert_code(0).stdout;
            assert!(text.contains("kept clean") && text.contains("does not verify"), "{text}");
            assert!(text.contains("kept run") && text.contains("the run is live"), "{text}");
            (!bad.out.exists()).then_some(())
        });
        assert!(clean.out.exists() && waiting.out().exists());
        runs(&world, &["kill", &live]).assert_code(0);
        waiting.finish().assert_code(81);
        let gc = runs(&world, &["gc", "--max-size", "0", "--unverified"]);
        assert!(gc.assert_code(0).stdout.contains("removed clean"), "{}", gc.stdout);
        assert!(!clean.out.exists());
    });
}

#[test]
fn an_empty_list_says_why_it_is_empty() {
    if in_machine() {
        return skip("how runs are listed depends on no kernel: tried on the host alone");
    }
    let world = World::new();
    let list = |place: &Path, words: &[&str]| {
        let invocation = Invocation::new(&world, "list", "runs").args(["list", "--runs"]);
        invocation.args([place]).args(words).finish()
    };
    let place = world.directory("recorded");
    // Live runs of other tests are of another agent.
    let none = ["--agent", "llm:nobody/none"];
    let told = |ended: &Ended, text: &str| {
        assert!(ended.assert_code(0).stdout.contains(text), "{}", ended.stdout);
    };
    told(&list(&place, &none), "and no recorded one in");
    told(&list(&world.path("missing"), &none), "and there is no directory");
    let out = place.join("one");
    Invocation::run(&world, "one").args(["--no-metrics", "--", "true"]).finish().assert_code(0);
    fs::rename(world.path("runs/one"), &out).expect("the world is ours");
    told(&list(&place, &none), "where 1 run is recorded");

    let (binary, closed) = (public_binary(&world), world.directory("closed"));
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("the world is ours");
    let invocation = Invocation::new(&world, "list", "runs").binary(&binary).uid(65_534);
    let ended = invocation.args(["list", "--runs"]).args([&closed]).finish();
    ended.assert_code(65).assert_stderr("cannot list").assert_stderr("Permission denied");
}
