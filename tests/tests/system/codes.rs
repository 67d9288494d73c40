//! What `belljar run` exits with where that is no verdict's code.

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
