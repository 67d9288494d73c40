//! The canary: hooks that no longer fire are noticed, and nothing goes on under them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use journal::{Verb, manifest::ProbeSet};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{
    deadline::wait_for,
    http, in_machine,
    resident::{Resident, shared},
    run::Invocation,
    skip,
    traces::cgroups,
    whole::until_whole,
    world::World,
};

use crate::endings::{check_invalid, manifest, wait_under};

/// The cgroup of an observer's canary.
fn canary_of(observer: i32) -> PathBuf {
    cgroups().join("belljar").join(format!("{observer}.canary"))
}

/// The process in it.
fn process_in(cgroup: &Path) -> Option<Pid> {
    let list = fs::read_to_string(cgroup.join("cgroup.procs")).ok()?;
    list.trim().parse().ok().map(Pid::from_raw)
}

fn acts(resident: &Resident, result: &str) -> u64 {
    let text = http::get(&resident.address(), "/metrics");
    let start = format!("belljar_canary_acts_total{{result=\"{result}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.expect("it is served from the start").parse().expect("a count")
}

#[test]
fn a_canary_that_does_not_act_ends_the_runs_and_another_takes_its_place() {
    if in_machine() {
        return skip("what befalls its process depends on no kernel: tried on the host alone");
    }
    let world = World::new();
    let resident = Resident::start("canary");
    let observer = resident.socket().as_os_str();
    let running = wait_under(&world, Invocation::run_under(&world, "run", observer));
    wait_for("the canary to act", || (acts(&resident, "held") > 2).then_some(()));
    let canary = process_in(&canary_of(resident.pid())).expect("it is at work");
    kill(canary, Signal::SIGSTOP).expect("it is our observer's");
    let record = check_invalid(&world, &running.finish(), "whether the hooks still fire", &[]);
    assert_eq!(record.of(Verb::Unlink).count(), 1);
    assert!(resident.said().contains("its evidence is lost: whether the hooks"));
    assert_eq!((acts(&resident, "escaped"), acts(&resident, "unrecorded")), (0, 0));
    assert!(acts(&resident, "unanswered") > 0);
    let again = Invocation::run_under(&world, "again", observer).args(["--", "true"]).finish();
    again.assert_code(0);
    assert_ne!(process_in(&canary_of(resident.pid())), Some(canary));
}

#[test]
fn what_a_canary_leaves_whose_observer_was_killed_is_reaped() {
    if in_machine() {
        return skip("it depends on no kernel: tried on the host alone");
    }
    let world = World::new();
    let mut resident = Resident::start("canarys-end");
    let cgroup = canary_of(resident.pid());
    let canary = process_in(&cgroup).expect("it is at work");
    resident.signal(Signal::SIGKILL);
    resident.wait();
    wait_for("the canary's end", || (process_in(&cgroup) != Some(canary)).then_some(()));
    Invocation::new(&world, "reap", "reap").finish().assert_code(0);
    assert!(!cgroup.exists());
}

/// The switch that disarms LSM and fexit programs. Dropping this turns it on again.
struct Disarmed;

const SWITCH: &str = "/proc/sys/kernel/ftrace_enabled";

impl Disarmed {
    /// None where the kernel refuses to disarm anything.
    fn new() -> Option<Self> {
        match fs::write(SWITCH, "0") {
            Ok(()) => Some(Self),
            Err(error) if error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => None,
            Err(error) => panic!("a machine belongs to its tests: {error}"),
        }
    }
}

impl Drop for Disarmed {
    fn drop(&mut self) {
        fs::write(SWITCH, "1").expect("a machine belongs to its tests");
    }
}

#[test]
fn disarmed_hooks_are_noticed_within_a_second_and_no_run_goes_on_or_begins() {
    if !in_machine() {
        return skip("it disarms the hooks of the whole host: tried in machines alone");
    }
    until_whole(|| {
        let world = World::new();
        let observer = shared().socket.as_os_str();
        let running = wait_under(&world, Invocation::run_under(&world, "run", observer));
        let manifest = manifest(running.out());
        if manifest.probe_set != Some(ProbeSet::Lsm) {
            running.signal(Signal::SIGTERM);
            let _ = running.finish();
            return skip("no hook decides here, so none can be disarmed");
        }
        let freeze = cgroups().join("belljar").join(&manifest.run).join("cgroup.freeze");
        let since = Instant::now();
        let Some(disarmed) = Disarmed::new() else {
            running.signal(Signal::SIGTERM);
            let _ = running.finish();
            return skip("this kernel refuses to disarm hooks, as Linux 7.3 does");
        };
        wait_for("the run to stand still", || {
            // It is gone soon after.
            fs::read_to_string(&freeze).map_or(true, |text| text.trim() == "1").then_some(())
        });
        let took = since.elapsed();
        println!("the run stood still {} ms after the hooks were disarmed", took.as_millis());
        assert!(took < Duration::from_secs(1), "{took:?}");
        check_invalid(&world, &running.finish(), "the hooks do not fire any more", &[]);
        let refused =
            Invocation::run_under(&world, "refused", observer).args(["--", "true"]).finish();
        refused.assert_code(69);
        assert!(refused.stderr.contains("the hooks do not fire any more"), "{}", refused.stderr);
        drop(disarmed);
        let again = Invocation::run_under(&world, "again", observer).args(["--", "true"]).finish();
        again.assert_code(0);
    });
}
