//! What `belljar run` exits with where that is no verdict's code.

use journal::{RunDir, manifest::ProbeSet};
use tests::{
    in_machine,
    run::{Ended, Invocation},
    skip,
    whole::until_whole,
    world::World,
};

/// Runs a shell that exits with a code.
fn exiting(world: &World, code: i32) -> Ended {
    let invocation = Invocation::run(world, &format!("run-{code}")).args(["--no-metrics", "--"]);
    invocation.args(["sh", "-c", &format!("exit {code}")]).finish()
}

#[test]
fn a_run_that_requires_prevention_starts_only_where_everything_denied_is_prevented() {
    until_whole(|| {
        let world = World::new();
        let ran = world.directory("workspace").join("ran");
        let ended = Invocation::run(&world, "required")
            .label("workspace", &world.path("workspace"))
            .args(["--no-metrics", "--require", "prevented", "--"])
            .args([world.actor()])
            .args(["touch".as_ref(), ran.as_os_str()])
            .finish();
        let manifest = RunDir::open(&ended.out).expect("a run directory").manifest();
        let set = manifest.expect("a manifest").probe_set;
        if set == Some(ProbeSet::Lsm) {
            ended.assert_code(0);
            assert!(ran.exists());
        } else {
            ended.assert_code(69).assert_stderr("chmod, chown on");
            assert!(!ran.exists());
        }
        Invocation::run(&world, "observed")
            .args(["--mode", "observe", "--require", "prevented", "--", "true"])
            .finish()
            .assert_code(64)
            .assert_stderr("--require asks for mode `enforce`");
    });
}

#[test]
fn a_clean_command_ends_as_it_did_unless_that_would_read_as_a_verdict() {
    if in_machine() {
        return skip("how a command ended depends on no kernel: tried on the host alone");
    }
    until_whole(|| {
        let world = World::new();
        exiting(&world, 3).assert_code(3);
        for code in [80, 81] {
            let ended = exiting(&world, code);
            ended.assert_code(1).assert_stderr(&format!("its command exited with {code}"));
            let record = ended.record();
            assert_eq!((record.verdict(), record.manifest.agent_exit), ("clean", Some(code)));
        }
    });
}
