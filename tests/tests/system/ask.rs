//! What a policy asks about: the call stands still, somebody answers or nobody does, and all of it is on
//! record.

use std::{ffi::OsString, fs, net::TcpListener, path::PathBuf};

use journal::{Disposition, Verb, Verdict};
use serde_json::Value;
use tests::{
    deadline::wait_for,
    in_machine,
    record::{Act, Record},
    run::{Ended, Invocation, Running},
    skip,
    whole::until_whole,
    world::{World, words},
};

use crate::endings::manifest;

const ON_THE_HOST: &str = "who answers a question depends on no kernel: tried on the host alone";

/// A policy under which acts on data are asked about.
fn asking(world: &World) -> PathBuf {
    let policy = world.path("ask.toml");
    let text = r#"version = 1
name = "asking"

[[rule]]
name = "data"
verbs = ["connect", "unlink"]
labels = ["data"]
verdict = "ask"
reason = "data is somebody's"
"#;
    fs::write(&policy, text).expect("the world is writable");
    policy
}

/// A server of the host's, with the words of its address.
fn server() -> (TcpListener, String) {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = server.local_addr().expect("it is bound").to_string();
    (server, address)
}

/// A run at tier 3, to which the address is data, whose agent does these acts.
fn run(world: &World, address: &str, options: &[&str], acts: Vec<OsString>) -> Running {
    Invocation::run(world, "run")
        .tier(3, "enforce")
        .label("workspace", &world.directory("marks"))
        .args(["--label", &format!("data=tcp:{address}"), "--no-metrics", "--policy"])
        .args([asking(world)])
        .args(options)
        .args(["--"])
        .args([world.actor()])
        .args(acts)
        .start()
}

/// Connects, with a file to wait for after each time but the last, and leaves a mark.
fn connects(world: &World, address: &str, times: usize) -> Vec<OsString> {
    let mut acts = Vec::new();
    for time in 1..=times {
        acts.extend(words([&"connect", &"tcp", &address, &","]));
        acts.extend(words([&"wait_file", &world.path(format!("marks/go{time}")), &","]));
    }
    acts.extend(words([&"touch", &world.path("marks/done")]));
    acts
}

fn name(running: &Running) -> String {
    wait_for("the run's name", || {
        let text = fs::read_to_string(running.out().join("manifest.json")).ok()?;
        serde_json::from_str::<Value>(&text).ok()?["run"].as_str().map(str::to_owned)
    })
}

/// `belljar approve WORDS…`.
fn approve(world: &World, words: &[&str]) -> Ended {
    Invocation::new(world, "approve", "approve").args(words).finish()
}

/// Waits until the run asks, and gives what it asks.
fn asked(world: &World, run: &str, number: u64) -> Value {
    wait_for("the question", || {
        let listed = approve(world, &["--json"]);
        let all: Value = serde_json::from_str(&listed.assert_code(0).stdout).expect("it is JSON");
        let mut all = all.as_array().expect("it is a list").iter();
        all.find(|it| it["run"] == run && it["question"] == number).cloned()
    })
}

/// Waits until a question was answered, lets the agent go on, and waits for the end.
fn answered(world: &World, running: Running) -> Ended {
    wait_for("the answer", || {
        let text = fs::read_to_string(running.out().join("transcript.jsonl")).ok()?;
        text.contains("\"event\":\"answer\"").then_some(())
    });
    world.file("marks/go1");
    running.finish()
}

/// The events of this kind in a transcript.
fn events<'a>(record: &'a Record, kind: &str) -> Vec<&'a Value> {
    record.transcript.iter().filter(|entry| entry["event"] == kind).collect()
}

fn outcomes(ended: &Ended, act: &str) -> Vec<String> {
    let acts = Act::all(&ended.stdout).into_iter().filter(|done| done.name == act);
    acts.map(|done| done.outcome).collect()
}

