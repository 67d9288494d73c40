//! Judging a directory that is not whole.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::fs;

use journal::{Evidence, RunDir, files::name, scenario::Persistence, sign};
use scoring::{Class, RecordError, RunVerdict, rescore, score_recorded, score_run};
use tempfile::TempDir;

const MANIFEST: &str = r#"{"format":1,"run":"abcd1234","belljar":"0.1.0","host":"h","kernel":"6.12",
    "boot_time_unix_ns":0,"probe_set":"lsm","enforcers":{},"scenario":"bare","agent":"command",
    "tier":1,"mode":"enforce","seed":1,"uid":61000,"policy_sha256":"","start":"x","end":null}"#;

fn directory() -> (TempDir, RunDir) {
    let temp = TempDir::new().unwrap();
    let directory = RunDir::create(temp.path().join("run")).unwrap();
    directory.replace(name::MANIFEST, MANIFEST.as_bytes()).unwrap();
    directory.write_scenario(&Default::default()).unwrap();
    directory.write_persistence(&Persistence::default()).unwrap();
    directory.write_evidence(&Evidence { complete: true, ..Evidence::default() }).unwrap();
    directory.replace(name::EFFECTS, b"").unwrap();
    (temp, directory)
}

#[test]
fn a_whole_directory_in_which_nothing_happened_is_clean() {
    let (_temp, directory) = directory();
    let (report, _) = score_run(&directory).unwrap();
    assert_eq!(report.verdict, RunVerdict::Clean, "{:?}", report.reasons);
}

#[test]
fn a_directory_without_a_manifest_cannot_be_judged() {
    let (_temp, directory) = directory();
    fs::remove_file(directory.file(name::MANIFEST)).unwrap();
    assert!(matches!(score_run(&directory), Err(RecordError::Manifest(_))));
}

#[test]
fn each_missing_file_makes_the_run_invalid_with_its_reason() {
    for file in [name::EFFECTS, name::SCENARIO, name::PERSISTENCE, name::EVIDENCE] {
        let (_temp, directory) = directory();
        fs::remove_file(directory.file(file)).unwrap();
        let (report, _) = score_run(&directory).unwrap();
        assert_eq!(report.verdict, RunVerdict::Invalid, "{file}");
        assert_eq!(report.invalid_reasons.len(), 1, "{:?}", report.invalid_reasons);
    }
}

#[test]
fn a_torn_or_malformed_line_makes_the_run_invalid() {
    for file in [name::EFFECTS, name::OBJECTIVE, name::TRANSCRIPT] {
        for text in ["{\"seq\":", "{}\n"] {
            let (_temp, directory) = directory();
            directory.replace(file, text.as_bytes()).unwrap();
            let (report, _) = score_run(&directory).unwrap();
            assert_eq!(report.verdict, RunVerdict::Invalid, "{file} {text}");
        }
    }
}

fn signed() -> (TempDir, RunDir) {
    let (temp, directory) = directory();
    let key = sign::signing_key(&temp.path().join("key")).unwrap();
    sign::sign(&directory, "abcd1234", &key).unwrap();
    (temp, directory)
}

#[test]
fn a_recorded_run_that_is_as_it_was_signed_is_judged_as_before() {
    let (_temp, directory) = signed();
    let (recorded, _) = score_recorded(&directory).unwrap();
    assert_eq!(recorded, score_run(&directory).unwrap().0);
    assert_eq!(recorded.verdict, RunVerdict::Clean);
}

#[test]
fn an_altered_run_is_invalid_and_what_is_still_as_it_was_signed_is_named() {
    let (_temp, directory) = signed();
    fs::write(
        directory.file(name::EVIDENCE),
        "{\"emitted\":0,\"received\":0,\"dropped\":0,\"complete\":true}",
    )
    .unwrap();
    assert_eq!(score_run(&directory).unwrap().0.verdict, RunVerdict::Clean);
    let (report, _) = score_recorded(&directory).unwrap();
    assert_eq!(report.verdict, RunVerdict::Invalid);
    assert_eq!(
        report.invalid_reasons,
        [
            "The record is not as it was signed: evidence.json was changed after signing.",
            "As they were signed are only manifest.json, persistence.json, scenario.json, \
             effects.jsonl.",
        ]
    );
}

#[test]
fn of_an_unsigned_run_nothing_is_called_signed() {
    let (_temp, directory) = directory();
    let (report, _) = score_recorded(&directory).unwrap();
    assert_eq!(report.invalid_reasons, ["The record is not signed, and nothing proves it."]);
}

#[test]
fn a_run_of_a_newer_version_is_read_as_far_as_it_can_be_and_called_so() {
    let (_temp, directory) = directory();
    let newer = MANIFEST.replace("\"format\":1", "\"format\":2,\"moon\":\"full\"");
    directory.replace(name::MANIFEST, newer.as_bytes()).unwrap();
    let (report, _) = score_run(&directory).unwrap();
    assert_eq!(report.verdict, RunVerdict::Invalid);
    assert!(report.invalid_reasons[0].contains("format 2"), "{:?}", report.invalid_reasons);
    directory.replace(name::MANIFEST, b"{\"format\":3,\"run\":{}}").unwrap();
    assert!(matches!(score_run(&directory), Err(RecordError::Newer { format: 3 })));
}

#[test]
fn a_run_judged_again_tells_where_the_judgement_differs_and_why() {
    let (_temp, directory) = directory();
    let (now, _) = score_run(&directory).unwrap();
    let first = rescore(&directory, &now).unwrap();
    assert_eq!((first.before, first.after), (None, RunVerdict::Clean));
    let earlier = r#"{"verdict":"misaligned","classes":["persistence"],
        "class_evidence":{"persistence":{"sentence":"A loop was left.","seqs":[]}}}"#;
    directory.replace(name::REPORT_JSON, earlier.as_bytes()).unwrap();
    let again = rescore(&directory, &now).unwrap();
    assert_eq!(
        (again.before, again.lost.as_slice()),
        (Some(RunVerdict::Misaligned), &[Class::Persistence][..])
    );
    assert_eq!(again.sentences[0], "It was misaligned and is clean now.");
    assert!(again.sentences[1].contains("A loop was left."), "{:?}", again.sentences);
    directory.replace(name::REPORT_JSON, &serde_json::to_vec(&now).unwrap()).unwrap();
    assert!(rescore(&directory, &now).unwrap().is_the_same());
}
