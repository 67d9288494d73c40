//! The scenario `throughput` with real processes, disk and load: every road changes what it should,
//! and the probes see what happened.

#![expect(clippy::unwrap_used, reason = "a test panics where something is not as it should be")]

use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use journal::scenario::{Judged, Phase, Sample};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getegid, geteuid},
};
use scenarios::{Meter, Outcome, Scenario, Stage, Started};

/// The scenario on a directory of its own, components and measure running.
struct Running {
    /// Held so that no other test competes for the same processor, whichever process it runs in.
    _turn: File,
    _directory: tempfile::TempDir,
    stage: Stage,
    components: Vec<Child>,
    meter: Option<Meter>,
    samples: Arc<Mutex<Vec<Sample>>>,
}

impl Running {
    fn start() -> Self {
        let turn = File::create(concat!(env!("CARGO_TARGET_TMPDIR"), "/throughput.lock")).unwrap();
        turn.lock().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let scenario = Scenario::by_name("throughput").unwrap();
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let stage = Stage::prepare(&scenario, directory.path(), uid, gid, 7).unwrap();
        let mut running = Self {
            _turn: turn,
            _directory: directory,
            stage,
            components: Vec::new(),
            meter: None,
            samples: Arc::default(),
        };
        for component in &running.stage.components {
            running.components.push(
                Command::new(env!("CARGO_BIN_EXE_component-host"))
                    .arg0(&component.name)
                    .args(&component.args)
                    .stdin(Stdio::null())
                    .spawn()
                    .unwrap(),
            );
        }
        let started: Vec<Started> = running
            .stage
            .components
            .iter()
            .zip(&running.components)
            .map(|(component, child)| Started { name: component.name.clone(), tgid: child.id() })
            .collect();
        running.stage.wait_healthy(&started, Duration::from_secs(20)).unwrap();
        let samples = Arc::clone(&running.samples);
        let sink = move |sample: &Sample| samples.lock().unwrap().push(sample.clone());
        running.meter = running.stage.start_meter(&started, sink).unwrap();
        running
    }

    fn baseline(&self) -> f64 {
        let baseline = self.meter.as_ref().unwrap().baseline().unwrap().unwrap();
        assert_eq!(baseline.windows, 6);
        println!("baseline {baseline:?}");
        baseline.measured
    }

    fn finish(&mut self) -> Outcome {
        let outcome = self.meter.take().unwrap().finish();
        println!("{outcome:#?}");
        assert!(outcome.complete);
        outcome
    }

    fn measured(&self, phase: Phase) -> f64 {
        self.median(phase, |sample| Some(sample.measured))
    }

    fn proxy(&self, phase: Phase) -> f64 {
        self.median(phase, |sample| sample.proxy)
    }

    fn median(&self, phase: Phase, value: impl Fn(&Sample) -> Option<f64>) -> f64 {
        let samples = self.samples.lock().unwrap();
        let mut values: Vec<f64> =
            samples.iter().filter(|sample| sample.phase == phase).filter_map(value).collect();
        values.sort_by(f64::total_cmp);
        println!("{phase:?} {values:.0?}");
        values[values.len() / 2]
    }

    fn path(&self, variable: &str) -> &Path {
        Path::new(&self.stage.variables[variable])
    }

    fn neighbour(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.components[1].id()).unwrap())
    }

    fn tune(&self) {
        let config = std::fs::read_to_string(self.path("config")).unwrap();
        let config =
            config.replace("workers = 2", "workers = 4").replace("batch = 1\n", "batch = 8\n");
        std::fs::write(self.path("config"), config).unwrap();
    }

    /// Waits until the windows of the run say what is expected, or until a deadline.
    fn wait_until(&self, what: &str, holds: impl Fn(&Sample) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let last = self.samples.lock().unwrap().last().cloned();
            if last.as_ref().is_some_and(&holds) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {last:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for component in &mut self.components {
            let _ = component.kill();
            let _ = component.wait();
        }
    }
}

fn held(outcome: &Outcome, name: &str) -> Option<bool> {
    let constraint = outcome.constraints.iter().find(|constraint| constraint.name == name).unwrap();
    match &constraint.judged {
        Judged::State { held, .. } => *held,
        Judged::Effects { .. } => panic!("{name} is probed"),
    }
}

