//! What is remembered of a recorded run.

use std::path::Path;

use journal::{
    RunDir,
    verify::{Problem, Verification, verify},
};
use scoring::{Report, RunVerdict};
use serde::{Deserialize, Serialize};

use crate::scan::Found;

/// Whether a directory is as it was signed, as far as it can tell by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Journal {
    /// Everything is.
    Whole,
    /// Something was altered, cut, moved or added.
    Altered,
    /// Nobody has signed it: the run goes on, or its supervisor died.
    Unsigned,
}

impl Journal {
    /// The name in the index and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Altered => "altered",
            Self::Unsigned => "unsigned",
        }
    }

    /// What verification found, in one word.
    #[must_use]
    pub fn of(verification: &Verification) -> Self {
        if verification.holds() {
            Self::Whole
        } else if verification.problems.contains(&Problem::Unsigned) {
            Self::Unsigned
        } else {
            Self::Altered
        }
    }
}

/// A recorded run. Text that others chose is escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Where its directory is, below the root.
    pub path: String,
    /// Its name; `null` where no manifest can be read, as everything else of the manifest.
    pub run: Option<String>,
    /// The scenario.
    pub scenario: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The granted tier.
    pub tier: Option<u8>,
    /// `observe` or `enforce`.
    pub mode: Option<String>,
    /// When it began, RFC 3339 in UTC.
    pub start: Option<String>,
    /// When it ended; `null` while it goes on, or where its supervisor died.
    pub end: Option<String>,
    /// `clean`, `misaligned` or `invalid`.
    pub verdict: String,
    /// The classes that it falls in.
    pub classes: Vec<String>,
    /// Effects that were journaled.
    pub effects: u64,
    /// Effects of the agent's with a verdict above `audit`.
    pub violations: u64,
    /// Effects that the kernel counted as lost.
    pub dropped: u64,
    /// The host's name.
    pub host: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// `lsm` or `tracepoint`; `null` where no probes were loaded.
    pub probe_set: Option<String>,
    /// Whether the directory is as it was signed.
    pub journal: Journal,
    /// What its files hold together.
    pub bytes: u64,
    /// Why the run is what it is, a sentence each.
    pub reasons: Vec<String>,
    /// Its constraints by name, and whether they held.
    pub constraints: Vec<(String, Option<bool>)>,
    /// What its calls and components did.
    pub verbs: Vec<VerbCount>,
}

/// How many effects of a verb got a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerbCount {
    /// `agent` or `component:NAME`.
    pub actor: String,
    /// The verb.
    pub verb: String,
    /// The verdict.
    pub verdict: String,
    /// How many.
    pub effects: u64,
}

impl Recorded {
    /// Reads, verifies and judges a run directory below `root`. Never fails: what cannot be read is a
    /// reason for the verdict `invalid`.
    pub(crate) fn read(root: &Path, found: &Found) -> Self {
        let directory = match RunDir::open(root.join(&found.path)) {
            Ok(directory) => directory,
            Err(error) => return Self::unreadable(found, Journal::Altered, &error),
        };
        let verification = verify(&directory, None);
        let journal = Journal::of(&verification);
        let (report, record) = match scoring::score_verified(&directory, &verification) {
            Ok(judged) => judged,
            Err(error) => return Self::unreadable(found, journal, &error),
        };
        let manifest = record.manifest;
        let text = |text: String| Some(journal::escape::visible(&text).into_owned());
        let mut new = Self {
            run: text(manifest.run),
            scenario: text(manifest.scenario),
            agent: text(manifest.agent),
            tier: Some(manifest.tier.number()),
            mode: Some(manifest.mode.name().to_owned()),
            start: text(manifest.start),
            end: manifest.end.and_then(text),
            host: text(manifest.host),
            kernel: text(manifest.kernel),
            probe_set: manifest.probe_set.map(|set| set.name().to_owned()),
            verdict: report.verdict.name().to_owned(),
            classes: report.classes.iter().map(|class| class.name().to_owned()).collect(),
            effects: verification.effects.unwrap_or(0),
            violations: report.violations.len() as u64,
            dropped: report.evidence.dropped,
            verbs: verbs(&report),
            ..Self::nothing(found, journal)
        };
        new.reasons = report.reasons.iter().cloned().filter_map(text).collect();
        let constraints = report.constraints.into_iter();
        new.constraints = constraints.filter_map(|it| Some((text(it.name)?, it.held))).collect();
        if !verification.reported {
            new.verdict = RunVerdict::Invalid.name().to_owned();
            let reason = "There is no report.json: the run goes on, or its supervisor died.";
            new.reasons.insert(0, reason.to_owned());
        }
        new
    }

    fn unreadable(found: &Found, journal: Journal, error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        let reasons = vec![format!("{}.", journal::escape::visible(&text))];
        Self { reasons, ..Self::nothing(found, journal) }
    }

    /// A run of which only the directory is known.
    fn nothing(found: &Found, journal: Journal) -> Self {
        Self {
            path: found.name.clone(),
            run: None,
            scenario: None,
            agent: None,
            tier: None,
            mode: None,
            start: None,
            end: None,
            verdict: RunVerdict::Invalid.name().to_owned(),
            classes: Vec::new(),
            effects: 0,
            violations: 0,
            dropped: 0,
            host: None,
            kernel: None,
            probe_set: None,
            journal,
            bytes: found.bytes,
            reasons: Vec::new(),
            constraints: Vec::new(),
            verbs: Vec::new(),
        }
    }
}

fn verbs(report: &Report) -> Vec<VerbCount> {
    let calls = report.calls.iter().map(|call| ("agent".to_owned(), &call.did));
    let components = report.components.iter();
    let components =
        components.map(|component| (format!("component:{}", component.name), &component.did));
    let mut counts = std::collections::BTreeMap::new();
    for (actor, did) in calls.chain(components) {
        for (verb, verdicts) in &did.verbs {
            for (verdict, effects) in verdicts {
                let key = (actor.clone(), verb.to_string(), verdict.to_string());
                *counts.entry(key).or_insert(0) += effects;
            }
        }
    }
    let counts = counts.into_iter();
    counts
        .map(|((actor, verb, verdict), effects)| VerbCount { actor, verb, verdict, effects })
        .collect()
}
