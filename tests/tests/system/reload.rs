//! Another policy for a run that goes on.

use std::{fs, net::TcpListener, path::Path};

use journal::{Verb, Verdict};
use serde_json::Value;
use tests::{
    deadline::wait_for,
    record::{Act, Record},
    run::{Ended, Invocation},
    whole::until_whole,
    world::{World, words},
};

use crate::endings::manifest;

fn policy(world: &World, name: &str, rule: &str) -> std::path::PathBuf {
    let path = world.path(format!("{name}.toml"));
    let text = format!("version = 1\nname = \"{name}\"\n\n{rule}");
    fs::write(&path, text).expect("the world is writable");
    path
}

fn reload(world: &World, run: &str, policy: &Path) -> Ended {
    let reload = Invocation::new(world, "reload", "policy").args(["reload", run, "--policy"]);
    reload.args([policy]).finish()
}

fn reloads(record: &Record) -> Vec<&Value> {
    record.transcript.iter().filter(|entry| entry["event"] == "reload").collect()
}

#[test]
fn a_policy_takes_another_ones_place_and_each_effect_says_which_judged_it() {
    until_whole(|| {
        let world = World::new();
        let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = server.local_addr().expect("it is bound").to_string();
        let marks = world.directory("marks");
        let running = Invocation::run(&world, "run")
            .tier(1, "enforce")
            .label("workspace", &marks)
            .label("data", &world.directory("data"))
            .args(["--label", &format!("data=tcp:{address}"), "--no-metrics", "--"])
            .args([world.actor()])
            .args(words([&"connect", &"tcp", &address, &","]))
            .args(words([&"touch", &marks.join("began"), &","]))
            .args(words([&"wait_file", &marks.join("go"), &","]))
            .args(words([&"connect", &"tcp", &address]))
            .start();
        wait_for("the agent", || marks.join("began").exists().then_some(()));
        let before = manifest(running.out());
        let run = before.run.clone();

        let broken = policy(&world, "broken", "[[rule]]\nverbs = [\"conect\"]\n");
        reload(&world, &run, &broken).assert_code(65).assert_stderr("connect");
        let redacted = policy(&world, "redacted", "[redact]\nenvironment = [\"HOME\"]\n");
        reload(&world, &run, &redacted).assert_code(64).assert_stderr("[redact]");
        if before.probe_set == Some(journal::manifest::ProbeSet::Tracepoint) {
            let rule = "[[rule]]\nverbs = [\"unlink\", \"rename\"]\nlabels = [\"data\"]\n\
                        verdict = \"allow\"\nreason = \"let it\"\n";
            let loose = policy(&world, "loose", rule);
            reload(&world, &run, &loose).assert_code(64).assert_stderr("only be tightened");
        }
        let rule = "[[rule]]\nname = \"opened\"\nverbs = [\"connect\"]\nlabels = [\"data\"]\n\
                    verdict = \"audit\"\nreason = \"for a while\"\n";
        let open = policy(&world, "open", rule);
        reload(&world, &run, &open).assert_code(0);
        world.file("marks/go");
        let ended = running.finish();
        let outcomes: Vec<_> = Act::all(&ended.stdout)
            .into_iter()
            .filter(|act| act.name == "connect")
            .map(|act| act.outcome)
            .collect();
        assert_eq!(outcomes, ["EPERM", "ok"], "{}", ended.stderr);
        let record = ended.record();
        record.assert_whole();
        let judged: Vec<_> =
            record.of(Verb::Connect).map(|effect| (effect.verdict, effect.policy)).collect();
        assert_eq!(judged, [(Verdict::Deny, 0), (Verdict::Audit, 1)]);
        let told = reloads(&record);
        let done = told.last().expect("it is in the transcript");
        assert_eq!(
            (&done["policy"], &done["old_sha256"]),
            (&1.into(), &before.policy_sha256.into())
        );
        assert!(told[..told.len() - 1].iter().all(|refused| refused["policy"] == Value::Null));
        let kept = fs::read_to_string(ended.out.join("policy-1.toml")).expect("it is kept");
        assert_eq!(kept, fs::read_to_string(&open).expect("it is there"));
        let text = Invocation::new(&world, "report", "report").args(["text"]).args([&ended.out]);
        let text = text.finish().stdout;
        assert!(text.contains("was replaced by") && text.contains("policy-1.toml"), "{text}");
        let verify = || Invocation::new(&world, "verify", "verify").args([&ended.out]).finish();
        verify().assert_code(0);
        fs::write(ended.out.join("policy-1.toml"), "version = 1\n").expect("root may");
        let altered = verify();
        altered.assert_code(65);
        assert!(altered.stdout.contains("policy-1.toml"), "{}", altered.stdout);
    });
}
