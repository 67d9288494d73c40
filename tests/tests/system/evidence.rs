//! What an auditor does with a run directory: key, verification, proofs, reports of what was altered.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tests::{
    in_machine,
    run::{Ended, Invocation},
    skip,
    whole::until_whole,
    world::{World, words},
};

use crate::{denied::public_binary, endings::UNLINKED};

const NOBODY: u32 = 65_534;

/// A run costs many seconds in a machine.
const ON_THE_HOST: &str = "what is done with directories depends on no kernel: tried on the host";

/// `belljar WORDS…`.
fn belljar<S: AsRef<std::ffi::OsStr>>(
    world: &World,
    subcommand: &str,
    words: impl IntoIterator<Item = S>,
) -> Ended {
    Invocation::new(world, subcommand, subcommand).args(words).finish()
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).expect("it prints JSON")
}

/// A run that tries to remove a file, at a tier that does not grant it.
fn overreaching(world: &World, name: &str) -> PathBuf {
    let file = world.file("data/file");
    let ended = Invocation::run(world, name)
        .tier(0, "enforce")
        .label("data", &world.path("data"))
        .args(["--no-metrics", "--"])
        .args([world.actor()])
        .args(words([&"unlink", &file]))
        .finish();
    ended.assert_code(80);
    ended.out
}

fn clean(world: &World, name: &str) -> PathBuf {
    let ended = Invocation::run(world, name).args(["--no-metrics", "--", "true"]).finish();
    ended.assert_code(0);
    ended.out
}

#[test]
fn a_key_is_made_shown_and_rotated_and_is_never_anybody_elses() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let file = world.path("keys/signing.key");
    let key = |words: &[&str]| {
        belljar(&world, "key", [words, &["--key", file.to_str().expect("it is text")]].concat())
    };
    key(&["show"]).assert_code(78).assert_stderr("belljar key new");
    let digits = key(&["new"]).assert_code(0).stdout.trim().to_owned();
    assert!(digits.len() == 64 && digits.bytes().all(|it| it.is_ascii_hexdigit()), "{digits}");
    key(&["new"]).assert_code(73);
    assert_eq!(key(&["show"]).assert_code(0).stdout.trim(), digits);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    let rotated = key(&["rotate"]);
    let rotated = rotated.assert_code(0).stdout.clone();
    assert!(!rotated.starts_with(&digits) && rotated.contains(&digits), "{rotated}");
    let shown = json(key(&["show", "--json"]).assert_code(0));
    assert_eq!(shown["rotations"].as_array().map(Vec::len), Some(1), "{shown}");
    let everything = fs::read(&file).expect("root may");
    assert!(!key(&["show", "--json"]).stdout.contains(&hex(&everything[..32])), "the secret half");

    let as_nobody = Invocation::new(&world, "as-nobody", "key").binary(&public_binary(&world));
    let as_nobody = as_nobody.args(["show", "--key"]).args([&file]).uid(NOBODY).finish();
    as_nobody.assert_code(77);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("root owns it");
    key(&["show"]).assert_code(78).assert_stderr("0600");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_run_verifies_against_its_key_and_after_rotations_against_the_record() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let run = clean(&world, "run");
    let file = world.path("key/signing.key");
    let key = |word: &str| belljar(&world, "key", words([&word, &"--json", &"--key", &file]));
    let verify = |key: &str| belljar(&world, "verify", words([&run, &"--public-key", &key]));
    let first = json(key("show").assert_code(0))["public_key"].clone();
    let first = first.as_str().expect("it is digits").to_owned();
    assert!(verify(&first).assert_code(0).stdout.contains("whole"));
    let rotated = key("rotate");
    rotated.assert_code(0);
    let second = json(&rotated)["public_key"].as_str().expect("it is digits").to_owned();
    verify(&second).assert_code(65);
    let record = world.path("key.json");
    fs::write(&record, &rotated.stdout).expect("the world is writable");
    let verified = verify(record.to_str().expect("it is text"));
    assert!(verified.assert_code(0).stdout.contains("rotated"), "{}", verified.stdout);
    // A later run brings the record along, so that the first key recognises it.
    let later = clean(&world, "later");
    let verified = belljar(&world, "verify", words([&later, &"--public-key", &first]));
    assert!(verified.assert_code(0).stdout.contains("rotated"), "{}", verified.stdout);
    verify("no digits").assert_code(64);
}

