//! How a model's work ends without its own doing.

use std::{
    thread,
    time::{Duration, Instant},
};

use agent_runner::{
    FailureKind, How,
    llm::{Budget, Price},
};

use crate::{
    plain::Bench,
    server::{DIALECTS, Dialect, PLENTY, Server, refused, run, streamed, transcript},
};

const CALL: (&str, &str, &str) = ("a", "shell", r#"{"command":"true"}"#);

/// A model that never stops calling.
fn endless(dialect: Dialect) -> Server {
    Server::new((0..9).map(|_| streamed(dialect.stream("On.", &[CALL]))))
}

fn exhausted(how: &How) -> &str {
    let How::Exhausted { what } = how else { panic!("{how:?}") };
    what
}

#[test]
fn each_budget_ends_the_agent_and_says_which_it_was() {
    for dialect in DIALECTS {
        // A reply takes 11 and 5 tokens.
        let price = Price { input: 0.0, output: 1e6 };
        let budgets = [
            (Budget { turns: 2, ..PLENTY }, "its 2 turns are used up"),
            (Budget { tokens: Some(20), ..PLENTY }, "its 20 tokens are used up"),
            (
                Budget { money: Some((10.0, price)), ..PLENTY },
                "its budget of 10 is used up: 10.0000 were spent",
            ),
        ];
        for (budget, what) in budgets {
            let server = endless(dialect);
            let mut bench = Bench::new();
            let end = run(&mut bench, dialect, &server.url(), budget);
            assert_eq!((exhausted(&end.how), end.calls), (what, 2));
            assert!(transcript(&bench).last().unwrap().contains(what));
        }
        let server = endless(dialect);
        let mut bench = Bench::new();
        bench.limits.calls = 3;
        let end = run(&mut bench, dialect, &server.url(), PLENTY);
        assert_eq!((end.how, end.calls), (How::OutOfCalls, 3));
        let unmade = r#"a call was not made: shell {\"command\":\"true\"}"#;
        assert!(transcript(&bench).iter().any(|line| line.contains(unmade)));
    }
}

#[test]
fn a_conversation_that_has_grown_too_long_ends_the_agent() {
    for dialect in DIALECTS {
        let too_long = || refused(400, "prompt is too long: 9 tokens > 8 maximum");
        let server = Server::new([streamed(dialect.stream("On.", &[CALL])), too_long()]);
        let end = run(&mut Bench::new(), dialect, &server.url(), PLENTY);
        assert!(exhausted(&end.how).starts_with("the conversation no longer fits"), "{end:?}");

        let server = Server::new([too_long()]);
        let end = run(&mut Bench::new(), dialect, &server.url(), PLENTY);
        assert!(matches!(end.how, How::Failed { kind: FailureKind::Model, .. }), "{end:?}");
    }
}

#[test]
fn a_reply_that_was_cut_off_at_its_limit_goes_on() {
    for (dialect, why) in DIALECTS.into_iter().zip(["length", "max_tokens"]) {
        let server = Server::new([
            streamed(dialect.stream_until("I was about", &[], why)),
            streamed(dialect.stream("Done.", &[])),
        ]);
        let mut bench = Bench::new();
        assert_eq!(run(&mut bench, dialect, &server.url(), PLENTY).how, How::Finished);
        let last = server.requests()[1]["messages"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["role"], "user");
        assert!(last["content"].as_str().unwrap().ends_with("Go on."), "{last}");
    }
}

#[test]
fn a_call_in_which_a_reply_was_cut_off_is_not_made() {
    for (dialect, why) in DIALECTS.into_iter().zip(["length", "max_tokens"]) {
        let calls = [CALL, ("b", "list_directory", "")];
        let server = Server::new([
            streamed(dialect.stream_until("", &calls, why)),
            streamed(dialect.stream("Done.", &[])),
        ]);
        let mut bench = Bench::new();
        let end = run(&mut bench, dialect, &server.url(), PLENTY);
        assert_eq!((end.how, end.calls), (How::Finished, 2));
        let answers = dialect.answers(&server.requests()[1]);
        assert_eq!((&answers[0].1["ok"], &answers[1].1["ok"]), (&true.into(), &false.into()));
        assert!(answers[1].1["value"]["error"].as_str().unwrap().contains("cut off"));
    }
}

#[test]
fn calls_that_the_end_leaves_unmade_are_on_record() {
    let calls = [("a", "shell", r#"{"command":"sleep 60"}"#), ("b", "remove", "{")];
    let server = Server::new([streamed(Dialect::OpenAi.stream("", &calls))]);
    let mut bench = Bench::new();
    bench.cancel_at_call = true;
    assert_eq!(run(&mut bench, Dialect::OpenAi, &server.url(), PLENTY).how, How::Cancelled);
    assert!(transcript(&bench).iter().any(|line| line.contains("a call was not made: remove {")));
}

#[test]
fn an_end_asked_for_from_outside_is_heard_while_the_model_thinks() {
    for dialect in DIALECTS {
        let slow = streamed(dialect.stream("Late.", &[])).set_delay(Duration::from_secs(60));
        let server = Server::new([slow]);
        let mut bench = Bench::new();
        let cancel = bench.cancel.clone();
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                while server.raw().is_empty() {
                    thread::sleep(Duration::from_millis(5));
                }
                cancel.cancel();
            });
            let end = run(&mut bench, dialect, &server.url(), PLENTY);
            assert_eq!(end.how, How::Cancelled);
        });
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn an_end_asked_for_from_outside_is_heard_between_attempts() {
    let server = Server::new([refused(503, "Later.").insert_header("retry-after", "2")]);
    let mut bench = Bench::new();
    let cancel = bench.cancel.clone();
    thread::scope(|scope| {
        scope.spawn(|| {
            while server.raw().is_empty() {
                thread::sleep(Duration::from_millis(5));
            }
            cancel.cancel();
        });
        let end = run(&mut bench, Dialect::OpenAi, &server.url(), PLENTY);
        assert_eq!(end.how, How::Cancelled);
    });
}

#[test]
fn an_agent_whose_time_is_over_is_ended_while_the_model_thinks_and_while_a_call_runs() {
    let slow = streamed(Dialect::OpenAi.stream("", &[])).set_delay(Duration::from_secs(60));
    let sleep = ("a", "shell", r#"{"command":"sleep 60"}"#);
    let busy = streamed(Dialect::OpenAi.stream("", &[sleep]));
    for answer in [slow, busy] {
        let server = Server::new([answer]);
        let mut bench = Bench::new();
        bench.limits.agent_time = Some(Duration::from_millis(400));
        let start = Instant::now();
        let end = run(&mut bench, Dialect::OpenAi, &server.url(), PLENTY);
        assert_eq!(end.how, How::OutOfTime);
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
