//! Sessions over plain processes: numbering, watching, limits, ends.
#![allow(clippy::unwrap_used, reason = "tests panic")]

mod plain;

use std::time::{Duration, Instant};

use agent_runner::{
    Admission, Agent, AgentError, How, SessionError, Surroundings, Turn,
    tools::{OUTPUT_LIMIT_BYTES, ToolResult},
};
use journal::{Tier, Verb, scenario::DeclaredEffect, transcript::Event};
use plain::{Bench, Script, call, shell};
use serde_json::json;

#[test]
fn a_call_is_known_to_the_observer_before_it_starts() {
    let mut bench = Bench::new();
    let (end, _) = bench.script(vec![shell("true"), shell("false")]);
    assert_eq!((end.how, end.calls), (How::Finished, 2));
    assert_eq!(
        bench.logged(),
        [
            "leaf 1",
            "watch 1 101 shell",
            "start 1",
            "ended 1 true",
            "leaf 2",
            "watch 2 102 shell",
            "start 2",
            "ended 2 false",
        ]
    );
}

#[test]
fn a_call_that_cannot_be_watched_does_not_start() {
    let mut bench = Bench::new();
    bench.observer_refuses = true;
    let mut script = Script::new(vec![shell("true")]);
    let error = bench.session(|session| session.run_agent(&mut script)).unwrap_err();
    assert!(matches!(error, SessionError::Watch { call: 1, .. }), "{error}");
    assert_eq!(bench.logged(), ["leaf 1", "watch 1 101 shell"]);
}

#[test]
fn a_shell_gives_back_its_streams_and_its_end() {
    let (_, results) =
        Bench::new().script(vec![shell("echo out; echo err >&2; exit 3"), shell("kill -9 $$")]);
    assert!(!results[0].ok);
    assert_eq!(
        results[0].value,
        json!({ "stdout": "out\n", "stderr": "err\n", "truncated": false, "exit_code": 3 })
    );
    assert_eq!(results[1].value["signal"], "SIGKILL");
}

#[test]
fn a_background_child_that_holds_stdout_does_not_hold_up_the_call() {
    let start = Instant::now();
    let mut bench = Bench::new();
    let (_, results) = bench.script(vec![shell("sleep 60 & echo done")]);
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(results[0].value["stdout"], "done\n");
    assert!(!bench.logged().contains(&"kill 1".to_owned()));
}

#[test]
fn what_a_call_leaves_running_can_go_on_writing() {
    let mut bench = Bench::new();
    let (_, results) = bench.script(vec![shell(
        "(while ! [ -e go ]; do sleep 0.01; done; head -c 1000000 /dev/zero; echo $? > written) &",
    )]);
    assert!(results[0].ok);
    bench.touch("go");
    assert_eq!(bench.wait_for("written"), "0\n");
}

#[test]
fn a_call_that_takes_too_long_is_killed_with_all_its_processes() {
    let mut bench = Bench::new();
    bench.limits.call_time = Duration::from_millis(200);
    let (end, results) =
        bench.script(vec![shell("echo begun; sleep 60 & sleep 60"), shell("true")]);
    assert_eq!(end.how, How::Finished);
    assert!(!results[0].ok && results[1].ok);
    assert_eq!(results[0].value["error"], "timed out after 0.2 s");
    assert_eq!(results[0].value["stdout"], "begun\n");
    assert!(bench.logged().contains(&"kill 1".to_owned()));
}

#[test]
fn output_beyond_the_limit_is_thrown_away_and_said_to_be() {
    let (_, results) = Bench::new().script(vec![shell("head -c 3000000 /dev/zero; echo e >&2")]);
    let value = &results[0].value;
    assert_eq!(value["stdout"].as_str().unwrap().len(), OUTPUT_LIMIT_BYTES);
    assert_eq!((&value["truncated"], &value["stderr"]), (&json!(true), &json!("e\n")));
}

#[test]
fn a_tool_above_the_tier_is_refused_on_record_and_starts_nothing() {
    let mut bench = Bench::new();
    let (end, results) = bench.script(vec![
        call("send_signal", json!({ "tgid": 1, "signal": "TERM" })),
        call("no_such_tool", json!({})),
        call("read_file", json!({ "file": "x" })),
    ]);
    assert_eq!(end.calls, 3);
    assert_eq!(results[0].value["error"], "`send_signal` is not a tool of tier 0");
    assert_eq!(results[1].value["error"], "there is no tool `no_such_tool`");
    assert!(
        results[2].value["error"].as_str().unwrap().starts_with("bad arguments: unknown field")
    );
    assert!(bench.logged().is_empty());
    assert!(matches!(&bench.events()[1], Event::Result { call: 1, ok: false, .. }));
}

#[test]
fn a_task_gives_back_its_result_and_may_forge_only_that() {
    let mut bench = Bench::new();
    let path = bench.path().join("note").to_str().unwrap().to_owned();
    let (_, results) = bench.script(vec![
        call("write_file", json!({ "path": path, "content": "text" })),
        call("read_file", json!({ "path": path })),
    ]);
    assert_eq!(results[0].value, json!({ "written_bytes": 4 }));
    assert_eq!(results[1].value["content"], "text");

    bench.forged = Some(b"no result".to_vec());
    let (_, results) = bench.script(vec![call("read_file", json!({ "path": path }))]);
    assert_eq!(results[0].value["error"], "the tool gave back no result");
}

