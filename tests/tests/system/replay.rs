//! A recorded run's calls, made again.

use std::fs;

use journal::Verb;
use serde_json::json;
use tests::{
    in_machine,
    record::Record,
    resident,
    run::{Ended, Invocation},
    session::Session,
    skip,
    whole::until_whole,
    world::World,
};

const ON_THE_HOST: &str = "how calls are made again depends on no kernel: tried on the host alone";

fn replay(world: &World, name: &str, recorded: &str, words: &[&str]) -> Ended {
    Invocation::new(world, name, "replay")
        .args([recorded])
        .watched(world, resident::shared().socket.as_os_str())
        .args(["--no-metrics"])
        .args(words)
        .finish()
}

#[test]
fn an_organisms_calls_are_made_again_under_another_tier() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let (workspace, data) = (world.directory("work"), world.file("data/file"));
        let file = world.file("work/file");
        let organism = format!(
            r#"
version = 1
name = "remover"
doc = "Removes what is in its way."
disposition = "test"

[[step]]
tool = "shell"
arguments = {{ command = "{actor} unlink {file}" }}

[[step]]
tool = "remove"
arguments = {{ path = "{data}" }}

[[step]]
tool = "send_signal"
arguments = {{ tgid = 4000000, signal = "TERM" }}
"#,
            actor = world.actor().display(),
            file = file.display(),
            data = data.display(),
        );
        let path = world.path("remover.toml");
        fs::write(&path, organism).expect("the world is writable");
        let ended = Invocation::run(&world, "run")
            .tier(3, "enforce")
            .label("workspace", &workspace)
            .label("data", &world.path("data"))
            .args(["--no-metrics", "--agent", &format!("organism:{}", path.display())])
            .finish();
        ended.record().assert_whole();
        assert!(!data.exists());
        world.file("work/file");
        world.file("data/file");
        let recorded = ended.out.to_str().expect("a plain path");
        let again = replay(&world, "again", recorded, &["--tier", "0"]);
        // At tier 0 there is no such tool, so nothing is even tried.
        again.assert_code(0).assert_stderr("not replayed: call 3, send_signal: process 4000000");
        assert!(!file.exists() && data.exists());
        let record = again.record();
        record.assert_whole();
        assert_eq!(record.manifest.agent, "replay");
        assert_eq!(record.manifest.replay_of.as_deref(), Some(&*ended.record().manifest.run));
        assert_eq!(record.manifest.policy_sha256, ended.record().manifest.policy_sha256);
        assert!(again.stdout.contains("against the recorded run"), "{}", again.stdout);
        let refused =
            record.transcript.iter().find(|entry| entry["event"] == "result" && entry["call"] == 2);
        assert_eq!(refused.expect("a second call")["ok"], false);
        Invocation::new(&world, "gone", "replay")
            .args([world.path("nowhere").as_os_str()])
            .finish()
            .assert_code(65);
    });
}

#[test]
fn twelve_calls_overlap_again_as_they_did() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let work = world.directory("work");
        let label = format!("workspace={}", work.display());
        let session = Session::open(&world, "run", &["--label", &label]);
        let actor = world.actor();
        let path = |name: &str| work.join(name).display().to_string();
        // Two calls of which each waits for the other: they end only if they overlap.
        let meet = |mine: &str, other: &str| {
            let (mine, other) = (path(mine), path(other));
            json!({ "op": "exec", "command": [actor, "touch", mine, ",", "wait_file", other] })
        };
        for pair in 0..5 {
            let (mut left, mut right) = (session.connect(), session.connect());
            let names = [format!("left-{pair}"), format!("right-{pair}")];
            left.send(&meet(&names[0], &names[1]));
            right.send(&meet(&names[1], &names[0]));
            assert_eq!(left.hear()["exec"]["exit_code"], 0);
            assert_eq!(right.hear()["exec"]["exit_code"], 0);
        }
        let written =
            session.ask(&json!({ "op": "write", "path": "note", "content_base64": "AAH/" }));
        assert_eq!(written["call"], 11, "{written}");
        let told = session.ask(&json!({
            "op": "exec", "command": ["sh", "-c", "wc -c < note"], "stdin_base64": "AAH/"
        }));
        assert_eq!(told["exec"]["stdout_base64"], "Mwo=", "{told}");
        let closed = session.ask(&json!({ "op": "close" }));
        assert_eq!(closed["closed"]["exit_code"], 0, "{closed}");
        for entry in fs::read_dir(&work).expect("the directory is there") {
            fs::remove_file(entry.expect("an entry").path()).expect("the world is ours");
        }
        let again = replay(&world, "again", session.out.to_str().expect("a plain path"), &[]);
        again.assert_code(0);
        assert!(!again.stderr.contains("not replayed"), "{}", again.stderr);
        let (before, after) = (Record::read(&session.out), again.record());
        after.assert_whole();
        let ends = |record: &Record| -> Vec<_> {
            let results = record.transcript.iter().filter(|entry| entry["event"] == "result");
            let mut ends: Vec<_> = results
                .map(|entry| {
                    (entry["call"].as_u64(), entry["ok"].clone(), entry["value"]["stdout"].clone())
                })
                .map(|(call, ok, stdout)| {
                    (call, ok, if call == Some(12) { stdout } else { json!(null) })
                })
                .collect();
            ends.sort_by_key(|(call, ..)| *call);
            ends
        };
        assert_eq!(ends(&before).len(), 12);
        assert_eq!(ends(&before), ends(&after));
        let execs = |record: &Record| {
            let mut calls: Vec<_> = record.of(Verb::Exec).map(|effect| effect.call).collect();
            calls.sort_unstable();
            calls
        };
        assert_eq!(execs(&before), execs(&after));
    });
}
