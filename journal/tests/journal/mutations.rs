//! Whatever is changed in a signed run is found, and in a journal the first changed line is named.

use std::{collections::BTreeMap, fs};

use journal::{
    Evidence, Manifest, RunDir,
    files::name,
    scenario::{Baseline, Declared, Phase, Sample, Scenario},
    sign,
    verify::{LineProblem, Problem, verify},
    writer::SampleWriter,
};
use tempfile::TempDir;

use crate::run::{RUN, write_journals};

/// How many changes are tried, and from where chance starts.
const CHANGES: u32 = 12_000;
const SEED: u64 = 0x5eed_0b5e_7ed0_b5e1;

const JOURNALS: [&str; 2] = [name::EFFECTS, name::TRANSCRIPT];

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        // Newlines decide what a line is; by chance alone they would be rare.
        if self.below(8) == 0 { b'\n' } else { self.next() as u8 }
    }

    /// Two places in order, the first below `limit`, the second at most `limit`.
    fn range(&mut self, limit: usize) -> (usize, usize) {
        let begin = self.below(limit);
        (begin, begin + 1 + self.below((limit - begin).min(1500)))
    }
}

/// What was done to a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Bit,
    Byte,
    Inserted,
    Cut,
    Doubled,
    Truncated,
    SwappedLines,
    DoubledLine,
    CopiedLine,
    RemovedLines,
    MovedLine,
    ReplacedLine,
    ForeignLine,
}

const CHANGE_KINDS: [Change; 13] = [
    Change::Bit,
    Change::Byte,
    Change::Inserted,
    Change::Cut,
    Change::Doubled,
    Change::Truncated,
    Change::SwappedLines,
    Change::DoubledLine,
    Change::CopiedLine,
    Change::RemovedLines,
    Change::MovedLine,
    Change::ReplacedLine,
    Change::ForeignLine,
];

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn change(kind: Change, bytes: &[u8], foreign: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let at = chance.below(bytes.len());
    match kind {
        Change::Bit => changed[at] ^= 1 << chance.below(8),
        Change::Byte => changed[at] = chance.byte(),
        Change::Inserted => changed.insert(chance.below(bytes.len() + 1), chance.byte()),
        Change::Cut => {
            let (begin, end) = chance.range(bytes.len());
            changed.drain(begin..end);
        }
        Change::Doubled => {
            let (begin, end) = chance.range(bytes.len());
            changed.splice(end..end, bytes[begin..end].iter().copied());
        }
        Change::Truncated => changed.truncate(at),
        _ => {
            let mut lines = lines(bytes);
            let (one, other) = (chance.below(lines.len()), chance.below(lines.len()));
            match kind {
                Change::SwappedLines => lines.swap(one, other),
                Change::DoubledLine => lines.insert(one, lines[one].clone()),
                Change::CopiedLine => {
                    lines.insert(chance.below(lines.len() + 1), lines[one].clone());
                }
                Change::RemovedLines => drop(lines.drain(one.min(other)..=one.max(other))),
                Change::MovedLine => {
                    let line = lines.remove(one);
                    lines.insert(other, line);
                }
                Change::ReplacedLine => lines[one] = lines[other].clone(),
                _ => lines.insert(one, foreign.to_vec()),
            }
            changed = lines.concat();
        }
    }
    changed
}

/// The first line that differs, from 1.
fn first_difference(before: &[u8], after: &[u8]) -> u64 {
    let (before, after) = (lines(before), lines(after));
    let same = before.iter().zip(&after).take_while(|(before, after)| before == after).count();
    same as u64 + 1
}

