//! Run directories: how they are made, what is in them, what verification says when they change.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use ebpf_common::Verdict;
use journal::{
    Effect, RunDir,
    files::{FileError, name},
    key::KnownKey,
    reader::LineError,
    sign,
    verify::{LineProblem, Problem, verify},
    writer::EffectWriter,
};
use tempfile::TempDir;

use crate::run::{RUN, effect, signed, write_journals};

/// Changes the lines of a file, which keep their newlines.
fn edit(directory: &RunDir, name: &str, change: impl FnOnce(&mut Vec<String>)) {
    let text = directory.read_text(name).unwrap();
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    change(&mut lines);
    fs::write(directory.file(name), lines.concat()).unwrap();
}

fn line(file: &str, line: u64, what: LineProblem) -> Vec<Problem> {
    vec![Problem::Line { file: file.into(), line, what }]
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_directory_that_holds_something_is_refused() {
    let temp = TempDir::new().unwrap();
    fs::write(temp.path().join("x"), "").unwrap();
    assert!(matches!(RunDir::create(temp.path()), Err(FileError::NotEmpty { .. })));
    assert!(matches!(RunDir::create(temp.path().join("x")), Err(FileError::NotADirectory { .. })));
    assert!(matches!(RunDir::open(temp.path().join("x")), Err(FileError::NotADirectory { .. })));
    assert!(RunDir::open(temp.path().join("y")).unwrap_err().is_missing());
}

#[test]
fn a_run_directory_and_its_files_are_their_owners_alone() {
    let temp = TempDir::new().unwrap();
    let empty = temp.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(mode(RunDir::create(empty).unwrap().path()), 0o711);
    let (_temp, directory, _) = signed();
    assert_eq!(mode(directory.path()), 0o711);
    for entry in fs::read_dir(directory.path()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn effects_come_back_as_they_were_written() {
    let (_temp, directory, _) = signed();
    let effects: Vec<Effect> = directory.effects().unwrap().map(Result::unwrap).collect();
    assert_eq!(effects, (0..5).map(effect).collect::<Vec<_>>());
    assert_eq!(directory.transcript().unwrap().map(Result::unwrap).count(), 2);
}

#[test]
fn a_journal_is_never_begun_twice() {
    let (_temp, directory, _) = signed();
    assert!(EffectWriter::create(&directory, RUN).is_err());
}

#[test]
fn a_torn_last_line_is_told_and_the_lines_before_it_are_read() {
    let (_temp, directory, _) = signed();
    edit(&directory, name::EFFECTS, |lines| {
        let last = lines.last_mut().unwrap();
        last.truncate(last.len() / 2);
    });
    let effects: Vec<_> = directory.effects().unwrap().collect();
    assert_eq!(effects.iter().filter(|effect| effect.is_ok()).count(), 4);
    assert!(matches!(effects[4], Err(LineError::Torn { line: 5, .. })));
    let problems = verify(&directory, None).problems;
    assert_eq!(problems, line(name::EFFECTS, 5, LineProblem::Torn));
}

#[test]
fn a_journal_that_was_torn_when_signed_is_not_whole() {
    let (temp, directory, _) = signed();
    edit(&directory, name::EFFECTS, |lines| lines[4].truncate(20));
    let key = sign::signing_key(&temp.path().join("keys/signing.key")).unwrap();
    sign::sign(&directory, RUN, &key).unwrap();
    let problems = verify(&directory, None).problems;
    assert_eq!(problems, line(name::EFFECTS, 5, LineProblem::Torn));
    edit(&directory, name::EFFECTS, |lines| lines.truncate(4));
    let problems = verify(&directory, None).problems;
    assert_eq!(problems, line(name::EFFECTS, 5, LineProblem::MissingBefore));
    edit(&directory, name::EFFECTS, |lines| lines.push("other".into()));
    let problems = verify(&directory, None).problems;
    assert_eq!(problems, line(name::EFFECTS, 5, LineProblem::Altered));
}

#[test]
fn what_was_signed_and_left_alone_holds() {
    let (_temp, directory, signature) = signed();
    let key = KnownKey::parse(&signature.public_key).unwrap();
    let verification = verify(&directory, Some(&key));
    assert_eq!(verification.problems, []);
    assert_eq!((verification.effects, verification.transcript), (Some(5), Some(2)));
    assert!(verification.key_given && !verification.reported);
}

#[test]
fn of_a_journal_of_many_batches_each_line_counts() {
    let temp = TempDir::new().unwrap();
    let directory = RunDir::create(temp.path().join("run")).unwrap();
    write_journals(&directory, 4000, &["begin"]);
    let key = sign::signing_key(&temp.path().join("key")).unwrap();
    sign::sign(&directory, RUN, &key).unwrap();
    let verification = verify(&directory, None);
    assert_eq!((verification.problems, verification.effects), (vec![], Some(4000)));
    let whole = directory.read(name::EFFECTS).unwrap();
    assert!(whole.len() > 1024 * 1024);
    for at in (1..=4000).step_by(97) {
        edit(&directory, name::EFFECTS, |lines| lines[at - 1] = lines[at - 1].replace("rm", "mv"));
        let problems = verify(&directory, None).problems;
        assert_eq!(problems, line(name::EFFECTS, at as u64, LineProblem::Altered));
        fs::write(directory.file(name::EFFECTS), &whole).unwrap();
    }
    fs::write(directory.file(name::EFFECTS), &whole[..whole.len() - 1]).unwrap();
    assert_eq!(verify(&directory, None).problems, line(name::EFFECTS, 4000, LineProblem::Torn));
}

#[test]
fn the_signed_bytes_are_the_statement_as_the_file_spells_it() {
    let (_temp, directory, signature) = signed();
    let signed = String::from_utf8(signature.statement.signed_bytes()).unwrap();
    let statement = signed.strip_prefix("belljar journal 1\n").unwrap();
    assert!(directory.read_text(name::SIGNATURE).unwrap().contains(statement));
}

#[test]
fn the_first_altered_line_is_named() {
    let (_temp, directory, _) = signed();
    edit(&directory, name::EFFECTS, |lines| {
        lines[2] = lines[2].replace("\"deny\"", "\"allow\"");
        lines[3] = lines[3].replace("\"deny\"", "\"allow\"");
    });
    let problems = verify(&directory, None).problems;
    assert_eq!(problems, line(name::EFFECTS, 3, LineProblem::Altered));
}

#[test]
fn the_first_missing_line_is_named() {
    let (_temp, directory, _) = signed();
    edit(&directory, name::TRANSCRIPT, |lines| drop(lines.remove(0)));
    let problems = verify(&directory, None).problems;
    assert_eq!(problems, line(name::TRANSCRIPT, 1, LineProblem::MissingBefore));
}

#[test]
fn lines_that_are_missing_at_the_end_are_told() {
    let (_temp, directory, _) = signed();
    edit(&directory, name::EFFECTS, |lines| lines.truncate(3));
    let problems = verify(&directory, None).problems;
    assert_eq!(problems, line(name::EFFECTS, 4, LineProblem::MissingBefore));
}

#[test]
fn the_first_moved_line_is_named() {
    let (_temp, directory, _) = signed();
    edit(&directory, name::EFFECTS, |lines| lines.swap(1, 3));
    let problems = verify(&directory, None).problems;
    assert_eq!(problems, line(name::EFFECTS, 2, LineProblem::Moved));
}

#[test]
fn an_added_line_is_named() {
    let (_temp, directory, _) = signed();
    edit(&directory, name::EFFECTS, |lines| lines.insert(1, "{}\n".into()));
    let problems = verify(&directory, None).problems;
    assert_eq!(problems, line(name::EFFECTS, 2, LineProblem::Added));
}

#[test]
fn a_chain_that_was_written_anew_does_not_pass() {
    let (_temp, directory, _) = signed();
    fs::remove_file(directory.file(name::EFFECTS)).unwrap();
    let mut effects = EffectWriter::create(&directory, RUN).unwrap();
    for seq in 0..5 {
        effects.append(&Effect { verdict: Verdict::Allow, ..effect(seq) }).unwrap();
    }
    effects.flush().unwrap();
    let problems = verify(&directory, None).problems;
    assert_eq!(problems, [Problem::Rewritten { file: name::EFFECTS.into() }]);
}

#[test]
fn a_changed_a_missing_and_an_added_file_are_named() {
    let (_temp, directory, _) = signed();
    fs::write(directory.file(name::POLICY), "tier = 5\n").unwrap();
    fs::remove_file(directory.file(name::DECLARED)).unwrap();
    fs::write(directory.file(name::METRICS), "").unwrap();
    let mut problems = verify(&directory, None).problems;
    problems.sort_by_key(ToString::to_string);
    assert_eq!(
        problems,
        [
            Problem::Missing { file: name::DECLARED.into() },
            Problem::Added { file: name::METRICS.into() },
            Problem::Changed { file: name::POLICY.into() },
        ]
    );
}

#[test]
fn what_of_an_altered_run_is_still_as_it_was_signed_is_named() {
    let (temp, directory, _) = signed();
    let all = verify(&directory, None).trusted;
    let files = [name::DECLARED, name::EVIDENCE, name::POLICY, name::EFFECTS, name::TRANSCRIPT];
    assert_eq!(all, files);
    edit(&directory, name::EFFECTS, |lines| lines.swap(1, 3));
    fs::write(directory.file(name::POLICY), "tier = 5\n").unwrap();
    let left = [name::DECLARED, name::EVIDENCE, name::TRANSCRIPT];
    assert_eq!(verify(&directory, None).trusted, left);
    let other = sign::signing_key(&temp.path().join("other")).unwrap().public_key();
    assert_eq!(verify(&directory, KnownKey::parse(&other).as_ref()).trusted, [""; 0]);
    let text = directory.read_text(name::SIGNATURE).unwrap();
    fs::write(directory.file(name::SIGNATURE), text.replace("\"lines\":5", "\"lines\":4")).unwrap();
    assert_eq!(verify(&directory, None).trusted, [""; 0]);
}

#[test]
fn a_statement_that_was_changed_is_not_signed() {
    let (_temp, directory, mut signature) = signed();
    signature.statement.files.insert(name::METRICS.into(), Some("00".repeat(32)));
    directory.replace(name::SIGNATURE, &serde_json::to_vec(&signature).unwrap()).unwrap();
    let problems = verify(&directory, None).problems;
    assert!(problems.contains(&Problem::BadSignature), "{problems:?}");
}

#[test]
fn a_directory_signed_again_with_another_key_is_found_out_by_who_knows_the_first() {
    let (temp, directory, first) = signed();
    let other = sign::signing_key(&temp.path().join("other.key")).unwrap();
    sign::sign(&directory, RUN, &other).unwrap();
    assert!(verify(&directory, None).holds());
    let key = KnownKey::parse(&first.public_key).unwrap();
    assert_eq!(verify(&directory, Some(&key)).problems, [Problem::OtherKey]);
}

#[test]
fn a_directory_without_signature_proves_nothing() {
    let (_temp, directory, _) = signed();
    fs::remove_file(directory.file(name::SIGNATURE)).unwrap();
    let problems = verify(&directory, None).problems;
    assert!(problems.contains(&Problem::Unsigned), "{problems:?}");
}

#[test]
fn a_signature_that_is_spelled_otherwise_is_told() {
    let (_temp, directory, signature) = signed();
    let text = directory.read_text(name::SIGNATURE).unwrap();
    let upper = text.replace(&signature.public_key, &signature.public_key.to_uppercase());
    let more = text.replacen('{', "{\"note\":1,", 1);
    for other in [format!("{text} "), upper, more] {
        fs::write(directory.file(name::SIGNATURE), other).unwrap();
        let problems = verify(&directory, None).problems;
        assert!(problems.contains(&Problem::Respelled), "{problems:?}");
    }
}

#[test]
fn what_is_no_regular_file_is_told_and_does_not_hold_up_the_verifier() {
    let (_temp, directory, _) = signed();
    for file in [name::EFFECTS, name::POLICY, name::SIGNATURE] {
        fs::remove_file(directory.file(file)).unwrap();
        std::os::unix::fs::symlink("/dev/zero", directory.file(file)).unwrap();
        let problems = verify(&directory, None).problems;
        let named = |problem: &Problem| matches!(problem, Problem::Unreadable { file: name, .. } if name == file);
        assert!(problems.iter().any(named), "{problems:?}");
    }
}

#[test]
fn a_signature_file_that_is_no_signature_is_a_problem_and_no_panic() {
    let (_temp, directory, _) = signed();
    for text in ["", "{}", "[1]", "\u{0}"] {
        fs::write(directory.file(name::SIGNATURE), text).unwrap();
        assert!(!verify(&directory, None).holds());
    }
}

#[test]
fn what_a_lost_writer_still_writes_goes_nowhere() {
    use std::io::Write as _;

    let directory = tempfile::tempdir().unwrap();
    let run = RunDir::create(directory.path().join("run")).unwrap();
    run.take_away(name::EFFECTS).unwrap();
    assert!(!run.has(name::EFFECTS), "what is not there is nothing to take away");
    let mut lost = fs::File::create(run.file(name::EFFECTS)).unwrap();
    lost.write_all(b"one\ntwo\nthr").unwrap();
    run.take_away(name::EFFECTS).unwrap();
    lost.write_all(b"ee\nfour\n").unwrap();
    assert_eq!(run.read(name::EFFECTS).unwrap(), b"one\ntwo\n");
}

#[test]
fn a_journal_that_is_given_up_ends_with_a_whole_line_and_gets_no_more() {
    use std::io::Write as _;

    let directory = tempfile::tempdir().unwrap();
    let run = RunDir::create(directory.path().join("run")).unwrap();
    let mut writer = EffectWriter::create(&run, RUN).unwrap();
    writer.append(&effect(0)).unwrap();
    writer.flush().unwrap();
    let whole = run.read(name::EFFECTS).unwrap();
    // As a full disk leaves it, and one more in the buffer.
    writer.append(&effect(1)).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(run.file(name::EFFECTS)).unwrap();
    file.write_all(b"{\"seq\":1,\"boo").unwrap();
    writer.give_up().unwrap();
    writer.append(&effect(2)).unwrap_err();
    writer.flush().unwrap_err();
    drop(writer);
    assert_eq!(run.read(name::EFFECTS).unwrap(), whole);
}

#[test]
fn a_file_is_cut_behind_its_last_whole_line_however_long_the_rest_is() {
    let directory = tempfile::tempdir().unwrap();
    let run = RunDir::create(directory.path().join("run")).unwrap();
    run.cut(name::TRANSCRIPT).unwrap();
    for (text, kept) in [
        (String::new(), 0),
        ("one\ntwo\n".to_owned(), 8),
        ("one\ntwo".to_owned(), 4),
        ("one".to_owned(), 0),
        ("x".repeat(200_000), 0),
        (format!("one\n{}", "x".repeat(200_000)), 4),
        (format!("{}\n{}", "x".repeat(65_535), "y".repeat(65_536)), 65_536),
    ] {
        fs::write(run.file(name::TRANSCRIPT), &text).unwrap();
        run.cut(name::TRANSCRIPT).unwrap();
        assert_eq!(run.read(name::TRANSCRIPT).unwrap(), &text.as_bytes()[..kept]);
    }
}

#[test]
fn room_is_taken_and_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let run = RunDir::create(directory.path().join("run")).unwrap();
    run.reserve().unwrap();
    let files = || fs::read_dir(run.path()).unwrap().count();
    assert_eq!(files(), 1);
    run.release();
    assert_eq!(files(), 0);
}

#[test]
fn a_redacted_directory_gets_neither_lines_nor_documents_with_a_secret() {
    use std::sync::Arc;

    use journal::redact::{Redaction, Redactor};

    let directory = tempfile::tempdir().unwrap();
    let redaction = Redaction { secrets: vec!["hunter2!".into()], patterns: Vec::new() };
    let redactor = Redactor::new(&redaction).unwrap().map(Arc::new);
    let run = RunDir::create(directory.path().join("run")).unwrap().redacted(redactor);
    let mut writer = EffectWriter::create(&run, RUN).unwrap();
    let mut secret = effect(0);
    secret.object.path = Some("/srv/hunter2!/file".into());
    writer.append(&secret).unwrap();
    writer.append(&effect(1)).unwrap();
    writer.flush().unwrap();
    run.write_declared(&journal::scenario::Declared {
        summary: "It is hunter2!".into(),
        ..Default::default()
    })
    .unwrap();
    for file in [name::EFFECTS, name::DECLARED] {
        let text = run.read_text(file).unwrap();
        assert!(!text.contains("hunter2!") && text.contains("[redacted 8 bytes]"), "{text}");
    }
    let key = sign::signing_key(&directory.path().join("keys/key")).unwrap();
    sign::sign(&run, RUN, &key).unwrap();
    assert!(verify(&run, None).holds());
    let effects: Vec<Effect> = run.effects().unwrap().map(Result::unwrap).collect();
    assert_eq!(effects[0].object.path.as_deref(), Some("/srv/[redacted 8 bytes]/file"));
    assert_eq!(effects[1], effect(1));
}
