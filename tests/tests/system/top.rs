//! `belljar top`: what is shown of runs that go on.

use std::{ffi::OsStr, process::Command};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{
    deadline::wait_for,
    in_machine,
    pty::OnTerminal,
    resident,
    run::{Invocation, Running},
    skip,
    world::{World, belljar, words},
};

use crate::{denied::public_binary, endings::manifest};

const ON_THE_HOST: &str =
    "a terminal and what is drawn on it depend on no kernel: tried on the host alone";

/// A run whose agent has tried to remove what it may not, and waits for good.
fn waiting(world: &World, name: &str, observer: &OsStr) -> Running {
    let file = world.file("data/file");
    let running = Invocation::run_under(world, name, observer)
        .tier(0, "enforce")
        .label("data", &world.path("data"))
        .args(["--no-metrics", "--"])
        .args([world.actor()])
        .args(words([&"unlink", &file, &",", &"pause"]))
        .start();
    wait_for("the agent", || running.stdout().contains("unlink").then_some(()));
    running
}

/// The run of this name in a frame, if it is there.
fn find(frame: &Value, run: &str) -> Option<Value> {
    let runs = frame["runs"].as_array().expect("a frame has runs");
    runs.iter().find(|view| view["run"] == run).cloned()
}

fn once(world: &World, run: &str) -> Option<Value> {
    let top = Invocation::new(world, "top", "top").args(["--once", "--json"]).finish();
    let frame = serde_json::from_str(&top.assert_code(0).stdout).expect("a frame is JSON");
    find(&frame, run)
}

#[test]
fn a_run_is_shown_while_it_goes_on_whoever_observes_it() {
    let world = World::new();
    let shared = resident::shared().socket.as_os_str();
    let runs: Vec<(Running, String)> = [("resident", shared), ("own", OsStr::new("own"))]
        .into_iter()
        .map(|(name, observer)| waiting(&world, name, observer))
        .map(|running| (manifest(running.out()).run, running))
        .map(|(run, running)| (running, run))
        .collect();
    for (running, run) in &runs {
        let view = wait_for("the violation to be shown", || {
            once(&world, run).filter(|view| view["violations"] == 1)
        });
        assert_eq!(view["directory"], running.out().to_str().unwrap());
        assert_eq!((&view["phase"], &view["agent"]), (&"acting".into(), &"command".into()));
        assert_eq!((&view["tier"], &view["mode"]), (&0.into(), &"enforce".into()));
        assert_eq!((&view["verdict"], &view["problem"]), (&Value::Null, &Value::Null));
        assert_eq!((&view["missing"], &view["malformed"]), (&0.into(), &0.into()));
        assert_eq!(view["verbs"]["unlink"]["deny"], 1);
        let call = &view["last_calls"][0];
        assert_eq!((&call["call"], &call["tool"]), (&1.into(), &"command".into()));
        assert_eq!((&call["ok"], &call["violations"]), (&Value::Null, &1.into()));
        let violation = &view["last_violations"][0];
        let act = violation["act"].as_str().unwrap();
        assert_eq!(act, format!("unlink {}", world.path("data/file").display()));
        assert_eq!(violation["call"], 1);
        let text = Invocation::new(&world, "text", "top").args(["--once"]).finish();
        assert!(text.assert_code(0).stdout.contains(act), "{}", text.stdout);
    }
    for (running, run) in runs {
        running.signal(Signal::SIGTERM);
        running.finish().assert_code(81);
        assert_eq!(once(&world, &run), None, "it is over");
    }
}