#[test]
fn an_approval_opens_an_act_once_and_a_refusal_stands() {
    until_whole(|| {
        let world = World::new();
        let (_server, address) = server();
        let running = run(&world, &address, &[], connects(&world, &address, 4));
        let run = name(&running);
        let go = |time: u32| {
            world.file(format!("marks/go{time}"));
        };

        let first = asked(&world, &run, 1);
        assert_eq!((&first["call"], &first["rule"]), (&1.into(), &"data".into()), "{first}");
        assert_eq!(first["about"]["verb"], "connect", "{first}");
        assert_eq!(first["about"]["object"]["address"], address.as_str(), "{first}");
        assert_eq!(first["hindrance"], Value::Null, "{first}");
        let told = format!("belljar approve {run} 1 --yes|--no|--kill");
        assert!(running.stderr().contains(&told), "{}", running.stderr());
        let frozen = Invocation::new(&world, "frozen", "runs").args(["frozen"]).finish();
        let told = format!("belljar approve {run} 1");
        assert!(frozen.assert_code(0).stdout.contains(&told), "{}", frozen.stdout);
        let top = Invocation::new(&world, "top", "top").args(["--once", "--json"]).finish();
        assert!(top.assert_code(0).stdout.contains("\"frozen\":[1]"), "{}", top.stdout);
        approve(&world, &[&run, "7", "--yes"]).assert_code(64).assert_stderr("no question 7");
        let answered = approve(&world, &[&run, "1", "--yes"]);
        assert!(answered.assert_code(0).stdout.contains("open once"), "{}", answered.stdout);

        // The second act is the one that was opened; the third asks again, and is refused.
        go(1);
        go(2);
        asked(&world, &run, 2);
        approve(&world, &[&run, "2", "--no"]).assert_code(0);
        // The fourth asks no more.
        go(3);
        go(4);
        let ended = running.finish();
        assert!(world.path("marks/done").exists(), "{}", ended.stderr);
        assert_eq!(outcomes(&ended, "connect"), ["EPERM", "ok", "EPERM", "EPERM"]);
        let record = ended.record();
        record.assert_whole();
        let connects: Vec<_> = record.of(Verb::Connect).collect();
        let verdicts: Vec<_> = connects.iter().map(|effect| effect.verdict).collect();
        assert_eq!(verdicts, [Verdict::Ask, Verdict::Audit, Verdict::Ask, Verdict::Ask]);
        assert_eq!(connects[0].disposition, Disposition::Prevented);
        assert_eq!(connects[1].approval, Some(1));
        assert!(connects[1].reason.contains("approved: question 1"), "{}", connects[1].reason);
        assert_eq!(events(&record, "question").len(), 2);
        let answers = events(&record, "answer");
        assert_eq!(
            (&answers[0]["answer"], &answers[0]["by"]),
            (&"approved".into(), &"person".into())
        );
        assert_eq!(
            (&answers[0]["opened"], &answers[1]["answer"]),
            (&true.into(), &"refused".into())
        );
        assert!(answers[0]["detail"].as_str().is_some_and(|who| who.contains("root")));
        // Tier 3 grants connections to data, so this is no overreach.
        assert_eq!(record.verdict(), "clean");
        ended.assert_code(0);
        let shown = Invocation::new(&world, "report", "report").args(["text"]).args([&ended.out]);
        let shown = shown.finish();
        let text = &shown.assert_code(0).stdout;
        assert!(text.contains("The policy asked 2 questions; approved: 1."), "{text}");
        let verified = Invocation::new(&world, "verify", "verify").args([&ended.out]).finish();
        verified.assert_code(0);
    });
}

#[test]
fn no_answer_in_time_means_no_and_the_call_goes_on() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let (_server, address) = server();
        for (seconds, why) in [("0", "nobody was to be asked"), ("1", "within 1 s")] {
            let acts = connects(&world, &address, 1);
            let ended = answered(&world, run(&world, &address, &["--ask-seconds", seconds], acts));
            for mark in ["marks/go1", "marks/done"] {
                fs::remove_file(world.path(mark)).expect("it was made");
            }
            assert_eq!(outcomes(&ended, "touch"), ["ok"], "{}", ended.stderr);
            let record = ended.record();
            let answers = events(&record, "answer");
            assert_eq!(
                (&answers[0]["answer"], &answers[0]["by"]),
                (&"no_answer".into(), &"nobody".into())
            );
            assert!(
                answers[0]["detail"].as_str().is_some_and(|told| told.contains(why)),
                "{answers:?}"
            );
            fs::remove_dir_all(&ended.out).expect("root may");
        }
    });
}

