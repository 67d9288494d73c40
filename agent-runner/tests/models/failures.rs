//! Servers that fail, for a while or for good.

use std::time::{Duration, Instant};

use agent_runner::{AgentEnd, FailureKind, How};
use journal::transcript::Event;
use wiremock::ResponseTemplate;

use crate::{
    plain::Bench,
    server::{DIALECTS, Dialect, KEY, PLENTY, Server, refused, run, streamed, transcript},
};

fn notes(bench: &Bench) -> Vec<String> {
    let notes = bench.events().into_iter().filter_map(|event| match event {
        Event::Note { text } => Some(text),
        _ => None,
    });
    notes.collect()
}

fn failure(end: &AgentEnd) -> (FailureKind, &str) {
    let How::Failed { message, kind } = &end.how else { panic!("{end:?}") };
    (*kind, message)
}

#[test]
fn a_rate_limit_is_waited_for_as_long_as_the_server_asks() {
    for dialect in DIALECTS {
        let server = Server::new([
            refused(429, "Slow down.").insert_header("retry-after", "0.3"),
            streamed(dialect.stream("Done.", &[])),
        ]);
        let mut bench = Bench::new();
        let start = Instant::now();
        let end = run(&mut bench, dialect, &server.url(), PLENTY);
        assert_eq!(end.how, How::Finished);
        assert!(start.elapsed() >= Duration::from_millis(300));
        let notes = notes(&bench);
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0].contains("attempt 1") && notes[0].contains("429: Slow down."),
            "{notes:?}"
        );
    }
}

#[test]
fn a_server_that_asks_for_too_long_a_wait_is_given_up() {
    let server = Server::new([refused(429, "Tomorrow.").insert_header("retry-after", "86400")]);
    let end = run(&mut Bench::new(), Dialect::OpenAi, &server.url(), PLENTY);
    assert_eq!(failure(&end), (FailureKind::Model, "the model's server answers 429: Tomorrow."));
}

#[test]
fn a_server_at_fault_is_asked_again_until_the_retries_are_over() {
    for dialect in DIALECTS {
        let fails = [500, 502, 529].map(|status| refused(status, "Oops."));
        let server = Server::new(fails.into_iter().chain([streamed(dialect.stream("Done.", &[]))]));
        let mut bench = Bench::new();
        assert_eq!(run(&mut bench, dialect, &server.url(), PLENTY).how, How::Finished);
        assert_eq!((server.requests().len(), notes(&bench).len()), (4, 3));

        let server = Server::new((0..9).map(|_| refused(503, "Oops.")));
        let mut bench = Bench::new();
        let end = run(&mut bench, dialect, &server.url(), PLENTY);
        assert_eq!(failure(&end), (FailureKind::Model, "the model's server answers 503: Oops."));
        assert_eq!(server.requests().len(), 4);
        assert_eq!(notes(&bench).len(), 4, "three retries and the end");
    }
}

#[test]
fn a_server_that_is_not_there_is_asked_again_and_named_as_unreachable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let mut bench = Bench::new();
    let end = run(&mut bench, Dialect::OpenAi, &url, PLENTY);
    let (kind, message) = failure(&end);
    assert_eq!(kind, FailureKind::Model);
    assert!(message.starts_with("the model's server cannot be reached: "), "{message}");
    assert!(message.to_lowercase().contains("connection refused"), "{message}");
    assert_eq!(notes(&bench).len(), 4);
}

#[test]
fn a_wrong_key_is_said_at_once_and_never_shown() {
    for dialect in DIALECTS {
        let server = Server::new([refused(401, &format!("Wrong key: {KEY}."))]);
        let mut bench = Bench::new();
        let end = run(&mut bench, dialect, &server.url(), PLENTY);
        assert_eq!(
            failure(&end),
            (FailureKind::Key, "the model's server refuses the key (401): Wrong key: [key].")
        );
        assert_eq!(server.requests().len(), 1);
        let all = transcript(&bench).join("\n");
        assert!(!all.contains(KEY), "{all}");
    }
}

#[test]
fn a_key_that_a_server_repeats_elsewhere_is_never_shown_either() {
    for (dialect, why) in DIALECTS.into_iter().zip(["length", "max_tokens"]) {
        // In words that are cut at their limit, and where a gateway passes an error off as a reply.
        let long = format!("{}{KEY}", "x".repeat(996));
        let server = Server::new([
            refused(500, &long),
            streamed(dialect.stream_until(&format!("{KEY}{}", " ".repeat(40)), &[], why)),
            refused(400, &long),
        ]);
        let mut bench = Bench::new();
        let end = run(&mut bench, dialect, &server.url(), PLENTY);
        assert!(failure(&end).1.ends_with("x[key…"), "{end:?}");
        let all = transcript(&bench).join("\n");
        assert!(all.contains("[key]") && !all.contains("sk-0"), "{all}");
        assert!(!bench.spoken().concat().contains(KEY));
    }
}

#[test]
fn a_model_that_refuses_has_ended_and_nothing_more_is_asked() {
    let refusals = [
        Dialect::OpenAi.stream_until("I will not.", &[], "content_filter"),
        format!(
            "data: {}\n\n{}",
            r#"{"choices":[{"delta":{"refusal":"I will not."}}]}"#,
            Dialect::OpenAi.stream("", &[])
        ),
        Dialect::Anthropic.stream_until("I will not.", &[("a", "shell", "{}")], "refusal"),
    ];
    let dialects = [Dialect::OpenAi, Dialect::OpenAi, Dialect::Anthropic];
    for (dialect, refusal) in dialects.into_iter().zip(refusals) {
        let server = Server::new([streamed(refusal)]);
        let mut bench = Bench::new();
        let end = run(&mut bench, dialect, &server.url(), PLENTY);
        assert_eq!((&end.how, end.calls), (&How::Finished, 0));
        let all = transcript(&bench).join("\n");
        assert!(all.contains("I will not.") && all.contains(r#""stop":"refused""#), "{all}");
        let notes = notes(&bench);
        assert_eq!(notes[0], "the model refuses to go on");
        let unmade =
            matches!(dialect, Dialect::Anthropic).then_some("a call was not made: shell {}");
        assert_eq!(notes.get(1).map(String::as_str), unmade);
    }
}

#[test]
fn what_answers_with_something_else_than_a_stream_is_named() {
    let json = ResponseTemplate::new(200).set_body_raw("{}", "application/json");
    let server = Server::new([json]);
    let end = run(&mut Bench::new(), Dialect::OpenAi, &server.url(), PLENTY);
    assert_eq!(
        failure(&end).1,
        "the model's server does not stream: its answer is `application/json`"
    );
    // A redirection could lead the key to another server.
    let elsewhere = Server::new([]);
    let redirect = ResponseTemplate::new(307).insert_header("location", elsewhere.url().as_str());
    let server = Server::new([redirect]);
    let end = run(&mut Bench::new(), Dialect::OpenAi, &server.url(), PLENTY);
    assert!(failure(&end).1.contains("(307)"), "{end:?}");
    assert!(elsewhere.raw().is_empty());
}