#[test]
fn one_effect_is_proved_to_who_has_no_run_directory() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let run = overreaching(&world, "run");
        let effects = fs::read_to_string(run.join("effects.jsonl")).expect("it is there");
        let line = effects.lines().find(|line| line.contains(UNLINKED)).expect("it is there");
        let effect: Value = serde_json::from_str(line).expect("it is JSON");
        let seq = effect["seq"].to_string();
        let proof = world.path("proof.json");
        let prove = |seq: &str| {
            belljar(&world, "verify", words([&run, &"--effect", &seq, &"--proof", &proof]))
        };
        assert!(prove(&seq).assert_code(0).stdout.contains("proved"));
        prove(&seq).assert_code(73);
        fs::rename(&run, world.path("elsewhere")).expect("root may");
        let check = || belljar(&world, "verify", [&proof]);
        let checked = check();
        let text = &checked.assert_code(0).stdout;
        assert!(
            text.contains(&format!("proved: effect {seq}")) && text.contains("unlink"),
            "{text}"
        );
        fs::rename(world.path("elsewhere"), &run).expect("root may");

        let whole = fs::read_to_string(&proof).expect("it is there");
        fs::write(&proof, whole.replace("unlink", "rename")).expect("root may");
        check().assert_code(65);
        fs::write(&proof, "{}").expect("root may");
        check().assert_code(65).assert_stderr("neither a run directory nor a proof");
        fs::remove_file(&proof).expect("root may");
        prove("999999").assert_code(65);
        // Nothing is proved of a run that is not whole.
        fs::write(run.join("effects.jsonl"), effects.replace("unlink", "rename"))
            .expect("root may");
        prove(&seq).assert_code(65);
        assert!(!proof.exists());
    });
}

#[test]
fn two_runs_are_told_apart() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let (a, b) = (clean(&world, "a"), overreaching(&world, "b"));
        let diff = |words: Vec<std::ffi::OsString>| belljar(&world, "report", words);
        let told = diff(words([&"diff", &a, &b]));
        let text = &told.assert_code(0).stdout;
        assert!(text.contains("misaligned") && text.contains("unlink"), "{text}");
        let told = diff(words([&"diff", &a, &b, &"--json"]));
        assert!(json(told.assert_code(0)).is_object());
        let same = diff(words([&"diff", &a, &a]));
        same.assert_code(0);
        assert!(!same.stdout.contains("unlink"), "{}", same.stdout);
        fs::write(b.join("policy.toml"), "").expect("root may");
        let altered = diff(words([&"diff", &a, &b]));
        altered.assert_code(65).assert_stderr("/b: policy.toml was changed after signing");
        assert!(!altered.stdout.is_empty());
    });
}

#[test]
fn a_report_on_an_altered_run_says_what_can_be_trusted_and_ends_with_65() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let run = overreaching(&world, "run");
        let report = |form: &str| belljar(&world, "report", words([&form, &run]));
        for form in ["text", "json", "html"] {
            report(form).assert_code(0);
        }
        fs::write(run.join("evidence.json"), "{}").expect("root may");
        for form in ["text", "json", "html"] {
            let told = report(form);
            told.assert_code(65).assert_stderr("evidence.json was changed after signing");
            told.assert_stderr("still as it was signed").assert_stderr("effects.jsonl");
            assert!(told.stdout.contains("invalid"), "{}", told.stdout);
            assert!(told.stdout.contains("As they were signed are only"), "{}", told.stdout);
        }
        fs::remove_file(run.join("journal.sig")).expect("root may");
        let told = report("text");
        told.assert_code(65).assert_stderr("nothing of it is known to be as it was");
        // A newer version's directory, as far as it can be read.
        let newer = clean(&world, "newer");
        let manifest = fs::read_to_string(newer.join("manifest.json")).expect("it is there");
        let manifest = manifest.replace("\"format\": 1", "\"format\": 2");
        fs::write(newer.join("manifest.json"), manifest).expect("root may");
        let told = belljar(&world, "report", words([&"text", &newer]));
        told.assert_code(65);
        assert!(told.stdout.contains("format 2"), "{}", told.stdout);
        fs::remove_file(newer.join("manifest.json")).expect("root may");
        let told = belljar(&world, "report", words([&"text", &newer]));
        told.assert_code(65).assert_stderr("no manifest");
    });
}
