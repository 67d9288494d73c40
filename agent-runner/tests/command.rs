//! Wrapped commands over plain processes: exits as a shell would say, output passed on.
#![allow(clippy::unwrap_used, reason = "tests panic")]

mod plain;

use std::{fs, io, os::unix::fs::PermissionsExt, time::Duration};

use agent_runner::{Admission, AgentEnd, Command, Exit, Frozen, How, Stdin};
use journal::transcript::Event;
use plain::Bench;
use serde_json::json;

fn run(bench: &mut Bench, words: &[&str]) -> AgentEnd {
    let command = Command {
        program: words[0].into(),
        arguments: words[1..].iter().map(Into::into).collect(),
        stdin: Stdin::Null,
    };
    bench.session(|session| session.run_command(&command)).unwrap()
}

fn result(bench: &Bench) -> serde_json::Value {
    match bench.events().pop() {
        Some(Event::Result { call: 1, value, .. }) => value,
        other => panic!("the last event is {other:?}"),
    }
}

#[test]
fn a_command_is_call_1_and_its_output_is_shown_and_kept() {
    let mut bench = Bench::new();
    let end = run(&mut bench, &["sh", "-c", "cat; echo shown; exit 4"]);
    assert_eq!((end.exit_code(), end.calls), (Some(4), 1));
    assert_eq!(end.how, How::Exited(Exit::Code(4)));
    assert_eq!(bench.shown(), "shown\n");
    assert_eq!(result(&bench)["stdout"], "shown\n");
    assert!(!end.declared.filed);
    assert_eq!(bench.logged()[..2], ["leaf 1", "watch 1 101 command"]);
}

#[test]
fn a_program_that_is_not_there_ends_with_127() {
    let mut bench = Bench::new();
    let end = run(&mut bench, &["no-such-program"]);
    assert_eq!(end.exit_code(), Some(127));
    assert_eq!(
        result(&bench),
        json!({ "error": "cannot execute no-such-program: No such file or directory", "exit_code": 127 })
    );
    assert_eq!(run(&mut Bench::new(), &["/no/such/program"]).exit_code(), Some(127));
    assert_eq!(run(&mut Bench::new(), &[""]).exit_code(), Some(127));
}

#[test]
fn a_file_that_is_no_program_ends_with_126() {
    let mut bench = Bench::new();
    let path = bench.path().join("data");
    // A directory interprets nothing. A file of no known format would not do: where the standard library
    // is linked statically it executes by execvp(3), which gives such a file to a shell.
    fs::write(&path, "#!/\n").unwrap();
    let path = path.to_str().unwrap().to_owned();
    assert_eq!(run(&mut bench, &[&path]).exit_code(), Some(126));

    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let end = run(&mut bench, &[&path]);
    assert!(matches!(end.how, How::NotExecutable { code: 126, .. }), "{end:?}");
}

#[test]
fn a_signal_ends_it_as_a_shell_would_say() {
    let end = run(&mut Bench::new(), &["sh", "-c", "kill -TERM $$"]);
    assert_eq!(end.exit_code(), Some(143));
}

#[test]
fn a_command_beyond_its_time_is_ended_without_an_exit_code() {
    let mut bench = Bench::new();
    bench.limits.command_time = Some(Duration::from_millis(100));
    let end = run(&mut bench, &["sleep", "60"]);
    assert_eq!((end.exit_code(), end.how), (None, How::OutOfTime));
}

/// What the runner noted, in order.
fn notes(bench: &Bench) -> Vec<String> {
    let text = |event| match event {
        Event::Note { text } => Some(text),
        _ => None,
    };
    bench.events().into_iter().filter_map(text).collect()
}

#[test]
fn a_frozen_command_is_killed_when_nobody_lets_it_go_on_and_its_own_time_stands_still() {
    let mut bench = Bench::new();
    bench.frozen = Frozen::Call;
    bench.limits.command_time = Some(Duration::from_millis(50));
    bench.limits.frozen_time = Duration::from_millis(600);
    let end = run(&mut bench, &["sleep", "60"]);
    assert_eq!((end.exit_code(), end.how), (None, How::NotResumed));
    let notes = notes(&bench);
    assert_eq!(notes[0], "call 1 is frozen");
    assert!(notes[1].contains("nobody let it go on"), "{notes:?}");
}

#[test]
fn no_command_begins_in_a_frozen_run_until_a_person_resumes_it() {
    let mut bench = Bench::new();
    bench.held = 3;
    let end = run(&mut bench, &["true"]);
    assert_eq!(end.exit_code(), Some(0));
    assert_eq!(notes(&bench), ["the run is frozen: call 1 waits", "call 1 goes on"]);
    let mut bench = Bench::new();
    bench.held = u32::MAX;
    bench.cancel_at_call = true;
    assert_eq!(run(&mut bench, &["true"]).how, How::Cancelled);
    assert!(!bench.logged().iter().any(|line| line.starts_with("start")));
}

#[test]
fn a_command_that_is_interrupted_is_killed() {
    let mut bench = Bench::new();
    bench.cancel_at_call = true;
    let end = run(&mut bench, &["sleep", "60"]);
    assert_eq!(end.how, How::Cancelled);
}

/// Writes without end, more than a pipe holds.
const FLOOD: [&str; 3] = ["sh", "-c", "while :; do echo more; done"];

#[test]
fn a_deadline_is_heard_while_nobody_takes_the_output() {
    let mut bench = Bench::new();
    let (full, _room) = io::pipe().unwrap();
    bench.full = Some(full);
    bench.limits.command_time = Some(Duration::from_millis(300));
    assert_eq!(run(&mut bench, &FLOOD).how, How::OutOfTime);
}

#[test]
fn a_request_to_end_is_heard_while_nobody_takes_the_output() {
    let mut bench = Bench::new();
    let (full, _room) = io::pipe().unwrap();
    bench.full = Some(full);
    bench.cancel_when_full = true;
    assert_eq!(run(&mut bench, &FLOOD).how, How::Cancelled);
}

#[test]
fn what_a_command_wrote_before_its_end_is_shown_even_where_it_is_not_taken() {
    let mut bench = Bench::new();
    let (full, _room) = io::pipe().unwrap();
    bench.full = Some(full);
    let end = run(&mut bench, &["sh", "-c", "echo one; sleep 0.2; echo two >&2; exit 3"]);
    assert_eq!(end.exit_code(), Some(3));
    assert_eq!(bench.shown(), "one\ntwo\n");
}

#[test]
fn a_command_that_is_not_admitted_never_begins() {
    let mut bench = Bench::new();
    bench.admission = Some(("command", Admission::Refused("it was refused".to_owned())));
    let end = run(&mut bench, &["true"]);
    let message = "it was refused".to_owned();
    assert_eq!(end.how, How::NotExecutable { message, code: 126 });
    assert_eq!(bench.logged(), ["asked 1 command"]);
    bench.admission = Some(("command", Admission::Cancelled));
    assert_eq!(run(&mut bench, &["true"]).how, How::Cancelled);
}
