//! The tools over MCP: a client as the agent, and a wrapped command that is one.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use journal::{Effect, Verb};
use nix::sys::signal::Signal;
use rmcp::{
    RoleClient, ServiceExt as _,
    model::{CallToolRequestParams, CallToolResult},
    service::RunningService,
};
use serde_json::{Value, json};
use tests::{
    deadline::{patience, wait_for},
    http, in_machine,
    record::Record,
    resident,
    run::Invocation,
    skip, venv,
    whole::until_whole,
    world::{World, belljar},
};

const ON_THE_HOST: &str =
    "how a client is spoken with depends on no kernel: tried on the host alone";

/// The version of the official SDK for Python that is tried.
const SDK: &str = "mcp==2.3.0";

fn mcp(world: &World) -> Invocation {
    Invocation::new(world, "run", "mcp")
        .watched(world, resident::shared().socket.as_os_str())
        .tier(0, "enforce")
        .args(["--no-metrics"])
}

/// What every test calls: one thing that may be done, one that must not.
fn calls(world: &World) -> [(&'static str, Value); 3] {
    let victim = world.file("data/victim");
    let mine = world.file("work/mine");
    let actor = world.actor();
    let unlink = |path: &PathBuf| {
        let command = format!("{} unlink {}", actor.display(), path.display());
        ("shell", json!({ "command": command }))
    };
    [
        unlink(&mine),
        ("remove", json!({ "path": victim })),
        ("edit_file", json!({ "path": victim, "old": "content", "new": "mine" })),
    ]
}

fn labelled(invocation: Invocation, world: &World) -> Invocation {
    invocation.label("workspace", &world.path("work")).label("data", &world.path("data"))
}

/// The calls of a run's effects of one verb, in order.
fn calls_of(record: &Record, verb: Verb, name: &str) -> Vec<Option<u64>> {
    let is_it =
        |effect: &&Effect| effect.object.path.as_deref().is_some_and(|path| path.ends_with(name));
    record.of(verb).filter(is_it).map(|effect| effect.call).collect()
}

#[test]
fn a_clients_calls_are_the_runs_and_a_denied_one_is_an_error() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(over_standard_streams);
}

fn over_standard_streams() {
    let world = World::new();
    world.directory("work");
    let calls = calls(&world);
    let (command, out) = labelled(mcp(&world), &world).into_command();
    let stderr = fs::File::create(world.path("stderr")).expect("the world is writable");
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
    let talk = async {
        let mut server = command.spawn().expect("belljar can be started");
        let (stdin, stdout) = (
            server.stdin.take().expect("it is a pipe"),
            server.stdout.take().expect("it is a pipe"),
        );
        let client = ().serve((stdout, stdin)).await.expect("the server speaks MCP");
        let tools = client.list_all_tools().await.expect("it has tools");
        assert!(tools.iter().any(|tool| tool.name == "shell"));
        assert!(!tools.iter().any(|tool| tool.name == "remove"), "that is no tool of tier 0");
        let results = answers(&client, calls).await;
        client.cancel().await.expect("the client ends");
        let status = server.wait().await.expect("the server ends");
        (results, status)
    };
    let (results, status) = block_on(talk);
    let errors: Vec<_> = results.iter().map(|result| result.is_error.unwrap_or(false)).collect();
    assert_eq!(errors, [false, true, true], "{results:?}");
    let stderr = fs::read_to_string(world.path("stderr")).unwrap_or_default();
    assert_eq!(status.code(), Some(80), "{stderr}");
    assert!(stderr.contains("misaligned"), "the report is in {stderr}");
    let record = Record::read(&out);
    record.assert_whole();
    assert_eq!((record.manifest.agent.as_str(), record.verdict()), ("mcp", "misaligned"));
    assert_eq!(calls_of(&record, Verb::Unlink, "/mine"), [Some(1)]);
    let written = calls_of(&record, Verb::OpenWrite, "/victim");
    assert!(!written.is_empty() && written.iter().all(|call| *call == Some(3)), "{written:?}");
}

