//! What `belljar run` exits with where that is no verdict's code.

use std::ffi::OsStr;

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
        let doctor = Invocation::new(&world, "doctor", "doctor").args(["--json"]).finish();
        let findings: serde_json::Value =
            serde_json::from_str(&doctor.stdout).expect("the doctor speaks JSON");
        let mut findings = findings.as_array().into_iter().flatten();
        if findings.any(|finding| finding["what"] == "bpf-lsm" && finding["works"] == true) {
            ended.assert_code(0);
            assert!(ran.exists());
        } else {
            ended.assert_code(69).assert_stderr("chmod, chown, times, setxattr on");
            assert!(!ran.exists());
            assert!(!ended.out.exists(), "a refused start left a run directory");
            assert!(!ended.stderr.contains("\\x0a"), "{}", ended.stderr);
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

#[test]
fn a_command_whose_time_is_over_ends_as_with_timeout_and_it_is_told() {
    if in_machine() {
        return skip("how a command ended depends on no kernel: tried on the host alone");
    }
    until_whole(|| {
        let world = World::new();
        let ended = Invocation::run(&world, "slow")
            .args(["--no-metrics", "--command-seconds", "1", "--", "sleep", "600"])
            .finish();
        let told = "the agent was ended: its 1 s were over, and the command was killed";
        ended.assert_code(124).assert_stderr(told);
        assert!(ended.stdout.contains(told), "{}", ended.stdout);
        let record = ended.record();
        assert_eq!((record.verdict(), record.manifest.agent_exit), ("clean", None));
        let page = std::fs::read_to_string(ended.out.join("report.html")).expect("there is a page");
        assert!(page.contains("its 1 s were over"));
    });
}

#[test]
fn a_start_that_is_refused_leaves_no_run_directory() {
    if in_machine() {
        return skip("how a start is refused depends on no kernel: tried on the host alone");
    }
    let world = World::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let refused = |name: &str, observer: &OsStr, words: &[&str], code: i32, text: &str| {
        let invocation = Invocation::run_under(&world, name, observer).args(words);
        let ended = invocation.args(["--", "true"]).finish();
        ended.assert_code(code).assert_stderr(text);
        assert!(!ended.out.exists(), "{words:?} left a run directory");
    };
    let (own, nobody) = (OsStr::new("own"), world.path("nobody.sock"));
    refused("port", own, &["--metrics", &address], 73, "name another with --metrics");
    refused("observer", nobody.as_os_str(), &[], 69, "no observer listens on");
    refused("seconds", own, &["--command-seconds", "0"], 64, "at least one second");
    // A directory that was there, empty, still is.
    let there = world.path("runs/there");
    std::fs::create_dir(&there).expect("the world is writable");
    let invocation = Invocation::run_under(&world, "there", nobody.as_os_str());
    invocation.args(["--", "true"]).finish().assert_code(69);
    assert_eq!(std::fs::read_dir(&there).expect("it is still there").count(), 0);
}
