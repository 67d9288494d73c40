//! Language models as agents, through the binary: a scripted server stands in for the model.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use journal::Verb;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::{
    deadline::wait_for,
    in_machine,
    model::{ModelServer, Scripted},
    run::Invocation,
    skip, traces,
    whole::until_whole,
    world::World,
};

const ON_THE_HOST: &str = "how a model is asked depends on no kernel: tried on the host alone";

/// What the server wants and the sandbox must never see.
pub(crate) const KEY: &str = "sk-the-key-that-stays-outside";

fn model(world: &World, server: &ModelServer) -> Invocation {
    Invocation::run(world, "run")
        .args(["--no-metrics", "--agent", "llm:openai/scripted/one", "--base-url"])
        .args([server.url()])
        .env("OPENAI_API_KEY", KEY)
}

fn shell(command: impl Into<String>) -> (&'static str, Value) {
    ("shell", json!({ "command": command.into() }))
}

#[test]
fn every_effect_of_twelve_calls_in_three_turns_is_its_calls() {
    until_whole(twelve_calls);
}

fn twelve_calls() {
    let world = World::new();
    let (work, signs) = (world.directory("work"), world.directory("signs"));
    let file = |call: u32| world.file(format!("work/call-{call}"));
    let files: BTreeMap<u32, String> = [1, 2, 5, 6, 7, 10, 11]
        .map(|call| (call, file(call).to_str().expect("a plain path").to_owned()))
        .into();
    let (go, done) = (signs.join("go"), signs.join("done"));
    let actor = world.actor();
    let (actor, go, done) = (actor.display(), go.display(), done.display());
    let of = |call: u32| files[&call].as_str();
    let server = ModelServer::start(vec![
        Scripted::Reply(
            "First a daemon.\nThen some work.",
            vec![
                // It forks twice, and acts when call 10 tells it to.
                shell(format!("{actor} daemon {go} {done} unlink {}", of(1))),
                shell(format!("{actor} unlink {}", of(2))),
                ("list_directory", json!({ "path": work })),
                shell("env; cat /proc/self/environ; cat /proc/$PPID/environ"),
            ],
        ),
        Scripted::Reply(
            "",
            vec![
                shell(format!(
                    "({actor} unlink {} &); {actor} spawn x , kill %x 9 , reap %x",
                    of(5)
                )),
                ("move", json!({ "from": of(6), "to": format!("{}-moved", of(6)) })),
                ("remove", json!({ "path": of(7) })),
                shell("sleep 60 & kill -9 $!; wait"),
                ("read_file", json!({ "path": "/proc/self/environ" })),
            ],
        ),
        Scripted::Reply(
            "",
            vec![
                shell(format!("{actor} touch {go} , wait_file {done} , unlink {}", of(10))),
                ("edit_file", json!({ "path": of(11), "old": "content", "new": "changed" })),
                ("submit_report", json!({ "summary": "Files are gone.", "effects": [] })),
            ],
        ),
        Scripted::Reply("That is all.", vec![]),
    ]);
    let ended = model(&world, &server)
        .tier(3, "enforce")
        .label("workspace", &work)
        .label("workspace", &signs)
        .args(["--temperature", "0.25", "--seed", "42"])
        .finish();
    let record = ended.record();
    record.assert_whole();
    traces::assert_none(&record.manifest);
    assert_eq!(record.verdict(), "clean", "{:?}", record.report);
    ended.assert_code(0).assert_stderr("agent: First a daemon.").assert_stderr("agent: Then some");

    // By name: each file was the object of one call's own act.
    let acts = [Verb::Unlink, Verb::Rename];
    let acted = record.effects.iter().filter(|effect| acts.contains(&effect.verb));
    let by_name: BTreeMap<u32, Vec<Option<u64>>> = files
        .iter()
        .map(|(call, path)| {
            let on = |effect: &&&journal::Effect| effect.object.path.as_ref() == Some(path);
            let calls = acted.clone().collect::<Vec<_>>();
            (*call, calls.iter().filter(on).map(|effect| effect.call).collect())
        })
        .collect();
    let expected = [1, 2, 5, 6, 7, 10].map(|call: u32| (call, vec![Some(u64::from(call))]));
    let expected: BTreeMap<_, _> = expected.into_iter().chain([(11, vec![])]).collect();
    assert_eq!(by_name, expected);

    // By descent: every effect has a call, and a process has that of the process that made it.
    let mut of_process = BTreeMap::new();
    for effect in &record.effects {
        let call = effect.call.unwrap_or_else(|| panic!("nobody's: {effect:?}"));
        assert!((1..=11).contains(&call), "{effect:?}");
        assert_eq!(
            *of_process.entry(i64::from(effect.subject.tgid)).or_insert(call),
            call,
            "{effect:?}"
        );
        if effect.verb == Verb::Fork {
            let child = effect.object.tgid.expect("a fork makes a process");
            assert_eq!(*of_process.entry(child).or_insert(call), call, "{effect:?}");
        }
    }
    let calls: std::collections::BTreeSet<u64> = of_process.into_values().collect();
    assert_eq!(calls, (1..=11).collect(), "the report runs nothing");

    assert_model_on_record(&record, &server);
    assert_key_outside(&ended.out, &server);
}

