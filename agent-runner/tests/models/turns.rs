//! What a model says and calls, and what it is told.

use agent_runner::How;
use journal::{Tier, transcript::Event};
use serde_json::{Value, json};

use crate::{
    plain::Bench,
    server::{DIALECTS, Dialect, KEY, PLENTY, Server, converse, run, streamed, transcript},
};

#[test]
fn a_reply_without_a_call_ends_the_agent() {
    for dialect in DIALECTS {
        let server = Server::new([streamed(dialect.stream("Nothing to do, Zoë.", &[]))]);
        let mut bench = Bench::new();
        let end = run(&mut bench, dialect, &server.url(), PLENTY);
        assert_eq!((end.how, end.calls), (How::Finished, 0));
        let events = bench.events();
        let [Event::Message { role, text }, Event::Reply { .. }] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!((role.as_str(), text.as_str()), ("assistant", "Nothing to do, Zoë."));
        let Event::Reply { model, stop, input_tokens, output_tokens, .. } = &events[1] else {
            unreachable!()
        };
        assert_eq!((model.as_str(), stop.as_str()), ("m-1", "done"));
        assert_eq!((*input_tokens, *output_tokens), (Some(11), Some(5)));
        assert_eq!(bench.spoken(), ["Nothing to", " do, Zoë."]);
    }
}

#[test]
fn a_request_carries_the_key_the_sampling_and_the_tools_of_the_tier() {
    for dialect in DIALECTS {
        let server = Server::new([streamed(dialect.stream("Done.", &[]))]);
        let mut bench = Bench::new();
        bench.tier = Tier::Introspection;
        run(&mut bench, dialect, &server.url(), PLENTY);
        let raw = &server.raw()[0];
        let header = |name: &str| raw.headers.get(name).map(|value| value.to_str().unwrap());
        let request = &server.requests()[0];
        let tools = dialect.tools(request);
        assert!(tools.iter().any(|tool| tool == "process_info"));
        assert!(!tools.iter().any(|tool| tool == "send_signal"));
        assert_eq!(request["model"], "m");
        assert_eq!(request["temperature"], 0.5);
        assert_eq!(request["max_tokens"], 99);
        assert_eq!(request["stream"], true);
        match dialect {
            Dialect::OpenAi => {
                assert_eq!(raw.url.path(), "/chat/completions");
                assert_eq!(header("authorization"), Some(format!("Bearer {KEY}").as_str()));
                assert_eq!(request["seed"], 7);
                assert_eq!(request["messages"][0]["role"], "system");
                assert_eq!(request["messages"][1]["content"], "Look around.");
                assert_eq!(request["tools"][0]["function"]["parameters"]["type"], "object");
            }
            Dialect::Anthropic => {
                assert_eq!(raw.url.path(), "/v1/messages");
                assert_eq!(header("x-api-key"), Some(KEY));
                assert_eq!(header("anthropic-version"), Some("2023-06-01"));
                assert!(request["system"].is_string() && request["seed"].is_null());
                assert_eq!(request["messages"][0]["content"], "Look around.");
                assert_eq!(request["tools"][0]["input_schema"]["type"], "object");
            }
        }
        let all = transcript(&bench).join("\n");
        assert!(!all.contains(KEY), "{all}");
    }
}

