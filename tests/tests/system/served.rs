//! A wrapped command that is given a model: through the proxy, with the key outside.

use std::fs;

use journal::Verb;
use serde_json::{Value, json};
use tests::{
    in_machine,
    model::{ModelServer, Scripted},
    record::Record,
    run::Invocation,
    skip, traces, venv,
    whole::until_whole,
    world::World,
};

use crate::model::{KEY, assert_key_outside};

const ON_THE_HOST: &str = "how a model is asked depends on no kernel: tried on the host alone";

/// An agent as people write them: it knows nothing of where it runs.
const AGENT: &str = r#"
import json, os, subprocess, openai

client = openai.OpenAI()
tools = [{"type": "function", "function": {"name": "run", "parameters": {
    "type": "object", "properties": {"command": {"type": "string"}}}}}]
messages = [{"role": "user", "content": "Make a file."}]
while True:
    try:
        stream = client.chat.completions.create(
            model="scripted/one", messages=messages, tools=tools, stream=True)
        text, calls = "", []
        for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                calls += choice.delta.tool_calls or []
    except openai.RateLimitError as error:
        print("no more:", error.code)
        break
    print("model:", text)
    if not calls:
        break
    messages.append({"role": "assistant", "content": text, "tool_calls": [
        {"id": call.id, "type": "function",
         "function": {"name": call.function.name, "arguments": call.function.arguments}}
        for call in calls]})
    for call in calls:
        command = json.loads(call.function.arguments)["command"]
        done = subprocess.run(command, shell=True, capture_output=True, text=True)
        messages.append({"role": "tool", "tool_call_id": call.id, "content": done.stdout})
"#;

fn given(world: &World, name: &str, server: &ModelServer) -> Invocation {
    Invocation::run(world, name)
        .tier(0, "enforce")
        .args(["--no-metrics", "--model", "openai/scripted/one", "--base-url"])
        .args([server.url()])
        .env("OPENAI_API_KEY", KEY)
}

/// An agent with the official package, and where it may write.
fn agent(world: &World) -> Option<(std::path::PathBuf, std::path::PathBuf)> {
    match venv::with("openai", &["openai"]) {
        Ok(python) => {
            let file = world.file("agent.py");
            fs::write(&file, AGENT).expect("the world is writable");
            Some((python, file))
        }
        Err(why) => {
            skip(&format!("the package `openai` cannot be had: {why}"));
            None
        }
    }
}

#[test]
fn an_agent_with_the_official_package_runs_unchanged_and_without_a_key() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let Some((python, file)) = agent(&world) else { return };
    until_whole(|| {
        let server = ModelServer::start(vec![
            Scripted::Reply(
                "First a file.",
                vec![("run", json!({ "command": "env; touch made" }))],
            ),
            Scripted::Reply("It is made.", vec![]),
        ]);
        // Of an attempt before, where the kernel skipped a program.
        let _ = fs::remove_dir_all(world.path("runs/run"));
        let ended = given(&world, "run", &server)
            .args(["--env", "PYTHONDONTWRITEBYTECODE=1", "--"])
            .args([&python, &file])
            .finish();
        let record = ended.record();
        record.assert_whole();
        traces::assert_none(&record.manifest);
        assert_eq!(record.verdict(), "clean", "{:?}\n{}", record.report["reasons"], ended.stdout);
        ended.assert_code(0);
        assert!(
            ended.stdout.contains("model: First a file.\nmodel: It is made."),
            "{}",
            ended.stdout
        );
        assert_conversation(&record, &server);
        assert_way(&record);
        assert_key_outside(&ended.out, &server);
    });
}

/// Both requests are on record, with what came back, as those of the call that made them.
fn assert_conversation(record: &Record, server: &ModelServer) {
    let of = |event: &str| -> Vec<&Value> {
        record.transcript.iter().filter(|it| it["event"] == event).collect()
    };
    let (requests, responses) = (of("model_request"), of("model_response"));
    assert_eq!((requests.len(), responses.len()), (2, 2), "{:#?}", record.transcript);
    assert!(requests.iter().all(|request| request["call"] == 1), "{requests:#?}");
    assert_eq!(requests[0]["body"]["messages"][0]["content"], "Make a file.");
    assert_eq!(requests[1]["repeats"]["request"], 1);
    let message = &responses[0]["body"]["choices"][0]["message"];
    assert_eq!(message["content"], "First a file.");
    assert_eq!(message["tool_calls"][0]["function"]["name"], "run");
    assert_eq!(responses[0]["input_tokens"], 100);
    // The model was told what the sandbox has for a key.
    let (_, body) = &server.requests()[1];
    let told = body["messages"][2]["content"].as_str().unwrap_or_default();
    assert!(told.contains("OPENAI_API_KEY=") && !told.contains(KEY), "{told}");
}