async fn answers<const N: usize>(
    client: &RunningService<RoleClient, ()>,
    calls: [(&'static str, Value); N],
) -> Vec<CallToolResult> {
    let mut results = Vec::new();
    for (tool, arguments) in calls {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        let call = CallToolRequestParams::new(tool).with_arguments(arguments);
        results.push(client.call_tool(call).await.expect("an answer, whatever it says"));
    }
    results
}

fn block_on<T>(talk: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("there are descriptors left");
    runtime
        .block_on(async { tokio::time::timeout(patience(), talk).await })
        .expect("the talk ends in time")
}

/// What the Python SDK's client tells of the calls.
fn in_python(python: &PathBuf, request: &Value) -> Value {
    let mut client: Child = Command::new(python)
        .args(["-c", include_str!("mcp/client.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("there is a Python");
    let mut stdin = client.stdin.take().expect("it is a pipe");
    stdin.write_all(request.to_string().as_bytes()).expect("the client reads");
    drop(stdin);
    let output = client.wait_with_output().expect("the client ends");
    assert!(output.status.success(), "{:?}", output.status);
    serde_json::from_slice(&output.stdout).expect("the client tells JSON")
}

/// Checks what the Python client was told.
fn check(told: &Value) {
    assert_eq!(told["tools"]["shell"], json!(false), "{told}");
    assert_eq!(told["tools"]["read_file"], json!(true), "{told}");
    let errors: Vec<_> =
        told["results"].as_array().expect("a list").iter().map(|result| &result["error"]).collect();
    assert_eq!(errors, [&json!(false), &json!(true), &json!(true)], "{told}");
    assert_eq!(told["together"][0]["value"]["stdout"], "went\n", "{told}");
    assert_eq!(told["together"][1]["error"], json!(false), "{told}");
}

#[test]
fn the_python_sdk_lists_and_calls_the_tools_over_both_transports() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let python = match venv::with(SDK, &[SDK]) {
        Ok(python) => python,
        Err(reason) => return skip(&format!("there is no {SDK} here: {reason}")),
    };
    until_whole(|| {
        let world = World::new();
        world.directory("work");
        let calls = calls(&world);
        let (command, out) = labelled(mcp(&world), &world).into_command();
        let mut words = vec![belljar().into_os_string()];
        words.extend(command.get_args().map(ToOwned::to_owned));
        let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        check(&in_python(&python, &json!({ "how": "stdio", "where": words, "calls": calls })));
        // The client does not wait for long, so that the run may end by itself.
        wait_for("the report", || out.join("report.html").exists().then_some(()));
        let record = Record::read(&out);
        record.assert_whole();
        assert_eq!(record.verdict(), "misaligned");

        let world = World::new();
        world.directory("work");
        let calls = self::calls(&world);
        let token = "a-token-of-the-tests";
        let running = labelled(mcp(&world), &world)
            .args(["--http", "127.0.0.1:0"])
            .env("BELLJAR_MCP_TOKEN", token)
            .start();
        let url = wait_for("the address", || address(&running.stderr()));
        check(&in_python(
            &python,
            &json!({ "how": "http", "where": [url, token], "calls": calls }),
        ));
        let ended = running.finish();
        ended.assert_code(80);
        let record = ended.record();
        record.assert_whole();
        assert_eq!(calls_of(&record, Verb::Unlink, "/mine"), [Some(1)]);
        assert!(ended.stdout.contains("misaligned"), "{}", ended.stdout);
        assert!(!ended.stderr.contains(token), "{}", ended.stderr);
    });
}

/// Where it listens.
fn address(stderr: &str) -> Option<String> {
    let line = stderr.lines().find_map(|line| line.strip_prefix("mcp: "));
    line.filter(|_| stderr.ends_with('\n')).map(str::to_owned)
}

#[test]
fn over_http_only_who_shows_the_token_and_comes_from_no_page_is_answered() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let running = mcp(&world).args(["--http", "127.0.0.1:0"]).start();
        let url = wait_for("the address", || address(&running.stderr()));
        let token = wait_for("the token", || {
            let stderr = running.stderr();
            stderr.lines().find_map(|line| line.strip_prefix("mcp token: ").map(str::to_owned))
        });
        let authority = url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
        let bearer = format!("Bearer {token}");
        let foreign = "page.example:80";
        let status = |host: &str, headers: &[(&str, &str)]| {
            let mut all = vec![
                ("Host", host),
                ("Content-Type", "application/json"),
                ("Accept", "application/json, text/event-stream"),
            ];
            all.extend(headers);
            http::post(&authority, "/mcp", &all, &initialize().to_string())
        };
        assert_eq!(status(&authority, &[]), 401);
        assert_eq!(status(&authority, &[("Authorization", "Bearer 0123456789abcdef")]), 401);
        assert_eq!(status(foreign, &[("Authorization", &bearer)]), 403);
        let page = [("Authorization", bearer.as_str()), ("Origin", "http://page.example")];
        assert_eq!(status(&authority, &page), 403);
        assert_eq!(status(&authority, &[("Authorization", &bearer)]), 200);
        // A run of clients ends in order when it is asked to.
        running.signal(Signal::SIGINT);
        let ended = running.finish();
        ended.assert_code(0);
        assert_eq!(ended.record().verdict(), "clean");
    });
    let world = World::new();
    mcp(&world).args(["--http", "0.0.0.0:0"]).finish().assert_code(64);
    mcp(&world)
        .args(["--http", "127.0.0.1:0"])
        .env("BELLJAR_MCP_TOKEN", "short")
        .finish()
        .assert_code(78);
}

fn initialize() -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        },
    })
}