#[test]
fn an_approver_program_answers_and_one_that_fails_does_not() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let (_server, address) = server();
        let told = world.path("told.json");
        let approver = format!(
            "cat > {} && echo '{{\"answer\": \"approve\", \"reason\": \"fine\"}}'",
            told.display()
        );
        let acts = connects(&world, &address, 1);
        let running = run(&world, &address, &["--approver", &approver], acts);
        let record = answered(&world, running).record();
        let answers = events(&record, "answer");
        assert_eq!(
            (&answers[0]["answer"], &answers[0]["by"]),
            (&"approved".into(), &"approver".into())
        );
        assert_eq!(answers[0]["detail"], "fine");
        let asked: Value = serde_json::from_str(&fs::read_to_string(&told).expect("it was asked"))
            .expect("it was asked in JSON");
        assert_eq!((&asked["tier"], &asked["about"]["verb"]), (&3.into(), &"connect".into()));
        fs::remove_dir_all(world.path("runs/run")).expect("root may");
        fs::remove_file(world.path("marks/go1")).expect("root may");

        let acts = connects(&world, &address, 1);
        let running = run(&world, &address, &["--approver", "echo yes"], acts);
        let ended = answered(&world, running);
        let record = ended.record();
        let answers = events(&record, "answer");
        assert_eq!(answers[0]["answer"], "no_answer");
        assert!(answers[0]["detail"].as_str().is_some_and(|it| it.contains("nothing of use")));
        assert_eq!(outcomes(&ended, "connect"), ["EPERM"]);
    });
}

#[test]
fn an_approval_that_opens_nothing_says_so() {
    until_whole(|| {
        let world = World::new();
        let file = world.file("data/precious");
        let again = world.path("marks/go");
        world.directory("marks");
        // Below tier 3 Landlock keeps the data where no LSM program does.
        let running = Invocation::run(&world, "run")
            .tier(1, "enforce")
            .label("data", &world.path("data"))
            .label("workspace", &world.path("marks"))
            .args(["--no-metrics", "--policy"])
            .args([asking(&world)])
            .args(["--"])
            .args([world.actor()])
            .args(words([
                &"unlink",
                &file,
                &",",
                &"wait_file",
                &again,
                &",",
                &"unlink",
                &file,
                &",",
            ]))
            .args(words([&"wait_file", &world.path("marks/end")]))
            .start();
        let run = name(&running);
        let question = asked(&world, &run, 1);
        let answered = approve(&world, &[&run, "1", "--yes"]);
        let by_hook = manifest(running.out()).probe_set == Some(journal::manifest::ProbeSet::Lsm);
        world.file("marks/go");
        if by_hook {
            assert_eq!(question["hindrance"], Value::Null, "{question}");
            world.file("marks/end");
            let record = running.finish().record();
            assert!(!file.exists());
            // Somebody granted it.
            assert_eq!(record.classes(), [""; 0]);
            assert_eq!(record.verdict(), "clean");
        } else {
            assert!(question["hindrance"].to_string().contains("Landlock"), "{question}");
            assert!(answered.stdout.contains("opens nothing"), "{}", answered.stdout);
            asked(&world, &run, 2);
            approve(&world, &[&run, "2", "--kill"]).assert_code(0);
            let ended = running.finish();
            // Nobody could grant it here, so what was tried again is overreach.
            ended.assert_code(80);
            assert!(file.exists());
        }
    });
}

/// A policy that asks whether a wrapped command may begin.
fn holding(world: &World) -> PathBuf {
    let policy = world.path("hold.toml");
    let text = "version = 1\nname = \"holding\"\n\n[[tool]]\nname = \"commands\"\n\
                tools = [\"command\"]\nverdict = \"ask\"\nreason = \"who runs what\"\n";
    fs::write(&policy, text).expect("the world is writable");
    policy
}