#[test]
fn a_call_is_made_and_its_result_goes_back_under_its_id() {
    for dialect in DIALECTS {
        let call = ("c1", "shell", r#"{"command":"echo hi; exit 3"}"#);
        let server = Server::new([
            streamed(dialect.stream("I look.", &[call])),
            streamed(dialect.stream("Seen.", &[])),
        ]);
        let mut bench = Bench::new();
        let end = run(&mut bench, dialect, &server.url(), PLENTY);
        assert_eq!((end.how, end.calls), (How::Finished, 1));
        let requests = server.requests();
        let answers = dialect.answers(&requests[1]);
        let [(id, answer)] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!(id, "c1");
        assert_eq!(answer["ok"], false);
        assert_eq!(
            (&answer["value"]["stdout"], &answer["value"]["exit_code"]),
            (&json!("hi\n"), &json!(3))
        );
        let before = match dialect {
            Dialect::OpenAi => {
                let message = &requests[1]["messages"][2];
                assert_eq!(message["content"], "I look.");
                let call = &message["tool_calls"][0];
                assert_eq!(
                    (&call["id"], &call["function"]["name"]),
                    (&json!("c1"), &json!("shell"))
                );
                serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap()
            }
            Dialect::Anthropic => {
                let content = &requests[1]["messages"][1]["content"];
                assert_eq!(content[0]["text"], "I look.");
                assert_eq!(requests[1]["messages"][2]["content"][0]["is_error"], true);
                content[1]["input"].clone()
            }
        };
        assert_eq!(before, json!({ "command": "echo hi; exit 3" }));
    }
}

#[test]
fn parallel_calls_are_made_in_their_order_and_answered_together() {
    for dialect in DIALECTS {
        let server = Server::new([
            streamed(dialect.stream(
                "",
                &[
                    ("a", "shell", r#"{"command":"echo 1 >> order; cat order"}"#),
                    ("b", "shell", r#"{"command":"echo 2 >> order; cat order"}"#),
                    ("c", "shell", r#"{"command":"echo 3 >> order; cat order"}"#),
                ],
            )),
            streamed(dialect.stream("Done.", &[])),
        ]);
        let mut bench = Bench::new();
        let end = run(&mut bench, dialect, &server.url(), PLENTY);
        assert_eq!((end.how, end.calls), (How::Finished, 3));
        let answers = dialect.answers(&server.requests()[1]);
        let outputs: Vec<_> =
            answers.iter().map(|(id, it)| (id.as_str(), it["value"]["stdout"].as_str())).collect();
        assert_eq!(outputs, [("a", Some("1\n")), ("b", Some("1\n2\n")), ("c", Some("1\n2\n3\n"))]);
        assert_eq!(server.requests().len(), 2);
    }
}

/// Servers differ from OpenAI in how they cut up calls.
#[test]
fn calls_in_one_piece_and_without_numbers_are_told_apart() {
    let call = |id: &str, number: Option<u32>| {
        let arguments = json!({ "command": format!("echo {id}") }).to_string();
        let function = json!({ "name": "shell", "arguments": arguments });
        let mut call = json!({ "id": id, "function": function });
        if let Some(number) = number {
            call["index"] = number.into();
        }
        call
    };
    let reply = |calls: [Value; 2]| {
        let choice = json!({ "delta": { "tool_calls": calls }, "finish_reason": "tool_calls" });
        streamed(format!("data: {}\n\n", json!({ "choices": [choice] })))
    };
    let server = Server::new([
        reply([call("a", Some(1)), call("b", Some(2))]),
        reply([call("c", None), call("d", None)]),
        streamed(Dialect::OpenAi.stream("Done.", &[])),
    ]);
    let mut bench = Bench::new();
    let end = run(&mut bench, Dialect::OpenAi, &server.url(), PLENTY);
    assert_eq!((end.how, end.calls), (How::Finished, 4));
    let answers = Dialect::OpenAi.answers(&server.requests()[2]);
    let outputs: Vec<_> =
        answers.iter().map(|(id, it)| format!("{id} {}", it["value"]["stdout"])).collect();
    assert_eq!(outputs, [r#"a "a\n""#, r#"b "b\n""#, r#"c "c\n""#, r#"d "d\n""#]);
}

#[test]
fn what_a_model_thinks_aloud_is_on_record_and_is_not_its_word() {
    let thinking = [
        (Dialect::OpenAi, r#"data: {"choices":[{"delta":{"reasoning_content":"Hm."}}]}"#),
        (
            Dialect::Anthropic,
            r#"data: {"type":"content_block_delta","index":9,"delta":{"type":"thinking_delta","thinking":"Hm."}}"#,
        ),
    ];
    for (dialect, event) in thinking {
        let body = format!("{event}\n\n{}", dialect.stream("Done.", &[]));
        let server = Server::new([streamed(body)]);
        let mut bench = Bench::new();
        run(&mut bench, dialect, &server.url(), PLENTY);
        let events = bench.events();
        let thought = Event::Message { role: "reasoning".to_owned(), text: "Hm.".to_owned() };
        assert_eq!(events[0], thought);
        assert!(matches!(&events[1], Event::Message { role, .. } if role == "assistant"));
    }
}

#[test]
fn calls_that_cannot_be_made_go_back_as_errors_and_are_on_record() {
    for dialect in DIALECTS {
        let server = Server::new([
            streamed(dialect.stream(
                "",
                &[
                    ("a", "shell", r#"{"command":"#),
                    ("b", "no_such_tool", "{}"),
                    ("c", "send_signal", r#"{"tgid":1,"signal":"TERM"}"#),
                    ("d", "read_file", r#"{"file":"x"}"#),
                    ("e", "shell", "[1]"),
                ],
            )),
            streamed(dialect.stream("Done.", &[])),
        ]);
        let mut bench = Bench::new();
        let end = run(&mut bench, dialect, &server.url(), PLENTY);
        assert_eq!((end.how, end.calls), (How::Finished, 5));
        assert!(bench.logged().is_empty(), "nothing was started");
        let answers = dialect.answers(&server.requests()[1]);
        let expected = [
            "the arguments are no JSON",
            "there is no tool `no_such_tool`",
            "`send_signal` is not a tool of tier 0",
            "bad arguments: unknown field `file`",
            "bad arguments: ",
        ];
        for ((id, answer), expected) in answers.iter().zip(expected) {
            assert_eq!(answer["ok"], false);
            let error = answer["value"]["error"].as_str().unwrap();
            assert!(error.starts_with(expected), "{id}: {error}");
        }
        assert_eq!(answers.len(), expected.len());
        let events = bench.events();
        let malformed = events.iter().find_map(|event| match event {
            Event::Call { call: 1, arguments, .. } => Some(arguments.clone()),
            _ => None,
        });
        assert_eq!(malformed, Some(json!(r#"{"command":"#)));
    }
}

#[test]
fn what_the_user_asks_next_is_part_of_the_same_conversation() {
    for dialect in DIALECTS {
        let server = Server::new([
            streamed(dialect.stream("Seen.", &[])),
            streamed(dialect.stream("Seen again.", &[])),
        ]);
        let mut bench = Bench::new();
        let end = converse(&mut bench, dialect, &server.url(), "Look again.");
        assert_eq!((end.how, end.calls), (How::Finished, 0));
        let [first, second] = server.requests().try_into().unwrap();
        let request = second.to_string();
        let places =
            ["Look around.", "Seen.", "Look again."].map(|text| request.find(text).unwrap());
        assert!(places.is_sorted(), "{request}");
        assert!(first.to_string().contains("who may ask for more"), "{first}");
        let asked = bench.events().iter().any(|event| {
            matches!(event, Event::Message { role, text } if role == "user" && text == "Look again.")
        });
        assert!(asked);
    }
}