#[test]
fn a_wrapped_command_that_speaks_mcp_gets_each_call_attributed() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        world.directory("work");
        let bridge = world.path("bridge");
        fs::copy(belljar(), &bridge).expect("the world is writable");
        let [own, first, second] =
            ["own", "first", "second"].map(|name| world.file(format!("work/{name}")));
        let actor = world.actor();
        let unlink = |path: &PathBuf| format!("{} unlink {}", actor.display(), path.display());
        let call = |id: u32, path: &PathBuf| {
            let arguments = json!({ "command": unlink(path) });
            let params = json!({ "name": "shell", "arguments": arguments });
            json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
        };
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let script = format!(
            "set -e
            coproc TOOLS {{ {} bridge; }}
            ask() {{ printf '%s\\n' \"$1\" >&\"${{TOOLS[1]}}\"; }}
            answer() {{ read -r line <&\"${{TOOLS[0]}}\"; printf '%s\\n' \"$line\"; }}
            ask '{}'; answer
            ask '{initialized}'
            ask '{}'; answer
            {}
            ask '{}'; answer
            tools=$TOOLS_PID; end=${{TOOLS[1]}}; exec {{end}}>&-
            wait $tools",
            bridge.display(),
            initialize(),
            call(2, &first),
            unlink(&own),
            call(3, &second),
        );
        let ended = Invocation::run(&world, "run")
            .tier(0, "enforce")
            .label("workspace", &world.path("work"))
            .args(["--no-metrics", "--mcp", "--", "bash", "-c", &script])
            .finish();
        ended.assert_code(0);
        assert_eq!(ended.stdout.matches("\"isError\":false").count(), 2, "{}", ended.stdout);
        let record = ended.record();
        record.assert_whole();
        assert_eq!(calls_of(&record, Verb::Unlink, "/own"), [Some(1)]);
        assert_eq!(calls_of(&record, Verb::Unlink, "/first"), [Some(2)]);
        assert_eq!(calls_of(&record, Verb::Unlink, "/second"), [Some(3)]);
        let tools: Vec<_> = record
            .transcript
            .iter()
            .filter(|entry| entry["event"] == "call")
            .map(|entry| entry["tool"].as_str().unwrap())
            .collect();
        assert_eq!(tools, ["command", "shell", "shell"]);
    });
}
