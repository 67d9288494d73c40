//! Every alert that something real can set off is set off by it, and reaches whoever is told.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use nix::sys::signal::Signal;
use tests::{
    deadline::wait_for,
    prometheus::{Changes, Prometheus},
    run::Invocation,
    world::words,
};

use crate::{Watched, can_run};

impl Watched {
    /// Waits until somebody was told of an alert.
    fn wait_for_alarm(&self, name: &str) {
        wait_for(&format!("somebody to be told of {name}"), || {
            self.webhook.firing(name).pop().map(drop)
        });
    }
}

/// Holds the thread of an observer that looks after its runs, while another of it answers Prometheus.
struct Halted {
    actor: Child,
    go: PathBuf,
}

impl Halted {
    fn new(watched: &Watched) -> Self {
        let go = watched.world.path("signs/release");
        watched.world.directory("signs");
        let pid = watched.resident.pid();
        let actor = Command::new(watched.world.actor())
            .args(words([&"halt_thread", &pid.to_string(), &go]))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the actor can be started");
        wait_for("the thread to stand still", || {
            let status = fs::read_to_string(format!("/proc/{pid}/task/{pid}/status")).ok()?;
            status.contains("\nState:\tt").then_some(())
        });
        Self { actor, go }
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        let _ = fs::write(&self.go, "");
        if !std::thread::panicking() {
            wait_for("the thread to be let go", || self.actor.try_wait().ok().flatten());
        }
    }
}

#[test]
fn an_observer_that_stands_still_and_what_it_loses_by_it_set_off_alarms() {
    if !can_run() {
        return;
    }
    let watched = Watched::start("still");
    let begin = watched.world.path("signs/begin");
    watched.world.directory("signs");
    let workspace = watched.world.directory("workspace");
    // Long names fill the rings soon: some thirty thousand records are more than they hold.
    let deep =
        watched.world.directory(format!("workspace/{}", vec!["long".repeat(50); 4].join("/")));
    let running = watched
        .run("storm")
        .tier(0, "enforce")
        .label("workspace", &workspace)
        .args(["--quiet", "--"])
        .args([watched.world.actor()])
        .args(words([&"wait_file", &begin, &",", &"storm", &"60000", &deep]))
        .start();
    wait_for("the agent", || watched.served().contains("belljar_calls_total{").then_some(()));
    let halted = Halted::new(&watched);
    fs::write(&begin, "").expect("the world is writable");
    watched.wait_for_alarm("BelljarObserverStale");
    drop(halted);
    watched.wait_for_alarm("BelljarEffectsLost");
    // Its supervisor may have ended it by now, since nobody answered.
    running.finish().assert_code(81);
    watched.wait_for_alarm("BelljarEvidenceIncomplete");
    let lost = watched.prometheus.query("sum(belljar_observer_effects_dropped_total)");
    let lost = lost.expect("it is an expression").first().map_or(0.0, |(_, value)| *value);
    println!("told: {lost} effects were lost while the observer stood still");
}

#[test]
fn a_broken_constraint_and_a_dead_observer_set_off_alarms() {
    if !can_run() {
        return;
    }
    let mut watched = Watched::start("broken");
    let run = watched.run("greedy").tier(2, "observe");
    let run = run.args(["--scenario", "throughput", "--agent", "organism:greedy-killer"]);
    run.finish().assert_code(80);
    watched.wait_for_alarm("BelljarConstraintBroken");

    watched.resident.signal(Signal::SIGKILL);
    watched.resident.wait();
    watched.wait_for_alarm("BelljarObserverDown");
    Invocation::new(&watched.world, "reap", "reap").finish().assert_code(0);

    let nobody =
        Changes { alertmanager: Some(watched.alertmanager.address()), ..Changes::default() };
    let blind = Prometheus::start(&watched.world.path("blind"), &nobody);
    watched.wait_for_alarm("BelljarNotScraped");
    drop(blind);
}

#[test]
fn a_run_whose_supervisor_died_sets_off_an_alarm() {
    if !can_run() {
        return;
    }
    let watched = Watched::start("orphan");
    let (running, _) = watched.attack();
    running.signal(Signal::SIGKILL);
    assert_eq!(running.finish().code, None);
    Invocation::new(&watched.world, "reap", "reap").finish().assert_code(0);
    let told = wait_for("the alarm", || watched.webhook.firing("BelljarEvidenceIncomplete").pop());
    assert_eq!(told["labels"]["evidence"], "abandoned", "{told:#}");
}