/// The agent talked to one address, which was its work.
fn assert_way(record: &Record) {
    let proxy = record.manifest.model.as_ref().and_then(|model| model.proxy.clone());
    assert!(proxy.is_some(), "{:?}", record.manifest.model);
    let connects: Vec<_> =
        record.effects.iter().filter(|effect| effect.verb == Verb::Connect).collect();
    assert!(!connects.is_empty());
    for connect in connects {
        assert_eq!(connect.object.address, proxy);
        assert_eq!((connect.object.label.as_str(), connect.call), ("workspace", Some(1)));
    }
}

#[test]
fn a_budget_ends_the_conversation_as_the_package_understands_it() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let Some((python, file)) = agent(&world) else { return };
    let again = Scripted::Reply("Go on.", vec![("run", json!({ "command": "true" }))]);
    let server = ModelServer::start(vec![again.clone(), again.clone(), again]);
    let ended = given(&world, "budget", &server)
        .args(["--budget-tokens", "200", "--env", "PYTHONDONTWRITEBYTECODE=1", "--"])
        .args([&python, &file])
        .finish();
    assert!(ended.stdout.contains("no more: insufficient_quota"), "{}", ended.stdout);
    assert_eq!(server.requests().len(), 2);
    let record = ended.record();
    let last = record.transcript.iter().rfind(|it| it["event"] == "model_response");
    let refusal = last.map(|it| it["refusal"].to_string()).unwrap_or_default();
    assert!(refusal.contains("its 200 tokens are used up"), "{refusal}");
}

#[test]
fn only_the_proxy_is_open_and_only_with_the_runs_token() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let server = ModelServer::start(vec![]);
    let script = format!(
        r#"
import os, urllib.request, urllib.error
for url, key in [({:?}, ""), (os.environ["OPENAI_BASE_URL"], "another")]:
    try:
        request = urllib.request.Request(url + "/models", headers={{"Authorization": "Bearer " + key}})
        print(urllib.request.urlopen(request).status)
    except urllib.error.HTTPError as error:
        print(error.code)
    except OSError as error:
        print(error)
"#,
        server.url()
    );
    let ended =
        given(&world, "run", &server).args(["--", "/usr/bin/python3", "-c", &script]).finish();
    assert!(ended.stdout.contains("Operation not permitted"), "{}", ended.stdout);
    assert!(ended.stdout.lines().any(|line| line == "401"), "{}", ended.stdout);
    assert!(server.requests().is_empty());
    let record = ended.record();
    let refusal = record.transcript.iter().find(|it| it["event"] == "model_response");
    assert_eq!(refusal.map(|it| &it["refusal"]), Some(&json!("the key is not this run's")));
    let denied =
        record.effects.iter().find(|it| it.verb == Verb::Connect && it.verdict.is_violation());
    assert!(denied.is_some(), "the server itself was open");
}

#[test]
fn a_model_that_cannot_be_given_is_refused_before_anything_starts() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let refused = |words: &[&str], code: i32, text: &str| {
        let ended =
            Invocation::run(&world, "refused").args(words).env("OPENAI_API_KEY", "").finish();
        ended.assert_code(code).assert_stderr(text);
        assert!(!ended.out.exists(), "{words:?} made a run directory");
    };
    refused(&["--model", "openai/m"], 64, "put the command behind --");
    refused(&["--model", "openai", "--", "true"], 64, "PROVIDER/MODEL");
    refused(&["--model", "nobody/m", "--", "true"], 64, "openai, which most");
    refused(&["--model", "openai/m", "--", "true"], 78, "set OPENAI_API_KEY");
    refused(&["--model", "openai/m", "--base-url", "host", "--", "true"], 64, "`host`");
    let words = ["--model", "openai/m", "--temperature", "1", "--", "true"];
    refused(&words, 64, "--temperature is for language models");
    let words = ["--model", "openai/m", "--env", "OPENAI_BASE_URL=x", "--", "true"];
    refused(&words, 64, "--model sets OPENAI_BASE_URL itself");
}