/// What may be said of the first changed line of a journal.
fn fitting(kind: Change, before: &[u8], after: &[u8]) -> Vec<LineProblem> {
    let line = first_difference(before, after) as usize;
    let torn = after.last().is_some_and(|byte| *byte != b'\n') && lines(after).len() == line;
    if torn {
        return vec![LineProblem::Torn];
    }
    match kind {
        Change::Bit | Change::Byte => vec![LineProblem::Altered],
        // A newline may have been inserted between two lines.
        Change::Inserted if after.split(|byte| *byte == b'\n').nth(line - 1) == Some(&[]) => {
            vec![LineProblem::Added, LineProblem::Altered]
        }
        Change::Inserted => vec![LineProblem::Altered],
        Change::Truncated | Change::RemovedLines => vec![LineProblem::MissingBefore],
        Change::SwappedLines | Change::MovedLine => vec![LineProblem::Moved],
        Change::DoubledLine | Change::CopiedLine | Change::ForeignLine => vec![LineProblem::Added],
        Change::ReplacedLine => vec![LineProblem::Altered],
        // Parts of several lines: what was done to the first is a matter of words.
        Change::Cut | Change::Doubled => vec![
            LineProblem::Altered,
            LineProblem::MissingBefore,
            LineProblem::Added,
            LineProblem::Moved,
        ],
    }
}

