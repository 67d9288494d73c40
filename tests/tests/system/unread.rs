//! Output that is read late, or never: the run ends all the same, and nothing is lost in silence.

use std::{fs, io::Read as _};

use nix::sys::signal::Signal;
use tests::{
    deadline::wait_for,
    in_machine,
    run::{Ended, Invocation, Piped},
    skip,
    whole::until_whole,
    world::World,
};

use crate::endings::{FILES, check_complete, check_invalid};

/// Why a machine of the matrix leaves these tests out.
const ON_THE_HOST: &str = "how output is passed on depends on no kernel: tried on the host alone";

/// What ends the command's output when nobody takes it.
const GIVEN_UP: &str = "could not be written to standard output";

/// A command that writes without end.
fn flood(world: &World, piped: Piped, words: &[&str]) -> Invocation {
    Invocation::run(world, "run").piped(piped).args(words).args(["--no-metrics", "--", "yes"])
}

/// A clean run whose output was given up: all of it is there but the output.
fn check_undelivered(world: &World, ended: &Ended) {
    ended.assert_code(74);
    assert_eq!(check_complete(world, ended, &FILES).verdict(), "clean");
}

#[test]
fn a_deadline_is_heard_while_nobody_reads_the_output() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let ended = flood(&world, Piped::Stdout, &["--command-seconds", "2"]).finish();
        check_undelivered(&world, &ended);
        ended.assert_stderr(GIVEN_UP).assert_stderr("nobody reads it");
        ended.assert_stderr("run/report.html");
    });
}

#[test]
fn a_deadline_is_heard_while_nobody_reads_output_and_errors() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let ended = flood(&world, Piped::Both, &["--command-seconds", "2"]).finish();
        check_undelivered(&world, &ended);
    });
}

#[test]
fn sigint_is_heard_while_nobody_reads_the_output() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    for piped in [Piped::Stdout, Piped::Both, Piped::Full] {
        let world = World::new();
        let running = flood(&world, piped, &[]).start();
        running.wait_until_full();
        // A pipe that was full from the start says nothing of the command.
        let journal = running.out().join("effects.jsonl");
        wait_for("the command", || fs::metadata(&journal).ok().filter(|it| it.len() > 0));
        running.signal(Signal::SIGINT);
        let ended = running.finish();
        check_invalid(&world, &ended, "interrupted", &FILES);
        if piped != Piped::Both {
            ended.assert_stderr(GIVEN_UP);
        }
    }
}

#[test]
fn sigterm_ends_a_run_that_waits_only_for_who_reads_its_report() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let running = Invocation::run(&world, "run").piped(Piped::Full).args(["--", "true"]).start();
    let page = running.out().join("report.html");
    wait_for("the report's page", || page.exists().then_some(()));
    running.signal(Signal::SIGTERM);
    let ended = running.finish();
    check_undelivered(&world, &ended);
    ended.assert_stderr("run/report.html");
}

#[test]
fn a_reader_that_is_late_gets_all_in_order_and_then_the_report() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    // More than the queue and both pipes hold, so that the command has to wait for its reader.
    let last = 200_000;
    let mut running = Invocation::run(&world, "run")
        .piped(Piped::Stdout)
        .args(["--no-metrics", "--", "sh", "-c"])
        .args([format!("seq 1 {last}; echo done >&2")])
        .start();
    running.wait_until_full();
    assert!(!running.stderr().contains("done\n"), "the command did not wait");
    let mut text = String::new();
    running.pipe().read_to_string(&mut text).expect("it is UTF-8");
    let ended = running.finish();
    ended.assert_code(0).assert_stderr("done\n");
    let mut lines = text.lines();
    for number in 1..=last {
        assert_eq!(lines.next(), Some(number.to_string().as_str()));
    }
    let rest: Vec<_> = lines.collect();
    assert!(rest.iter().any(|line| line.starts_with("page: ")), "{rest:?}");
}

#[test]
fn a_reader_that_goes_is_no_failure() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let mut running = flood(&world, Piped::Stdout, &["--command-seconds", "2"]).start();
    drop(running.pipe());
    let ended = running.finish();
    // The command's time was over, which is all that is said.
    ended.assert_code(124);
    assert!(!ended.stderr.contains(GIVEN_UP), "{}", ended.stderr);
}
