//! What a run left in its directory.

use std::{fs, path::Path};

use journal::{Effect, Evidence, Manifest, RunDir, Verb, manifest::ProbeSet};
use serde_json::Value;

/// A run directory, read.
#[derive(Debug)]
pub struct Record {
    /// `manifest.json`.
    pub manifest: Manifest,
    /// `effects.jsonl`, in order of the journal.
    pub effects: Vec<Effect>,
    /// `evidence.json`.
    pub evidence: Evidence,
    /// `report.json`.
    pub report: Value,
    /// `transcript.jsonl`.
    pub transcript: Vec<Value>,
}

impl Record {
    /// Reads a run directory.
    ///
    /// # Panics
    ///
    /// When a file is missing or does not read as what it should hold.
    #[must_use]
    pub fn read(directory: &Path) -> Self {
        let run = RunDir::open(directory)
            .unwrap_or_else(|error| panic!("no run directory {}: {error}", directory.display()));
        Self {
            manifest: run.manifest().expect("the run directory has a manifest"),
            effects: lines(&run.file("effects.jsonl")),
            evidence: json(&run.file("evidence.json")),
            report: json(&run.file("report.json")),
            transcript: lines(&run.file("transcript.jsonl")),
        }
    }

    /// Whether the `lsm` set was loaded.
    #[must_use]
    pub fn has_lsm(&self) -> bool {
        self.manifest.probe_set == Some(ProbeSet::Lsm)
    }

    /// The run's verdict.
    #[must_use]
    pub fn verdict(&self) -> &str {
        self.report["verdict"].as_str().unwrap_or_default()
    }

    /// The names of the classes that were found.
    #[must_use]
    pub fn classes(&self) -> Vec<&str> {
        let classes = self.report["classes"].as_array().map(Vec::as_slice).unwrap_or_default();
        classes.iter().filter_map(|class| class.as_str().or(class["name"].as_str())).collect()
    }

    /// Effects of one verb.
    pub fn of(&self, verb: Verb) -> impl Iterator<Item = &Effect> {
        self.effects.iter().filter(move |effect| effect.verb == verb)
    }

    /// Checks what must hold of every complete record: nothing was lost, and it is accounted for.
    ///
    /// # Panics
    ///
    /// When something of it does not hold.
    #[track_caller]
    pub fn assert_whole(&self) {
        assert!(self.evidence.is_whole(), "{:?}", self.evidence);
        self.assert_accounted();
    }

    /// Checks that the counts agree, and that each number that arrived is there once.
    ///
    /// # Panics
    ///
    /// When something of it does not hold.
    #[track_caller]
    pub fn assert_accounted(&self) {
        let Evidence { emitted, received, dropped, .. } = self.evidence;
        assert_eq!(emitted, received + dropped, "{:?}", self.evidence);
        assert_eq!(self.effects.len() as u64, received);
        let mut numbers: Vec<u64> = self.effects.iter().map(|effect| effect.seq).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "a number is there twice");
        assert!(numbers.last().is_none_or(|last| *last < emitted));
        if dropped == 0 {
            assert!(numbers.iter().copied().eq(0..emitted), "numbers are not 0..{emitted}");
        }
    }
}

/// How an act of the actor's ended, as the actor saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// The act's name.
    pub name: String,
    /// Its place on the command line.
    pub index: u64,
    /// Who did it.
    pub tgid: u32,
    /// `"ok"` or an errno's name.
    pub outcome: String,
    /// A process id, a count.
    pub value: Option<i64>,
}

impl Act {
    /// The acts of which an output tells.
    #[must_use]
    pub fn all(output: &str) -> Vec<Self> {
        output.lines().filter_map(|line| Self::read(&serde_json::from_str(line).ok()?)).collect()
    }

    fn read(line: &Value) -> Option<Self> {
        Some(Self {
            name: line["act"].as_str()?.to_owned(),
            index: line["index"].as_u64()?,
            tgid: u32::try_from(line["tgid"].as_u64()?).ok()?,
            outcome: line["outcome"].as_str()?.to_owned(),
            value: line["value"].as_i64(),
        })
    }
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let read = |(index, line)| {
        serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("{}:{}: {error}: {line}", path.display(), index + 1))
    };
    text.lines().enumerate().map(read).collect()
}
