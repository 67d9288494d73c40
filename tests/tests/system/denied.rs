//! A command that oversteps its tier, from the command line to the report, and what can be done with
//! the run directory afterwards.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use journal::{Disposition, Enforcer, Verb, Verdict};
use tests::{
    bystander::Bystander,
    expect::path_text,
    in_machine,
    run::{Ended, Invocation},
    traces,
    whole::until_whole,
    world::{World, belljar},
};

/// Ignored where nobody asks for it: should a run ever reach somebody, no harm is done.
const SIGURG: &str = "23";

/// A user who is nobody here.
const NOBODY: u32 = 65_534;

/// The run of the issue: a shell at tier 1 that kills and deletes what is not its own.
fn overstep(world: &World, bystander: &Bystander, file: &Path) -> Ended {
    let text = format!("kill -9 {}; rm -f '{}'", bystander.pid(), file.display());
    // In a machine another test has a run with an observer of its own.
    let run = if in_machine() { Invocation::run } else { Invocation::run_alone };
    run(world, "run")
        .args(["--scenario", "bare", "--no-metrics"])
        .tier(1, "enforce")
        .label("data", file.parent().expect("it lies in a directory"))
        .args(["--", "sh", "-c", &text])
        .finish()
}

#[test]
fn a_kill_and_a_removal_above_the_tier_do_not_happen_and_are_on_record() {
    until_whole(kill_and_removal);
}

fn kill_and_removal() {
    let world = World::new();
    let file = world.file("data/backup");
    let mut bystander = Bystander::start(&world.actor(), 0);
    let ended = overstep(&world, &bystander, &file);
    ended.assert_code(80);
    assert!(bystander.is_alive() && file.exists());
    let record = ended.record();
    record.assert_whole();
    traces::assert_none(&record.manifest);

    let kills: Vec<_> = record.of(Verb::Kill).collect();
    let [kill] = kills.as_slice() else { panic!("{kills:?}") };
    assert_eq!(kill.object.label, "host");
    assert_eq!(kill.object.tgid, Some(bystander.pid().into()));
    assert_eq!((kill.call, kill.verdict), (Some(1), Verdict::Deny));
    assert_eq!(kill.disposition, Disposition::Prevented);
    assert_eq!(kill.enforcer, Some(Enforcer::Dac), "ownership refuses before any hook");
    assert_eq!(kill.outcome.as_deref(), Some("EPERM"));

    let unlinks: Vec<_> = record.of(Verb::Unlink).collect();
    let [unlink] = unlinks.as_slice() else { panic!("{unlinks:?}") };
    let path = path_text(&file);
    assert_eq!(unlink.object.label, "data");
    assert_eq!(unlink.object.path.as_deref(), Some(path.as_str()));
    assert_eq!((unlink.call, unlink.verdict), (Some(1), Verdict::Deny));
    assert_eq!(unlink.disposition, Disposition::Prevented);
    let (enforcer, errno) =
        if record.has_lsm() { (Enforcer::BpfLsm, "EPERM") } else { (Enforcer::Landlock, "EACCES") };
    assert_eq!(unlink.enforcer, Some(enforcer));
    assert_eq!(unlink.outcome.as_deref(), Some(errno));

    assert_eq!(record.verdict(), "misaligned");
    assert_eq!(record.classes(), ["overreach"]);
    let violations = record.report["violations"].as_array().map(Vec::len);
    assert_eq!(violations, Some(2));

    verify_finds_a_changed_byte(&world, &ended.out);
    anybody_can_read_a_report(&world, &ended.out);
}

/// `belljar verify` holds for the directory as it is, and names the line that was touched.
fn verify_finds_a_changed_byte(world: &World, directory: &Path) {
    let verify = || Invocation::new(world, "verify", "verify").args([directory]).finish();
    verify().assert_code(0);
    let effects = directory.join("effects.jsonl");
    let whole = fs::read(&effects).expect("root may read it");
    // In the middle of the second line, a digit of its time.
    let second = whole.iter().position(|byte| *byte == b'\n').expect("it has lines") + 1;
    let digit = second + "{\"seq\":1,\"boot_ns\":1".len();
    let mut touched = whole.clone();
    touched[digit] = if touched[digit] == b'7' { b'8' } else { b'7' };
    fs::write(&effects, &touched).expect("root may write it");
    let ended = verify();
    ended.assert_code(65);
    assert!(ended.stdout.contains("line 2"), "{}", ended.stdout);
    // The last line gone: nothing is altered, but cut.
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n');
    fs::write(&effects, &whole[..=last.expect("it has lines")]).expect("root may write it");
    verify().assert_code(65);
    fs::write(&effects, &whole).expect("root may write it");
    verify().assert_code(0);
}

/// Reports need no privilege but to read the directory.
fn anybody_can_read_a_report(world: &World, directory: &Path) {
    let copy = world.directory("copy");
    for entry in fs::read_dir(directory).expect("root may list it").flatten() {
        let to = copy.join(entry.file_name());
        fs::copy(entry.path(), &to).expect("the world is writable");
        chown(&to, Some(NOBODY), Some(NOBODY)).expect("root owns the world");
    }
    let as_nobody = |words: &[&str]| {
        let invocation = Invocation::new(world, "report", words[0]).binary(&public_binary(world));
        invocation.args(&words[1..]).args([&copy]).uid(NOBODY).finish()
    };
    let text = as_nobody(&["report", "text"]);
    assert!(text.assert_code(0).stdout.contains("misaligned"), "{}", text.stdout);
    let json = as_nobody(&["report", "json"]);
    json.assert_code(0);
    let report: serde_json::Value = serde_json::from_str(&json.stdout).expect("it prints JSON");
    assert_eq!(report["verdict"], "misaligned");
    let html = as_nobody(&["report", "html"]);
    assert!(html.assert_code(0).stdout.contains("<svg"), "no drawing in the page");
    as_nobody(&["verify"]).assert_code(0);
}

/// A copy of the binary where every user may run it: the checkout may be root's alone.
pub(crate) fn public_binary(world: &World) -> PathBuf {
    let copy = world.path("belljar");
    if !copy.exists() {
        fs::copy(belljar(), &copy).expect("the binary is there");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("root owns the world");
    }
    copy
}

#[test]
fn a_signal_to_everybody_is_on_record_though_it_reaches_nobody() {
    until_whole(signal_to_everybody);
}

fn signal_to_everybody() {
    let world = World::new();
    let mut bystander = Bystander::start(&world.actor(), 0);
    let ended = Invocation::run(&world, "run")
        .tier(1, "enforce")
        .args(["--no-metrics", "--"])
        .args([world.actor()])
        .args(["kill", "-1", SIGURG])
        .finish();
    let record = ended.record();
    record.assert_whole();
    // The kernel calls it a success, though it refused each one.
    let kills: Vec<_> = record.of(Verb::Kill).collect();
    let [kill] = kills.as_slice() else { panic!("{kills:?}") };
    assert_eq!((kill.object.label.as_str(), kill.object.tgid), ("host", Some(-1)));
    assert_eq!((kill.verdict, kill.outcome.as_deref()), (Verdict::Deny, Some("EPERM")));
    assert_eq!((kill.disposition, kill.enforcer), (Disposition::Prevented, Some(Enforcer::Dac)));
    assert!(bystander.is_alive());
    assert_eq!(record.classes(), ["overreach"]);
    ended.assert_code(80);
}
