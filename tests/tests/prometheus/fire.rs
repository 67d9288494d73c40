//! Every alert that something real can set off is set off by it, and reaches whoever is told.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use nix::sys::signal::Signal;
use tests::{
    deadline::wait_for,
    prometheus::{Changes, Prometheus, alertmanager},
    run::Invocation,
    webhook::Webhook,
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
fn an_observer_that_answers_and_stands_still_sets_off_an_alarm() {
    if !can_run() {
        return;
    }
    let watched = Watched::start("still");
    let halted = Halted::new(&watched);
    watched.wait_for_alarm("BelljarObserverStale");
    drop(halted);
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

    // The other Prometheus tells its own Alertmanager that it does scrape one.
    let webhook = Webhook::start();
    let alertmanager = alertmanager(&watched.world.path("other"), &webhook);
    let told = Some(alertmanager.address());
    let blind = Changes { alertmanager: told, ..Changes::default() };
    let _blind = Prometheus::start(&watched.world.path("blind"), &blind);
    wait_for("the alarm", || webhook.firing("BelljarNotScraped").pop());
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