/// A signed directory in which every file is there but `persistence.json`.
fn run() -> (TempDir, RunDir) {
    let temp = TempDir::new().unwrap();
    let directory = RunDir::create(temp.path().join("run")).unwrap();
    let texts: Vec<String> = (0..9).map(|text| format!("note {text}, \"quoted\"\n")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    write_journals(&directory, 24, &texts);
    let manifest = serde_json::json!({
        "format": 1, "run": RUN, "belljar": "0.1.0", "host": "vm", "kernel": "6.12",
        "boot_time_unix_ns": 0, "probe_set": "lsm", "enforcers": {}, "scenario": "bare",
        "agent": "command", "tier": 1, "mode": "enforce", "seed": 1, "uid": 61_000,
        "policy_sha256": "00", "start": "2026-11-24T04:10:46Z", "end": null,
    });
    let manifest: Manifest = serde_json::from_value(manifest).unwrap();
    directory.write_manifest(&manifest).unwrap();
    directory.replace(name::POLICY, b"tier = 1\nmode = \"enforce\"\n").unwrap();
    directory.write_scenario(&Scenario { name: "bare".into(), ..Scenario::default() }).unwrap();
    directory.write_baseline(&Baseline::default()).unwrap();
    directory.write_declared(&Declared::default()).unwrap();
    directory
        .write_evidence(&Evidence { emitted: 24, received: 24, ..Evidence::default() })
        .unwrap();
    directory.replace(name::METRICS, b"belljar_effects_total 24\nbelljar_up 1\n").unwrap();
    let mut samples = SampleWriter::create(&directory).unwrap();
    for boot_ns in 0..5 {
        let sample = Sample {
            boot_ns,
            phase: Phase::Run,
            proxy: None,
            measured: 1.5,
            latency_p50_seconds: None,
            latency_p99_seconds: None,
        };
        samples.append(&sample).unwrap();
    }
    let key = sign::signing_key(&temp.path().join("key")).unwrap();
    sign::sign(&directory, RUN, &key).unwrap();
    assert!(verify(&directory, None).holds());
    (temp, directory)
}

/// Why what verification says of a change is not right; `None` where it is.
fn objection(
    kind: Change,
    file: &str,
    before: &[u8],
    after: &[u8],
    found: &[Problem],
) -> Option<String> {
    if file == name::SIGNATURE {
        return found.is_empty().then(|| "not found".into());
    }
    let expected = if JOURNALS.contains(&file) {
        let line = first_difference(before, after);
        let fitting = fitting(kind, before, after);
        let named =
            |problem: &LineProblem| Problem::Line { file: file.into(), line, what: *problem };
        fitting.iter().map(named).collect()
    } else {
        vec![Problem::Changed { file: file.into() }]
    };
    match found {
        [problem] if expected.contains(problem) => None,
        _ => Some(format!("found {found:?}, expected one of {expected:?}")),
    }
}

#[test]
fn every_change_of_a_signed_run_is_found_and_the_first_changed_line_named() {
    let (_temp, directory) = run();
    let mut chance = Chance(SEED);
    println!("{CHANGES} changes from seed {SEED:#x}");
    let mut files: Vec<(&str, Vec<u8>)> = name::DIGESTED
        .into_iter()
        .filter(|file| directory.has(file))
        .chain([name::SIGNATURE])
        .map(|file| (file, directory.read(file).unwrap()))
        .collect();
    // Journals are what an attacker is after: two changes of three are made to them.
    let journals = JOURNALS.map(|file| (file, directory.read(file).unwrap()));
    files.extend(std::iter::repeat_n(journals, files.len()).flatten());
    let mut tried: BTreeMap<(Change, &str), u32> = BTreeMap::new();
    let mut done = 0;
    while done < CHANGES {
        let (file, before) = &files[chance.below(files.len())];
        let foreign = {
            let (_, other) = &files[chance.below(files.len())];
            let lines = lines(other);
            let mut line = lines[chance.below(lines.len())].clone();
            line.truncate(line.len() - usize::from(line.ends_with(b"\n")));
            [&line[..], b"\n"].concat()
        };
        let kind = CHANGE_KINDS[chance.below(CHANGE_KINDS.len())];
        if kind == Change::ForeignLine && lines(before).contains(&foreign) {
            continue;
        }
        let after = change(kind, before, &foreign, &mut chance);
        if after == *before {
            continue;
        }
        fs::write(directory.file(file), &after).unwrap();
        let found = verify(&directory, None).problems;
        if let Some(objection) = objection(kind, file, before, &after, &found) {
            panic!("change {done} of seed {SEED:#x}, {kind:?} in {file}: {objection}");
        }
        fs::write(directory.file(file), before).unwrap();
        *tried.entry((kind, file)).or_default() += 1;
        done += 1;
    }
    assert!(verify(&directory, None).holds());
    // Every kind was made to every file that has room for it.
    for kind in CHANGE_KINDS {
        for file in JOURNALS {
            assert!(tried[&(kind, file)] > 50, "{kind:?} in {file}: {tried:?}");
        }
    }
}

#[test]
fn every_byte_of_the_signature_counts() {
    let (_temp, directory) = run();
    let path = directory.file(name::SIGNATURE);
    let before = fs::read(&path).unwrap();
    // Another bit, and upper for lower case.
    for (at, mask) in (0..before.len()).flat_map(|at| [(at, 1), (at, 0x20)]) {
        let mut after = before.clone();
        after[at] ^= mask;
        fs::write(&path, after).unwrap();
        assert!(!verify(&directory, None).holds(), "byte {at} with {mask:#x}");
    }
}

#[test]
fn a_removed_an_added_and_an_exchanged_file_are_found() {
    let (_temp, directory) = run();
    let files: Vec<&str> =
        name::DIGESTED.into_iter().chain(JOURNALS).chain([name::SIGNATURE]).collect();
    for file in &files {
        let path = directory.file(file);
        let before = fs::read(&path).ok();
        match &before {
            Some(_) => fs::remove_file(&path).unwrap(),
            None => fs::write(&path, "{}\n").unwrap(),
        }
        let problems = verify(&directory, None).problems;
        let expected = match (*file, &before) {
            (name::SIGNATURE, _) => Problem::Unsigned,
            (file, Some(_)) => Problem::Missing { file: file.into() },
            (file, None) => Problem::Added { file: file.into() },
        };
        assert_eq!(problems, [expected]);
        let Some(before) = before else {
            fs::remove_file(&path).unwrap();
            continue;
        };
        for other in files.iter().filter(|other| *other != file) {
            let Ok(others) = directory.read(other) else { continue };
            fs::write(&path, &others).unwrap();
            assert!(!verify(&directory, None).holds(), "{file} as {other}");
            fs::write(directory.file(other), &before).unwrap();
            assert!(!verify(&directory, None).holds(), "{file} and {other} exchanged");
            fs::write(directory.file(other), &others).unwrap();
        }
        fs::write(&path, &before).unwrap();
        assert!(verify(&directory, None).holds());
    }
}
