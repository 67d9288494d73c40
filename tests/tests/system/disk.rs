//! A disk that fills up, a directory that cannot be written, an address that is taken.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tests::{
    in_machine,
    record::Record,
    run::{Ended, Invocation},
    skip, traces,
    world::{World, belljar},
};

const ON_THE_HOST: &str = "what a full disk does depends on no kernel: tried on the host alone";

/// A run on a disk of its own, which nobody else sees, and a copy of its directory: the disk is gone
/// with the run.
fn run_on_disk(world: &World, size: &str, command: &[&str]) -> (Ended, PathBuf) {
    let (disk, copy) = (world.path("disk"), world.path("copy"));
    for directory in [&disk, &copy] {
        fs::create_dir(directory).expect("the world is writable");
    }
    let script = world.path("on-disk");
    let text = format!(
        "#!/bin/sh\nexec unshare --mount --propagation private sh -c '\n\
         mount -t tmpfs -o size={size},mode=0755 tmpfs \"{disk}\" || exit 99\n\
         \"{belljar}\" \"$@\"\ncode=$?\ncp -a \"{disk}/.\" \"{copy}\"\nexit $code' sh \"$@\"\n",
        disk = disk.display(),
        belljar = belljar().display(),
        copy = copy.display(),
    );
    fs::write(&script, text).expect("the world is writable");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("root owns it");
    // Whose disk is another than the observer's must bring its own.
    let ended = Invocation::new(world, "run", "run")
        .binary(&script)
        .args(["--observer", "own", "--no-metrics", "--command-seconds", "60", "--key"])
        .args([world.path("key/signing.key").as_os_str(), "--out".as_ref()])
        .args([disk.join("run").as_os_str(), "--".as_ref()])
        .args(command)
        .finish();
    (ended, copy.join("run"))
}

fn can_mount_alone() -> bool {
    let unshare = Command::new("unshare").args(["--mount", "true"]).status();
    unshare.is_ok_and(|status| status.success())
}

/// Whether a file of lines ends with a whole one.
fn ends_whole(path: &Path) -> bool {
    fs::read(path).expect("it is there").ends_with(b"\n")
}

#[test]
fn a_run_that_fills_the_disk_is_ended_as_invalid_with_all_lines_whole() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    if !can_mount_alone() {
        return skip("no mount namespace of its own can be had here");
    }
    let world = World::new();
    let endless = ["sh", "-c", "while :; do rm -f missing; done"];
    let (ended, out) = run_on_disk(&world, "3m", &endless);
    ended.assert_code(81);
    let record = Record::read(&out);
    assert_eq!(record.verdict(), "invalid");
    let reasons = record.report["invalid_reasons"].to_string();
    assert!(reasons.contains("The observer could not go on"), "{reasons}");
    assert!(reasons.contains("No space left on device"), "{reasons}");
    assert!(record.effects.len() > 1000, "{}", record.effects.len());
    assert!(ends_whole(&out.join("effects.jsonl")) && ends_whole(&out.join("transcript.jsonl")));
    let verified = Invocation::new(&world, "verify", "verify").args([&out]).finish();
    assert!(verified.assert_code(0).stdout.contains("whole"), "{}", verified.stdout);
    assert!(!out.join(".reserve").exists());
    traces::assert_none(&record.manifest);
}

#[test]
fn a_disk_without_room_for_a_verdict_is_named_before_anything_starts() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    if !can_mount_alone() {
        return skip("no mount namespace of its own can be had here");
    }
    let world = World::new();
    let (ended, out) = run_on_disk(&world, "512k", &["true"]);
    ended.assert_code(73).assert_stderr("take room").assert_stderr("No space left on device");
    assert!(!ended.stderr.contains("loading probes"), "{}", ended.stderr);
    assert_eq!(fs::read_dir(out).map_or(0, Iterator::count), 0);
}

#[test]
fn a_directory_that_cannot_be_made_and_an_address_that_is_taken_are_named_with_a_way_out() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let unwritable = Invocation::new(&world, "unwritable", "run")
        .args(["--observer", "own", "--out", "/proc/belljar-test/run", "--key"])
        .args([world.path("key/signing.key")])
        .args(["--", "true"])
        .finish();
    unwritable.assert_code(73).assert_stderr("/proc/belljar-test");
    let taken = TcpListener::bind("127.0.0.1:0").expect("there are ports left");
    let address = taken.local_addr().expect("it is bound").to_string();
    let ended =
        Invocation::run_alone(&world, "taken").args(["--metrics", &address, "--", "true"]).finish();
    ended.assert_code(73).assert_stderr(&address).assert_stderr("--no-metrics");
    assert!(!ended.out.exists(), "a run that did not start left a directory");
}
