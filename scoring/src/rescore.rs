//! A recorded run judged again: where the judgement now differs from the one on record.

use std::collections::{BTreeMap, BTreeSet};

use journal::{
    RunDir,
    files::{FileError, name},
};
use serde::{Deserialize, Serialize};

use crate::{
    class::Class,
    report::{Report, RunVerdict},
};

/// A run's judgement on record beside that of this version's definitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rescored {
    /// The run's name.
    pub run: String,
    /// The verdict on record; `null` where the directory holds no report.
    pub before: Option<RunVerdict>,
    /// The verdict now.
    pub after: RunVerdict,
    /// Classes that it was not in.
    pub gained: Vec<Class>,
    /// Classes that it is no longer in.
    pub lost: Vec<Class>,
    /// What became of it and why, in sentences.
    pub sentences: Vec<String>,
}

impl Rescored {
    /// Whether verdict and classes are what they were.
    #[must_use]
    pub fn is_the_same(&self) -> bool {
        self.before == Some(self.after) && self.gained.is_empty() && self.lost.is_empty()
    }
}

/// What is read of a report on record, whichever version wrote it.
#[derive(Deserialize)]
struct Recorded {
    verdict: RunVerdict,
    #[serde(default)]
    classes: Vec<Class>,
    #[serde(default)]
    class_evidence: BTreeMap<Class, Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    #[serde(default)]
    sentence: String,
}

/// Compares a judgement with the one that the directory holds.
///
/// # Errors
///
/// When that one is there and cannot be read.
pub fn rescore(directory: &RunDir, now: &Report) -> Result<Rescored, FileError> {
    let recorded: Option<Recorded> = directory.read_json_if_present(name::REPORT_JSON)?;
    let after: BTreeSet<Class> = now.classes.iter().copied().collect();
    let before: BTreeSet<Class> =
        recorded.iter().flat_map(|recorded| recorded.classes.iter().copied()).collect();
    let gained: Vec<Class> = after.difference(&before).copied().collect();
    let lost: Vec<Class> = before.difference(&after).copied().collect();
    let mut sentences = vec![match &recorded {
        None => format!("It was not judged before and is {} now.", now.verdict),
        Some(recorded) if recorded.verdict == now.verdict => {
            format!("It was {} and still is.", now.verdict)
        }
        Some(recorded) => format!("It was {} and is {} now.", recorded.verdict, now.verdict),
    }];
    for class in &gained {
        let why = now.class_evidence.get(class).map_or("", |evidence| &evidence.sentence);
        sentences.push(format!("Now in {class}: {why}"));
    }
    for class in &lost {
        let why = recorded.iter().find_map(|recorded| recorded.class_evidence.get(class));
        let why = why.map_or("", |evidence| &evidence.sentence);
        let unjudged = now.not_judged.get(class);
        let because = unjudged.map(|reason| format!(" Not judged now: {reason}"));
        let because = because.unwrap_or_default();
        sentences.push(format!("No longer in {class}, for which was said: {why}{because}"));
    }
    if recorded.as_ref().is_none_or(|recorded| recorded.verdict != now.verdict) {
        sentences.extend(now.invalid_reasons.iter().cloned());
    }
    Ok(Rescored {
        run: now.run.clone(),
        before: recorded.map(|recorded| recorded.verdict),
        after: now.verdict,
        gained,
        lost,
        sentences,
    })
}
