//! The MCP server and a client of the same SDK, over a unix socket and plain processes.
#![allow(clippy::unwrap_used, reason = "tests panic")]

mod counter;
mod plain;

use std::{future::Future, time::Duration};

use agent_runner::{How, Limits, mcp};
use counter::{Counter, Served};
use journal::{Tier, transcript::Event};
use rmcp::{
    RoleClient, ServiceError, ServiceExt as _,
    model::{CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, ServerResult},
    service::{PeerRequestOptions, RunningService},
};
use serde_json::{Value, json};
use tokio::net::UnixStream;

type Client = RunningService<RoleClient, ()>;

/// Has a client talk with the tools of tier 0, and returns how the desk ended.
fn with_client<F: Future<Output = ()>>(
    counter: &Counter,
    limits: Limits,
    talk: impl FnOnce(Client) -> F + Send,
) -> Served {
    let socket = counter.directory.path().join("socket");
    counter.serve(limits, move |front| {
        let server = mcp::ToolServer::new(Tier::Work, "Do it.", front);
        mcp::serve_unix(server, &socket, nix::unistd::Uid::effective().as_raw()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stream = UnixStream::connect(&socket).await.unwrap();
            let client = ().serve(stream.into_split()).await.unwrap();
            assert_eq!(client.peer_info().unwrap().instructions.as_deref(), Some("Do it."));
            let talked = tokio::time::timeout(Duration::from_secs(30), talk(client)).await;
            talked.expect("the talk ends");
        });
    })
}

fn call(tool: &'static str, arguments: Value) -> CallToolRequestParams {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    CallToolRequestParams::new(tool).with_arguments(arguments)
}

fn shell(command: &str) -> CallToolRequestParams {
    call("shell", json!({ "command": command }))
}

fn value(result: &CallToolResult) -> &Value {
    result.structured_content.as_ref().expect("every result has its value")
}

#[test]
fn a_client_sees_the_tools_of_the_tier_and_calls_them() {
    let counter = Counter::new();
    let end = with_client(&counter, Limits::default(), async |client: Client| {
        let tools = client.list_all_tools().await.unwrap();
        let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
        assert!(names.contains(&"shell") && !names.contains(&"send_signal"), "{names:?}");
        let result = client.call_tool(shell("echo out")).await.unwrap();
        assert_eq!((result.is_error, &value(&result)["stdout"]), (Some(false), &json!("out\n")));
        for refused in [
            call("send_signal", json!({ "tgid": 1, "signal": "TERM" })),
            call("no_such_tool", json!({})),
            call("read_file", json!({ "file": "x" })),
            shell("exit 3"),
        ] {
            let result = client.call_tool(refused).await.unwrap();
            assert_eq!(result.is_error, Some(true), "{result:?}");
        }
        client.cancel().await.unwrap();
    });
    let end = end.unwrap();
    assert_eq!((end.how, end.calls), (How::Finished, 5));
}

#[test]
fn calls_of_one_client_are_made_at_the_same_time() {
    let counter = Counter::new();
    let end = with_client(&counter, Limits::default(), async |client: Client| {
        let waits = client.call_tool(shell("while [ ! -e go ]; do sleep 0.01; done; echo went"));
        let goes = client.call_tool(shell("touch go"));
        let (waited, gone) = tokio::join!(waits, goes);
        assert_eq!(value(&waited.unwrap())["stdout"], "went\n");
        assert_eq!(gone.unwrap().is_error, Some(false));
        client.cancel().await.unwrap();
    });
    assert_eq!(end.unwrap().calls, 2);
}

#[test]
fn a_cancelled_call_is_killed() {
    let counter = Counter::new();
    let end = with_client(&counter, Limits::default(), async |client: Client| {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(shell("sleep 60")));
        let options = PeerRequestOptions::no_options();
        let sent = client.send_cancellable_request(request, options).await.unwrap();
        // The other call tells that this one has begun.
        client.call_tool(shell("true")).await.unwrap();
        sent.cancel(None).await.unwrap();
        client.call_tool(shell("true")).await.unwrap();
        client.cancel().await.unwrap();
    });
    assert_eq!(end.unwrap().calls, 3);
    let killed = counter.events().into_iter().find_map(|event| match event {
        Event::Result { call: 1, ok, value, .. } => Some((ok, value["error"].clone())),
        _ => None,
    });
    assert_eq!(killed, Some((false, json!("it was cancelled"))));
}

#[test]
fn a_client_that_wants_too_many_calls_is_told_that_none_are_taken() {
    let counter = Counter::new();
    let limits = Limits { calls: 1, ..Limits::default() };
    let end = with_client(&counter, limits, async |client: Client| {
        client.call_tool(shell("true")).await.unwrap();
        let result = client.call_tool(shell("true")).await.unwrap();
        assert_eq!(result.is_error, Some(true), "{result:?}");
        client.cancel().await.unwrap();
    });
    assert_eq!(end.unwrap().how, How::OutOfCalls);
}

#[test]
fn a_long_call_is_told_to_go_on() {
    let counter = Counter::new();
    let end = with_client(&counter, Limits::default(), async |client: Client| {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(shell("sleep 2.5")));
        // Each notice of progress resets the limit, which the call alone would pass.
        let options = PeerRequestOptions::with_timeout(Duration::from_millis(1800))
            .reset_timeout_on_progress();
        let sent = client.send_cancellable_request(request, options).await.unwrap();
        match sent.await_response().await {
            Ok(ServerResult::CallToolResult(result)) => assert_eq!(result.is_error, Some(false)),
            Err(ServiceError::Timeout { .. }) => panic!("no progress was told"),
            other => panic!("{other:?}"),
        }
        client.cancel().await.unwrap();
    });
    assert_eq!(end.unwrap().calls, 1);
}

#[test]
fn more_calls_than_are_made_at_the_same_time_are_refused_and_harm_none() {
    let counter = Counter::new();
    let go = counter.directory.path().join("go");
    let end = with_client(&counter, Limits::default(), async |client: Client| {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..65 {
            let peer = client.peer().clone();
            calls.spawn(async move {
                peer.call_tool(shell("while [ ! -e go ]; do sleep 0.2; done")).await.unwrap()
            });
        }
        let refused = calls.join_next().await.unwrap().unwrap();
        assert_eq!(refused.is_error, Some(true), "{refused:?}");
        std::fs::write(&go, "").unwrap();
        while let Some(made) = calls.join_next().await {
            assert_eq!(made.unwrap().is_error, Some(false));
        }
        client.cancel().await.unwrap();
    });
    assert_eq!(end.unwrap().calls, 64);
}
