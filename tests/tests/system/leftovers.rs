//! What an agent does to outlive its run, and what is left of it.

use std::{fs, path::Path};

use journal::{RunDir, Verb};
use nix::sys::signal::Signal;
use tests::{
    deadline::wait_for,
    in_machine,
    run::{Ended, Invocation},
    skip, traces,
    whole::until_whole,
    world::{World, words},
};

/// Checks that a run was judged, and that nothing of it is left.
#[track_caller]
fn assert_gone(ended: &Ended) {
    let manifest = RunDir::open(&ended.out).and_then(|run| run.manifest()).expect("a manifest");
    traces::assert_none(&manifest);
    assert_eq!(manifest.invalid, [""; 0], "{}", ended.stderr);
}

/// Checks that a user has no key any more. The kernel collects them when it has time.
fn assert_no_keys(uid: u32) {
    let users = || fs::read_to_string("/proc/key-users").unwrap_or_default();
    let line = format!("{uid}:");
    wait_for("the run's keys to be gone", || {
        (!users().lines().any(|user| user.trim().starts_with(&line))).then_some(())
    });
}

/// A call that leaves a process without its first thread, and ends.
fn leaving_a_leaderless_process(world: &World) -> Invocation {
    Invocation::run(world, "run")
        .tier(0, "enforce")
        .args(["--"])
        .args([world.actor()])
        .args(["touch", "go", ",", "daemon", "go", "done", "leave_leader", "ready"])
        .args([",", "wait_file", "ready"])
}

#[test]
fn a_process_that_has_lost_its_first_thread_is_recorded_and_ended() {
    until_whole(|| {
        let world = World::new();
        let ended = leaving_a_leaderless_process(&world).finish();
        assert_gone(&ended);
        ended.assert_code(80);
        let record = ended.record();
        record.assert_whole();
        assert_no_keys(record.manifest.uid);
        let left = RunDir::open(&ended.out).and_then(|run| run.persistence());
        let left = left.expect("the agent began").processes;
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!((left[0].call, left[0].comm.as_str()), (1, "actor"));
        assert!(left[0].command_line.contains("leave_leader"), "{left:?}");
    });
}

#[test]
fn a_process_that_has_lost_its_first_thread_is_reaped() {
    let world = World::new();
    let running = leaving_a_leaderless_process(&world).args([",", "pause"]).start();
    wait_for("the daemon", || running.stdout().contains("wait_file").then_some(()));
    let run = RunDir::open(running.out()).and_then(|run| run.manifest()).expect("a manifest");
    running.signal(Signal::SIGKILL);
    assert_eq!(running.finish().code, None);
    let reaped = Invocation::new(&world, "reap", "reap").finish();
    reaped.assert_code(0);
    assert!(!traces::cgroups().join("belljar").join(&run.run).exists());
    // Whoever inherited it has to notice that it has ended.
    wait_for("the process to be gone", || {
        traces::processes(run.uid).next().is_none().then_some(())
    });
}

/// Deeper than descriptors and paths reach.
const DEEP: &str = "2500";

#[test]
fn a_tree_deeper_than_any_path_is_removed_with_the_run() {
    until_whole(|| {
        let world = World::new();
        // Deeper than probes climb nothing is granted, so only `observe` lets it be made.
        let run = Invocation::run(&world, "run").tier(0, "observe").args(["--"]);
        let ended = run.args([world.actor()]).args(["deepen", DEEP, "d"]).finish();
        assert!(ended.stdout.contains("\"ok\""), "{}", ended.stdout);
        assert_gone(&ended);
        ended.assert_code(80);
    });
}

#[test]
fn the_files_of_a_run_are_reaped_also_where_its_cgroup_is_gone() {
    if in_machine() {
        return skip("how files are removed depends on no kernel: tried on the host alone");
    }
    let world = World::new();
    let run = Invocation::run(&world, "run").tier(0, "enforce").args(["--"]);
    let running = run.args([world.actor()]).args(["deepen", DEEP, "d", ",", "pause"]).start();
    wait_for("the tree", || running.stdout().contains("deepen").then_some(()));
    let run = RunDir::open(running.out()).and_then(|run| run.manifest()).expect("a manifest");
    running.signal(Signal::SIGKILL);
    assert_eq!(running.finish().code, None);
    let cgroup = traces::cgroups().join("belljar").join(&run.run);
    wait_for("the spawner to end the run and its cgroup to be removed", || {
        for leaf in fs::read_dir(&cgroup).into_iter().flatten().flatten() {
            // Busy until the last process is gone; its files are no directories.
            let _ = fs::remove_dir(leaf.path());
        }
        let _ = fs::remove_dir(&cgroup);
        (!cgroup.exists()).then_some(())
    });
    assert!(traces::stage(&run.run).exists());
    let reaped = Invocation::new(&world, "reap", "reap").finish();
    reaped.assert_code(0);
    assert!(reaped.stdout.lines().any(|line| line == run.run), "{:?}", reaped.stdout);
    assert!(!traces::stage(&run.run).exists());
}

#[test]
fn shared_memory_is_the_runs_own_and_working_there_is_work() {
    if in_machine() {
        return skip("a directory that is bound in depends on no kernel: tried on the host alone");
    }
    until_whole(|| {
        let world = World::new();
        let shared = Path::new("/dev/shm").join(format!("bjt-{}", std::process::id()));
        fs::write(&shared, "the host's").expect("root may");
        let kept = shared.with_extension("kept");
        let ended = Invocation::run(&world, "run")
            .tier(0, "enforce")
            .args(["--"])
            .args([world.actor()])
            // The same name as the host's file, in another directory.
            .args(words([&"touch", &shared, &",", &"unlink", &shared, &",", &"touch", &kept]))
            .finish();
        let hosts = fs::read_to_string(&shared);
        fs::remove_file(&shared).expect("root may");
        assert_eq!(hosts.ok().as_deref(), Some("the host's"));
        assert!(!kept.exists());
        assert_eq!(ended.stdout.matches("\"outcome\":\"ok\"").count(), 3, "{}", ended.stdout);
        assert_gone(&ended);
        let record = ended.record();
        let removed: Vec<_> = record.of(Verb::Unlink).collect();
        assert_eq!(removed.len(), 1);
        assert_eq!(removed[0].object.label, "workspace", "{removed:?}");
        ended.assert_code(0);
    });
}