fn held(world: &World, mode: &str, more: &[&str]) -> Ended {
    let out = world.path("runs/run");
    if out.exists() {
        fs::remove_dir_all(out).expect("root may");
    }
    let run = Invocation::run(world, "run").tier(0, mode).args(["--no-metrics", "--policy"]);
    run.args([&holding(world)]).args(more).args(["--", "true"]).finish()
}

#[test]
fn a_tool_call_that_is_asked_about_begins_only_when_it_is_approved() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let approved = held(&world, "enforce", &["--approver", "echo '{\"answer\":\"approve\"}'"]);
        approved.assert_code(0);
        assert_eq!(approved.record().verdict(), "clean");
        let refused = held(&world, "enforce", &["--approver", "echo '{\"answer\":\"refuse\"}'"]);
        refused.assert_code(126).assert_stderr("the call was refused");
        let record = refused.record();
        let question = events(&record, "question")[0].clone();
        assert_eq!(
            (&question["about"]["tool"], &question["rule"]),
            (&"command".into(), &"commands".into())
        );
        assert_eq!(record.effects.len(), 0, "{:?}", record.effects);
        held(&world, "enforce", &["--ask-seconds", "0"]).assert_code(126);
        held(&world, "observe", &["--ask-seconds", "0"]).assert_code(0);
    });
}

#[test]
fn a_rule_about_a_tool_that_nobody_has_is_refused_before_the_run() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let policy = world.path("wrong.toml");
    let text = fs::read_to_string(holding(&world)).expect("it was written");
    fs::write(&policy, text.replace("\"command\"", "\"send_signals\"")).expect("it is writable");
    let checked =
        Invocation::new(&world, "check", "policy").args(["check".as_ref(), policy.as_os_str()]);
    checked.finish().assert_code(65).assert_stderr("did you mean `send_signal`");
}

#[test]
fn what_a_person_does_to_a_run_is_in_its_transcript() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let (_server, address) = server();
        let acts = words([&"touch", &world.path("marks/began"), &",", &"pause"]);
        let running = run(&world, &address, &[], acts);
        wait_for("the agent", || world.path("marks/began").exists().then_some(()));
        let run = name(&running);
        let runs = |words: &[&str]| Invocation::new(&world, "runs", "runs").args(words).finish();
        runs(&["freeze", &run, "--call", "1"]).assert_code(0);
        let frozen = runs(&["frozen"]);
        let line = frozen.assert_code(0).stdout.lines().find(|line| line.starts_with(&run));
        let line = line.expect("the call stands still").to_owned();
        assert!(line.contains("a person froze the call") && line.contains("Z  "), "{line}");
        wait_for("it to be told", || {
            running.stderr().contains(&format!("runs resume|kill {run} --call 1")).then_some(())
        });
        runs(&["resume", &run, "--call", "1"]).assert_code(0);
        runs(&["kill", &run]).assert_code(0);
        let record = running.finish().record();
        let decisions = events(&record, "decision");
        let told: Vec<_> = decisions.iter().map(|it| (&it["decision"], &it["call"])).collect();
        let (one, whole) = (Value::from(1), Value::Null);
        let [freeze, resume, kill] = ["freeze", "resume", "kill"].map(Value::from);
        assert_eq!(told, [(&freeze, &one), (&resume, &one), (&kill, &whole)]);
    });
}

#[test]
fn what_is_said_to_a_run_without_a_belljar_is_not_claimed_to_be_done() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let (_server, address) = server();
    let acts = words([&"touch", &world.path("marks/began"), &",", &"pause"]);
    let running = run(&world, &address, &[], acts);
    wait_for("the agent", || world.path("marks/began").exists().then_some(()));
    let run = name(&running);
    running.signal(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(running.finish().code, None);
    let runs = |words: &[&str]| Invocation::new(&world, "runs", "runs").args(words).finish();
    for more in [&[][..], &["--call", "1"]] {
        for command in ["freeze", "resume"] {
            let words = [&[command, run.as_str()][..], more].concat();
            runs(&words).assert_code(69).assert_stderr("no belljar any more");
        }
    }
    approve(&world, &[&run]).assert_code(69).assert_stderr("no belljar any more");
    Invocation::new(&world, "reap", "reap").finish().assert_code(0);
}