#[test]
fn the_report_that_was_filed_last_is_what_the_agent_declares() {
    let mut bench = Bench::new();
    let report = |summary| {
        let effects = json!([{ "verb": "kill", "object": "neighbour" }]);
        call("submit_report", json!({ "summary": summary, "effects": effects }))
    };
    let (end, _) = bench.script(vec![report("first"), report("second")]);
    assert!(end.declared.filed);
    assert_eq!(end.declared.summary, "second");
    let effect = DeclaredEffect { verb: Verb::Kill, object: "neighbour".to_owned() };
    assert_eq!(end.declared.effects, [effect]);
    assert!(bench.logged().is_empty());
    assert!(!Bench::new().script(vec![]).0.declared.filed);
}

#[test]
fn an_end_asked_for_from_outside_kills_the_call_and_begins_no_other() {
    let mut bench = Bench::new();
    bench.cancel_at_call = true;
    let start = Instant::now();
    let (end, _) = bench.script(vec![shell("sleep 60"), shell("true")]);
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!((end.how, end.calls), (How::Cancelled, 1));
    assert!(matches!(bench.events().last(), Some(Event::Note { .. })));
}

#[test]
fn an_end_asked_for_from_outside_cuts_a_wait_short() {
    let mut bench = Bench::new();
    let cancel = bench.cancel.clone();
    let asking = std::thread::spawn(move || cancel.cancel());
    let (end, _) = bench.script(vec![Turn::Wait(Duration::from_secs(600))]);
    asking.join().unwrap();
    assert_eq!(end.how, How::Cancelled);
}

#[test]
fn an_agent_gets_no_more_calls_than_it_may_make() {
    let mut bench = Bench::new();
    bench.limits.calls = 2;
    let (end, _) = bench.script(vec![shell("true"); 3]);
    assert_eq!((end.how, end.calls), (How::OutOfCalls, 2));
}

#[test]
fn the_transcript_holds_words_calls_and_results_in_order() {
    let mut bench = Bench::new();
    bench.tier = Tier::Introspection;
    bench.script(vec![Turn::Say("Let me see.".to_owned()), call("list_processes", json!({}))]);
    let kinds: Vec<String> = bench
        .events()
        .iter()
        .map(|event| match event {
            Event::Message { role, text } => format!("{role}: {text}"),
            Event::Call { call, tool, .. } => format!("{call}: {tool}"),
            Event::Result { call, ok, .. } => format!("{call}: {ok}"),
            Event::Note { text } => text.clone(),
            Event::Reply { stop, .. } => stop.clone(),
            Event::ModelRequest { line, .. } => line.clone(),
            Event::ModelResponse { status, .. } => format!("{status:?}"),
            Event::Question(_) | Event::Answer(_) | Event::Decision(_) | Event::Reload { .. } => {
                "somebody was asked".to_owned()
            }
        })
        .collect();
    assert_eq!(kinds, ["assistant: Let me see.", "1: list_processes", "1: true"]);
}

#[test]
fn a_call_that_is_not_admitted_has_no_process_and_its_agent_is_told() {
    let mut bench = Bench::new();
    bench.admission = Some(("shell", Admission::Refused("it was refused".to_owned())));
    let (end, results) =
        bench.script(vec![shell("touch made"), call("read_file", json!({"path": "made"}))]);
    assert_eq!((end.how, end.calls), (How::Finished, 2));
    assert_eq!((results[0].ok, &results[0].value), (false, &json!({ "error": "it was refused" })));
    assert_eq!(results[1].value["errno"], "ENOENT", "it was made");
    assert_eq!(bench.logged()[..2], ["asked 1 shell", "leaf 2"]);
}

/// An agent that calls once for each thing it is asked, up to a number of them.
struct Listener {
    open: bool,
    patience: usize,
}

impl Agent for Listener {
    fn next(
        &mut self,
        _: Option<&ToolResult>,
        _: &mut Surroundings<'_>,
    ) -> Result<Turn, AgentError> {
        let open = std::mem::take(&mut self.open);
        Ok(if open { shell("true") } else { Turn::Finish })
    }

    fn hear(&mut self, _: &str) -> bool {
        self.open = self.patience > 0;
        self.patience = self.patience.saturating_sub(1);
        self.open
    }
}

#[test]
fn the_user_asks_for_more_once_the_agent_is_done_until_it_does_not_listen() {
    for (patience, calls, last) in
        [(2, 3, None), (1, 2, Some("the agent did not hear any more: c"))]
    {
        let mut bench = Bench::new();
        let mut agent = Listener { open: true, patience };
        let further = ["b".to_owned(), "c".to_owned()];
        let end = bench.session(|session| session.with_further(further).run_agent(&mut agent));
        let end = end.unwrap();
        assert_eq!((end.how, end.calls), (How::Finished, calls));
        let events = bench.events();
        let said: Vec<&str> = events
            .iter()
            .filter_map(|event| match event {
                Event::Message { role, text } if role == "user" => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(said, ["b", "c"][..patience]);
        let note = events.iter().find_map(|event| match event {
            Event::Note { text } => Some(text.as_str()),
            _ => None,
        });
        assert_eq!(note, last);
    }
}
