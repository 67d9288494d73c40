//! Desks over plain processes: numbers, calls at the same time, ends.
#![allow(clippy::unwrap_used, reason = "tests panic")]

mod counter;
mod plain;

use std::time::Duration;

use agent_runner::{
    Admission, Exit, How, Limits, Numbers, SessionError,
    outside::{Exec, FaultKind, Outcome, Output, Place, Request, front},
};
use counter::{Counter, order, shell};
use journal::transcript::Event;

fn exec(program: &str, arguments: &[&str]) -> Exec {
    Exec {
        program: program.into(),
        arguments: arguments.iter().map(Into::into).collect(),
        place: Place::default(),
        stdin: Vec::new(),
        time: None,
        limit_bytes: 1 << 20,
    }
}

#[test]
fn calls_are_made_at_the_same_time_and_numbered_as_they_came() {
    let counter = Counter::new();
    let end = counter.serve(Limits::default(), |front| {
        let waits = order(&front, shell("while [ ! -e go ]; do sleep 0.01; done"));
        let goes = order(&front, shell("touch go"));
        assert_eq!(goes.wait().unwrap().call, 2);
        assert_eq!(waits.wait().unwrap().call, 1);
    });
    let end = end.unwrap();
    assert_eq!((end.how, end.calls), (How::Finished, 2));
    let calls: Vec<u64> = counter
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::Call { call, .. } => Some(*call),
            _ => None,
        })
        .collect();
    assert_eq!(calls, [1, 2]);
}

#[test]
fn numbers_go_on_from_those_of_others() {
    let counter = Counter::new();
    let numbers = Numbers::default();
    for expected in [1, 2] {
        let (front, orders) = front();
        let end = counter.serve_orders(Limits::default(), &numbers, orders, move || {
            assert_eq!(order(&front, shell("true")).wait().unwrap().call, expected);
        });
        assert_eq!(end.unwrap().calls, expected);
    }
}

#[test]
fn a_program_that_is_not_admitted_does_not_begin_and_its_caller_is_told() {
    let mut counter = Counter::new();
    counter.admission = Some(("exec", Admission::Refused("it was refused".to_owned())));
    let end = counter.serve(Limits::default(), |front| {
        let refused = order(&front, Request::Exec(exec("touch", &["made"])));
        let Outcome::Failed(fault, None) = refused.wait().unwrap().outcome else { panic!() };
        assert_eq!((fault.kind, &*fault.message), (FaultKind::Refused, "it was refused"));
        let Outcome::Tool(tool) = order(&front, shell("test ! -e made")).wait().unwrap().outcome
        else {
            panic!()
        };
        assert_eq!(tool.value["exit_code"], 0, "{tool:?}");
    });
    assert_eq!(end.unwrap().calls, 2);
}

#[test]
fn one_call_is_cancelled_and_the_others_go_on() {
    let counter = Counter::new();
    let end = counter.serve(Limits::default(), |front| {
        let cancelled = order(&front, Request::Exec(exec("sh", &["-c", "echo here; sleep 60"])));
        let stays = order(&front, shell("while [ ! -e go ]; do sleep 0.01; done"));
        cancelled.cancel.cancel();
        let Outcome::Failed(fault, _) = cancelled.wait().unwrap().outcome else { panic!() };
        assert_eq!(fault.kind, FaultKind::Cancelled);
        order(&front, shell("touch go")).wait().unwrap();
        let Outcome::Tool(result) = stays.wait().unwrap().outcome else { panic!() };
        assert!(result.ok, "{result:?}");
    });
    assert_eq!(end.unwrap().how, How::Finished);
}

#[test]
fn a_closed_desk_cancels_what_goes_on_and_takes_nothing_more() {
    let counter = Counter::new();
    let end = counter.serve(Limits::default(), |front| {
        let goes_on = order(&front, shell("sleep 60"));
        front.close();
        let late = order(&front, shell("true"));
        let Outcome::Tool(result) = goes_on.wait().unwrap().outcome else { panic!() };
        assert_eq!(result.value["error"], "it was cancelled");
        drop(front);
        assert!(late.wait().is_none());
    });
    let end = end.unwrap();
    assert_eq!((end.how, end.calls), (How::Finished, 1));
}

#[test]
fn calls_beyond_the_budget_end_the_desk() {
    let counter = Counter::new();
    let end = counter.serve(Limits { calls: 1, ..Limits::default() }, |front| {
        assert!(order(&front, shell("true")).wait().is_some());
        assert!(order(&front, shell("true")).wait().is_none());
    });
    assert_eq!(end.unwrap().how, How::OutOfCalls);
    assert!(
        matches!(counter.events().last(), Some(Event::Note { text }) if text.contains("1 call"))
    );
}

#[test]
fn a_program_reads_bytes_and_gives_bytes_back() {
    let counter = Counter::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let sent = bytes.clone();
    let end = counter.serve(Limits::default(), |front| {
        let cat = Exec { stdin: sent.clone(), ..exec("cat", &[]) };
        let outcome = order(&front, Request::Exec(cat)).wait().unwrap().outcome;
        let Outcome::Output(Output { exit, stdout, stdout_truncated, .. }) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!((exit, stdout_truncated), (Exit::Code(0), false));
        assert!(stdout == sent);
        // Nobody reads what this one is sent.
        let deaf = Exec { stdin: sent, ..exec("true", &[]) };
        let outcome = order(&front, Request::Exec(deaf)).wait().unwrap().outcome;
        assert!(matches!(outcome, Outcome::Output(_)), "{outcome:?}");
    });
    assert_eq!(end.unwrap().calls, 2);
    let Some(Event::Call { arguments, .. }) = counter.events().into_iter().next() else { panic!() };
    assert!(arguments["stdin"].as_str().unwrap().starts_with("\\x00\\x01"), "{arguments}");
}

#[test]
fn what_keeps_a_program_from_its_end_is_told_by_kind() {
    let counter = Counter::new();
    let end = counter.serve(Limits::default(), |front| {
        let late = Exec {
            time: Some(Duration::from_millis(300)),
            ..exec("sh", &["-c", "echo before; sleep 60"])
        };
        let outcome = order(&front, Request::Exec(late)).wait().unwrap().outcome;
        let Outcome::Failed(fault, Some(output)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(fault.kind, FaultKind::Timeout);
        assert_eq!(output.stdout, b"before\n");
        let missing = order(&front, Request::Exec(exec("/no/such/program", &[])));
        let Outcome::Failed(fault, None) = missing.wait().unwrap().outcome else { panic!() };
        assert_eq!(fault.kind, FaultKind::NotExecutable);
        assert_eq!(fault.errno.as_deref(), Some("ENOENT"));
        let limited = Exec { limit_bytes: 3, ..exec("echo", &["12345"]) };
        let outcome = order(&front, Request::Exec(limited)).wait().unwrap().outcome;
        let Outcome::Output(output) = outcome else { panic!("{outcome:?}") };
        assert_eq!((output.stdout.as_slice(), output.stdout_truncated), (&b"123"[..], true));
    });
    assert_eq!(end.unwrap().calls, 3);
}

#[test]
fn a_call_that_cannot_be_watched_breaks_the_desk() {
    let mut counter = Counter::new();
    counter.refuses = true;
    let end = counter.serve(Limits::default(), |front| {
        assert!(order(&front, shell("true")).wait().is_none());
    });
    assert!(matches!(end, Err(SessionError::Watch { call: 1, .. })), "{end:?}");
}