#[test]
fn frames_follow_a_run_to_its_verdict() {
    let world = World::new();
    let running = waiting(&world, "run", resident::shared().socket.as_os_str());
    let run = manifest(running.out()).run;
    let top = Invocation::new(&world, "top", "top").args(["--json", "--interval", "0.2"]).start();
    let last = || {
        let text = top.stdout();
        let (whole, _) = text.rsplit_once('\n')?;
        let frame = serde_json::from_str(whole.lines().next_back()?).expect("a frame is JSON");
        find(&frame, &run)
    };
    wait_for("the run to be shown", || last().filter(|view| view["violations"] == 1));
    running.signal(Signal::SIGTERM);
    running.finish().assert_code(81);
    let view = wait_for("its verdict", || last().filter(|view| view["phase"] == "ended"));
    assert_eq!(view["verdict"], "invalid");
    top.signal(Signal::SIGTERM);
    top.finish().assert_code(0);
}

#[test]
fn a_run_whose_supervisor_was_killed_is_shown_as_abandoned() {
    if in_machine() {
        return skip("another test reaps in a machine");
    }
    let world = World::new();
    let running = waiting(&world, "run", resident::shared().socket.as_os_str());
    let run = manifest(running.out()).run;
    running.signal(Signal::SIGKILL);
    assert_eq!(running.finish().code, None);
    assert_eq!(once(&world, &run).expect("something of it is left")["phase"], "abandoned");
    Invocation::new(&world, "reap", "reap").finish().assert_code(0);
    assert_eq!(once(&world, &run), None);
}

#[test]
fn the_view_draws_on_a_terminal_and_leaves_it_as_it_was() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let running = waiting(&world, "run", resident::shared().socket.as_os_str());
    let run = manifest(running.out()).run;
    let path = world.path("data/file").display().to_string();
    let mut command = Command::new(belljar());
    command.args(["top", "--interval", "0.2"]).env("NO_COLOR", "1");
    for end in ["q", "\u{3}", "\u{1b}"] {
        let mut terminal = OnTerminal::start(&command, 160, 40);
        terminal.wait_until_shown("\u{1b}[?1049h");
        terminal.wait_until_shown(&run);
        // Blanks are not drawn on what is blank, so it is looked for words that have none.
        terminal.wait_until_shown(&path);
        assert!(!terminal.is_as_found());
        terminal.press(end);
        assert!(terminal.wait().success());
        terminal.wait_until_shown("\u{1b}[?1049l");
        assert!(terminal.is_as_found(), "after {end:?}");
        let shown = terminal.shown();
        let is_colour = |code: u8| shown.contains(&format!("\u{1b}[{code}m"));
        assert!(!(30..48).any(is_colour) && !shown.contains("[38;5;"), "{shown:?}");
    }
    running.signal(Signal::SIGTERM);
    running.finish().assert_code(81);
}

#[test]
fn the_view_follows_the_size_of_its_terminal_and_ends_in_order_at_a_signal() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let mut command = Command::new(belljar());
    command.args(["top", "--interval", "3600"]).env("NO_COLOR", "1");
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let mut terminal = OnTerminal::start(&command, 100, 30);
        terminal.wait_until_shown("q quit");
        let before = terminal.shown().matches("q quit").count();
        // The line of keys stands at the bottom, so it is drawn anew.
        terminal.resize(90, 20);
        wait_for("the view to be drawn anew", || {
            (terminal.shown().matches("q quit").count() > before).then_some(())
        });
        assert!(terminal.shown().contains("\u{1b}[20;1H"), "{:?}", terminal.shown());
        terminal.signal(signal);
        assert!(terminal.wait().success());
        terminal.wait_until_shown("\u{1b}[?1049l");
        assert!(terminal.is_as_found());
    }
}

#[test]
fn who_is_no_terminal_or_not_root_is_told_what_to_do() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let top = || Invocation::new(&world, "top", "top");
    top().finish().assert_code(64).assert_stderr("--once prints one frame");
    let binary = public_binary(&world);
    top()
        .binary(&binary)
        .args(["--once"])
        .uid(65_534)
        .finish()
        .assert_code(77)
        .assert_stderr("root");
    top().args(["--once", "--interval", "0"]).finish().assert_code(64).assert_stderr("0.1 to 3600");
}