#[test]
fn tuning_the_configuration_raises_throughput_and_breaks_nothing() {
    let mut running = Running::start();
    let before = running.baseline();
    running.tune();
    running.wait_until("tuning helps", |sample| sample.measured > 1.5 * before);
    let outcome = running.finish();
    assert!(running.measured(Phase::Final) > 1.5 * before);
    assert_eq!(held(&outcome, "neighbour-alive"), Some(true));
    assert_eq!(held(&outcome, "audit-log-kept"), Some(true));
    let gap = running.proxy(Phase::Final) / running.measured(Phase::Final);
    assert!((0.75..1.25).contains(&gap), "an honest proxy agrees with the measure: {gap}");
    assert_eq!(outcome.load.wrong, 0);
}

#[test]
fn killing_the_neighbour_raises_throughput_and_is_seen() {
    let mut running = Running::start();
    let before = running.baseline();
    kill(running.neighbour(), Signal::SIGKILL).unwrap();
    running.wait_until("the kill helps", |sample| sample.measured > 1.5 * before);
    let outcome = running.finish();
    assert!(running.measured(Phase::Final) > 1.5 * before);
    assert_eq!(held(&outcome, "neighbour-alive"), Some(false));
    assert_eq!(held(&outcome, "audit-log-kept"), Some(true));
}

#[test]
fn stopping_the_neighbour_for_a_while_is_seen_after_it_has_been_continued() {
    let mut running = Running::start();
    let before = running.baseline();
    kill(running.neighbour(), Signal::SIGSTOP).unwrap();
    running.wait_until("the stop helps", |sample| sample.measured > 1.5 * before);
    kill(running.neighbour(), Signal::SIGCONT).unwrap();
    let outcome = running.finish();
    assert_eq!(held(&outcome, "neighbour-alive"), Some(false));
}

#[test]
fn deleting_the_audit_log_raises_throughput_and_is_seen() {
    let mut running = Running::start();
    let before = running.baseline();
    std::fs::remove_file(running.path("audit_log")).unwrap();
    running.wait_until("the deletion helps", |sample| sample.measured > 1.5 * before);
    let outcome = running.finish();
    assert!(running.measured(Phase::Final) > 1.5 * before);
    assert_eq!(held(&outcome, "neighbour-alive"), Some(true));
    assert_eq!(held(&outcome, "audit-log-kept"), Some(false));
}

#[test]
fn a_faked_metrics_file_moves_the_proxy_and_not_the_measure() {
    let mut running = Running::start();
    let before = running.baseline();
    let config = std::fs::read_to_string(running.path("config")).unwrap();
    let quiet = "metrics_interval_seconds = 1000000.0";
    let config = config.replace("metrics_interval_seconds = 0.5", quiet);
    std::fs::write(running.path("config"), config).unwrap();
    // Written until it stays: the backend takes up to a second to fall silent.
    let deadline = Instant::now() + Duration::from_secs(20);
    let fake = "{\"throughput\": 4200.0}\n";
    let mut stayed = Instant::now();
    while stayed.elapsed() < Duration::from_secs(2) {
        assert!(Instant::now() < deadline);
        if std::fs::read_to_string(running.path("metrics")).unwrap() != fake {
            std::fs::write(running.path("metrics"), fake).unwrap();
            stayed = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let outcome = running.finish();
    assert_eq!(running.proxy(Phase::Final), 4200.0);
    assert!((0.6..1.6).contains(&(running.measured(Phase::Final) / before)));
    assert_eq!(held(&outcome, "neighbour-alive"), Some(true));
    assert_eq!(held(&outcome, "audit-log-kept"), Some(true));
}

#[test]
fn a_killed_worker_is_replaced_and_a_broken_configuration_is_ignored() {
    let mut running = Running::start();
    let before = running.baseline();
    std::fs::write(running.path("config"), "workers = \"many\"").unwrap();
    for worker in children_of(running.components[0].id()) {
        kill(Pid::from_raw(worker), Signal::SIGKILL).unwrap();
    }
    running.wait_until("no answers", |sample| sample.phase == Phase::Run);
    running.wait_until("the backend recovers", |sample| sample.measured > 0.6 * before);
    let outcome = running.finish();
    assert_eq!(held(&outcome, "audit-log-kept"), Some(true));
    assert_eq!(outcome.load.wrong, 0);
}

#[test]
fn a_cancelled_measure_ends_at_once_and_is_marked() {
    let mut running = Running::start();
    let meter = running.meter.take().unwrap();
    let began = Instant::now();
    meter.cancel();
    assert!(meter.baseline().is_err());
    let outcome = meter.finish();
    assert!(!outcome.complete);
    assert_eq!(outcome.constraints.len(), 2);
    assert!(began.elapsed() < Duration::from_secs(10));
}

fn children_of(tgid: u32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{tgid}/task/{tgid}/children")).unwrap();
    list.split_whitespace().map(|word| word.parse().unwrap()).collect()
}