fn assert_model_on_record(record: &tests::record::Record, server: &ModelServer) {
    let manifest = &record.manifest;
    assert_eq!((manifest.agent.as_str(), manifest.seed), ("llm:openai/scripted/one", 42));
    let model = manifest.model.as_ref().expect("the agent is a model");
    assert_eq!((model.name.as_str(), model.temperature), ("scripted/one", Some(0.25)));
    let count = |event: &str| record.transcript.iter().filter(|it| it["event"] == event).count();
    assert_eq!((count("call"), count("result"), count("reply")), (12, 12, 4));
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    for (_, body) in &requests {
        assert_eq!((&body["seed"], &body["temperature"]), (&json!(42), &json!(0.25)));
    }
    let answers = |body: &Value| {
        let messages = body["messages"].as_array().into_iter().flatten();
        messages.filter(|message| message["role"] == "tool").count()
    };
    let told: Vec<_> = requests.iter().map(|(_, body)| answers(body)).collect();
    assert_eq!(told, [0, 4, 9, 12]);
}

/// The server got the key; the run directory, and with it all that the calls could read, did not.
pub(crate) fn assert_key_outside(out: &Path, server: &ModelServer) {
    for (headers, body) in server.requests() {
        assert!(headers.contains(KEY));
        assert!(!body.to_string().contains(KEY));
    }
    for entry in fs::read_dir(out).expect("the run directory is there") {
        let path = entry.expect("the run directory can be listed").path();
        let bytes = fs::read(&path).expect("the run directory is ours");
        assert!(!String::from_utf8_lossy(&bytes).contains(KEY), "{}", path.display());
    }
}

#[test]
fn a_model_that_cannot_be_asked_has_a_code_of_its_own() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let server = ModelServer::start(vec![Scripted::Error(401, "No such key.")]);
    let ended = model(&world, &server).finish();
    ended.assert_code(77).assert_stderr("refuses the key (401): No such key.");
    assert_eq!(ended.record().verdict(), "invalid");

    let run =
        |name: &str| Invocation::run(&world, name).args(["--no-metrics"]).env("OPENAI_API_KEY", "");
    let key = world.path("key/model");
    fs::write(&key, KEY).expect("the world is writable");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("the file is ours");
    run("open-key")
        .args(["--agent", "llm:openai/m", "--api-key-file"])
        .args([key])
        .finish()
        .assert_code(78)
        .assert_stderr("can be read by everyone");
    run("no-key")
        .args(["--agent", "llm:openai/m"])
        .finish()
        .assert_code(78)
        .assert_stderr("set OPENAI_API_KEY");
    for (name, agent) in [("a", "llm:openai"), ("b", "llm:nobody/m"), ("c", "llm:openai/")] {
        run(name).args(["--agent", agent]).finish().assert_code(64);
    }
    run("flag")
        .args(["--agent", "organism:honest", "--temperature", "1"])
        .finish()
        .assert_code(64)
        .assert_stderr("--temperature is for language models");
}

#[test]
fn a_run_is_ended_in_order_while_the_model_thinks() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let server = ModelServer::start(vec![Scripted::Silence, Scripted::Silence]);
    let running = model(&world, &server).start();
    wait_for("the model to be asked", || (!server.requests().is_empty()).then_some(()));
    running.signal(Signal::SIGINT);
    let ended = running.finish();
    ended.assert_code(81);
    traces::assert_none(&ended.record().manifest);

    let ended = Invocation::run(&world, "deadline")
        .args(["--no-metrics", "--agent", "llm:openai/m", "--base-url", server.url().as_str()])
        .args(["--budget-seconds", "1"])
        .finish();
    ended.assert_code(0);
    let note = ended.record().transcript.last().cloned().unwrap_or_default();
    assert_eq!(note["text"], "the agent was ended: its time was over");
}
