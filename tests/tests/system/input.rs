//! What bad input gets: an exit code, a message with the nearest name, and nothing started.

use std::{fs, os::unix::fs::PermissionsExt as _};

use tests::{
    in_machine,
    run::{Ended, Invocation},
    skip, traces,
    world::World,
};

use crate::denied::public_binary;

/// Runs `belljar run` with these words; checks the exit code, that all texts are in the message, and
/// that no run directory was made.
#[track_caller]
fn refused(world: &World, words: &[&str], code: i32, texts: &[&str]) {
    let ended = Invocation::run(world, "refused").args(words).finish();
    ended.assert_code(code);
    for text in texts {
        ended.assert_stderr(text);
    }
    assert!(!ended.stderr.contains("loading probes"), "{}", ended.stderr);
    assert!(!ended.out.exists(), "{words:?} made a run directory");
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
}

#[test]
fn names_that_nobody_has_are_told_with_the_nearest_one_before_anything_starts() {
    let world = World::new();
    let run = |words: &[&str], code, texts: &[&str]| refused(&world, words, code, texts);
    run(&["--scenario", "thruput", "--", "true"], 64, &["thruput", "throughput"]);
    run(&["--agent", "organism:honst"], 64, &["honst", "honest"]);
    run(&["--agent", "organism:nope"], 64, &["nope", "belljar organism list"]);
    run(&["--agent", "robot:x"], 64, &["robot:x", "organism:NAME"]);
    run(&["--tier", "9", "--", "true"], 64, &["no tier 9", "0 (work) to 5"]);
    run(&["--mode", "enforced", "--", "true"], 64, &["enforced", "enforce"]);
    run(&["--label", "dta=/tmp", "--", "true"], 64, &["dta", "data"]);
    run(&["--label", "data=/does/not/exist", "--", "true"], 65, &["/does/not/exist"]);
    run(&["--env", "NAME", "--", "true"], 64, &["NAME=VALUE"]);
    run(&["--teir", "1", "--", "true"], 64, &["--tier"]);
    run(&[], 64, &["no agent"]);
    run(&["--agent", "organism:/does/not/exist.toml"], 65, &["/does/not/exist.toml"]);
    run(&["--policy", "/does/not/exist.toml", "--", "true"], 65, &["/does/not/exist.toml"]);
    let ended = Invocation::new(&world, "refused", "reprot").finish();
    ended.assert_code(64).assert_stderr("report");
}

#[test]
fn mistakes_in_files_are_told_with_line_and_nearest_name_before_anything_starts() {
    let world = World::new();
    let file = |name: &str, text: &str| {
        let path = world.path(name);
        fs::write(&path, text).expect("the world is writable");
        path.to_str().expect("the world's path is UTF-8").to_owned()
    };
    let policy = file(
        "policy.toml",
        "version = 1\nname = \"x\"\n\n[[rule]]\nverbs = [\"unlnk\"]\nlabels = [\"dta\"]\n\
         verdikt = \"deny\"\nreason = \"why\"\n",
    );
    let texts = ["policy.toml:5", "unlnk", "unlink", "dta", "data", "verdikt", "verdict"];
    refused(&world, &["--policy", &policy, "--", "true"], 65, &texts);
    let organism = file(
        "organism.toml",
        "version = 1\nname = \"x\"\ndoc = \"d\"\ndisposition = \"d\"\n\n[[step]]\ntool = \"shel\"\n\
         arguments = { command = \"true\" }\n",
    );
    let agent = format!("organism:{organism}");
    refused(&world, &["--agent", &agent], 65, &["organism.toml:7", "shel", "shell"]);
}

#[test]
fn a_run_directory_that_holds_something_is_not_written_to() {
    let world = World::new();
    let out = world.path("runs/refused");
    fs::create_dir(&out).expect("the world is writable");
    fs::write(out.join("kept"), "").expect("the world is writable");
    let ended = Invocation::run(&world, "refused").args(["--", "true"]).finish();
    ended.assert_code(73).assert_stderr("not empty");
    assert_eq!(fs::read_dir(&out).expect("root may list it").count(), 1);
}

#[test]
fn without_privilege_a_run_says_what_it_needs_and_the_rest_still_works() {
    let world = World::new();
    let binary = public_binary(&world);
    let out = world.directory("out").join("run");
    let ended = Invocation::new(&world, "run", "run")
        .binary(&binary)
        .args(["--out".as_ref(), out.as_os_str()])
        .args(["--", "true"])
        .uid(65_534)
        .finish();
    ended.assert_code(77).assert_stderr("root");
    assert!(!out.exists());
    for words in [["policy", "default"], ["scenario", "list"], ["organism", "list"]] {
        let invocation = Invocation::new(&world, "rest", words[0]).binary(&binary);
        invocation.args(&words[1..]).uid(65_534).finish().assert_code(0);
    }
}

/// A program that cannot run: the exit code is a shell's, and the run directory tells.
#[track_caller]
fn cannot_run(ended: &Ended, code: i32, errno: &str) {
    ended.assert_code(code);
    let record = ended.record();
    assert_eq!(record.verdict(), "invalid");
    let reasons = record.report["invalid_reasons"].to_string();
    assert!(reasons.contains("never began"), "{reasons}");
    let execs: Vec<_> = record.effects.iter().map(|effect| effect.outcome.as_deref()).collect();
    assert!(execs.contains(&Some(errno)), "{execs:?}");
    traces::assert_none(&record.manifest);
}

#[test]
fn a_program_that_cannot_be_executed_ends_as_in_a_shell() {
    if in_machine() {
        return skip("how a command ended depends on no kernel: tried on the host alone");
    }
    let world = World::new();
    let run = |name: &str, program: &std::path::Path| {
        let invocation = Invocation::run(&world, name).tier(0, "enforce");
        invocation.args(["--no-metrics", "--"]).args([program]).finish()
    };
    cannot_run(&run("missing", &world.path("missing")), 127, "ENOENT");
    let plain = world.file("plain");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).expect("root owns the world");
    cannot_run(&run("plain", &plain), 126, "EACCES");
}

#[test]
fn an_explanation_begins_with_what_it_explains() {
    let world = World::new();
    let invocation = Invocation::new(&world, "explain", "policy");
    let ended = invocation.args(["explain", "--tier", "2", "--probes", "tracepoint"]).finish();
    let first = ended.assert_code(0).stdout.lines().next();
    assert_eq!(first, Some("default at tier 2 (process control), tracepoint probes"));
}
