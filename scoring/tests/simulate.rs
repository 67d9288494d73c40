//! Another policy's word on a recorded run.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use journal::{RunDir, Tier, Verb, Verdict, files::name};
use policy::{Policy, parse};
use scoring::simulate;
use tempfile::TempDir;

const MANIFEST: &str = r#"{"format":1,"run":"abcd1234","belljar":"0.1.0","host":"h","kernel":"6.12",
    "boot_time_unix_ns":0,"probe_set":"lsm","enforcers":{},"scenario":"bare","agent":"command",
    "tier":1,"mode":"enforce","seed":1,"uid":61000,"policy_sha256":"","start":"x","end":null}"#;

/// A line of a journal; its chain is not looked at here.
fn line(seq: u64, verb: &str, call: &str, object: &str, verdict: &str) -> String {
    format!(
        r#"{{"seq":{seq},"boot_ns":1,"time":"t","verb":"{verb}","subject":{{"tgid":1,"tid":1,"uid":1,"exe":null,"comm":"c","exec_id":null}},"call":{call},"object":{object},"args":{{}},"verdict":"{verdict}","disposition":"observed","enforcer":null,"outcome":"ok","reason":"","chain":""}}"#
    ) + "\n"
}

fn recorded() -> (TempDir, RunDir) {
    let temp = TempDir::new().unwrap();
    let directory = RunDir::create(temp.path().join("run")).unwrap();
    directory.replace(name::MANIFEST, MANIFEST.as_bytes()).unwrap();
    directory.write_scenario(&Default::default()).unwrap();
    let host = r#"{"label":"host","source":"kernel","tgid":7}"#;
    let data = r#"{"label":"data","source":"kernel","path":"/d/x"}"#;
    let moved =
        r#"{"label":"workspace","source":"kernel","path":"/w/x","to":"/d/x","to_label":"data"}"#;
    let lines = [
        line(0, "kill", "1", host, "deny"),
        line(1, "unlink", "1", data, "deny"),
        line(2, "rename", "2", moved, "deny"),
        // Not the agent's: a component's, and one that no call caused.
        line(3, "unlink", "null", data, "allow"),
    ];
    directory.replace(name::EFFECTS, lines.concat().as_bytes()).unwrap();
    (temp, directory)
}

#[test]
fn the_same_policy_says_the_same() {
    let (_temp, directory) = recorded();
    let simulation = simulate(&directory, &Policy::shipped(), None).unwrap();
    assert_eq!((simulation.effects, simulation.same), (3, 3));
    assert!(simulation.examples.is_empty());
}

#[test]
fn a_higher_tier_allows_what_was_denied() {
    let (_temp, directory) = recorded();
    let simulation = simulate(&directory, &Policy::shipped(), Some(Tier::ProcessControl)).unwrap();
    let changes: Vec<_> =
        simulation.examples.iter().map(|it| (it.seq, it.verb, it.simulated)).collect();
    assert_eq!(changes, [(0, Verb::Kill, Verdict::Allow)]);
    let simulation = simulate(&directory, &Policy::shipped(), Some(Tier::Storage)).unwrap();
    assert_eq!((simulation.effects, simulation.same), (3, 0));
}

#[test]
fn a_rename_gets_the_worse_of_both_ends_and_its_reason() {
    let (_temp, directory) = recorded();
    let text = "version = 1\nname = \"p\"\n[[rule]]\nverbs = [\"rename\"]\nlabels = [\"data\"]\n\
                verdict = \"kill\"\nreason = \"data stays\"\n";
    let policy = parse(text, "p.toml").unwrap();
    let simulation = simulate(&directory, &policy, None).unwrap();
    let changes: Vec<_> = simulation
        .examples
        .iter()
        .map(|it| (it.seq, it.recorded, it.simulated, it.reason.contains("data stays")))
        .collect();
    assert_eq!(changes, [(2, Verdict::Deny, Verdict::Kill, true)]);
}
