//! Garbage collection: which recorded runs are too many or too old, and removing those.
//!
//! A run is verified before it is removed: what was altered may be what somebody wants to be gone.

use std::path::Path;

use journal::{RunDir, verify::verify};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{removal, scan::Found};

/// Which runs are to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Criteria {
    /// Those that ended at this moment or before, in seconds since the Unix epoch.
    pub before_unix_seconds: Option<i64>,
    /// The oldest, until all others hold so many bytes at most.
    pub most_bytes: Option<u64>,
    /// Also those that do not verify.
    pub unverified: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What became of a run that met the criteria.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Its directory, below the root; escaped.
    pub path: String,
    /// What its files hold together.
    pub bytes: u64,
    /// When it ended, or was last changed where that is unknown; seconds since the Unix epoch.
    pub age_unix_seconds: i64,
    /// What was done.
    pub done: Done,
    /// Why it was kept, or what is wrong with what was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What was done with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// It is gone.
    Removed,
    /// It would be gone, had this not been a trial.
    WouldBeRemoved,
    /// It is there still.
    Kept,
    /// It should be gone, and all or some of it is there still.
    Failed,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Every run that met the criteria, the oldest first.
    pub decisions: Vec<Decision>,
    /// What the runs hold that are left.
    pub bytes_left: u64,
    /// How many are left.
    pub runs_left: u64,
}

/// Collects among the runs below `root` that were found. `is_live` tells of a run directory, and of
/// the run's name if its manifest tells it, whether it is in use: such a run is never touched.
/// `progress` is told how many runs were looked at.
#[must_use]
pub fn collect(
    root: &Path,
    found: &[Found],
    criteria: &Criteria,
    is_live: &dyn Fn(&Path, Option<&str>) -> bool,
    progress: &mut dyn FnMut(u64),
) -> Collected {
    let mut runs: Vec<_> = found.iter().map(|found| (age(root, found), found)).collect();
    runs.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.path.cmp(&b.1.path)));
    let mut bytes: u64 = runs.iter().map(|(_, found)| found.bytes).sum();
    let mut left = runs.len() as u64;
    let mut decisions = Vec::new();
    for (number, (age, found)) in runs.into_iter().enumerate() {
        progress(number as u64);
        let is_old = criteria.before_unix_seconds.is_some_and(|before| age <= before);
        let is_much = criteria.most_bytes.is_some_and(|most| bytes > most);
        if !is_old && !is_much {
            continue;
        }
        let (done, why) = decide(root, found, criteria, is_live);
        if matches!(done, Done::Removed | Done::WouldBeRemoved) {
            bytes -= found.bytes;
            left -= 1;
        }
        decisions.push(Decision {
            path: found.name.clone(),
            bytes: found.bytes,
            age_unix_seconds: age,
            done,
            why,
        });
    }
    Collected { decisions, bytes_left: bytes, runs_left: left }
}

/// When a run ended. Who alters the manifest so that it seems old alters what was signed.
fn age(root: &Path, found: &Found) -> i64 {
    let manifest = RunDir::open(root.join(&found.path)).ok().and_then(|it| it.manifest().ok());
    manifest
        .and_then(|manifest| OffsetDateTime::parse(&manifest.end?, &Rfc3339).ok())
        .map_or(found.changed_unix_seconds, OffsetDateTime::unix_timestamp)
}

fn decide(
    root: &Path,
    found: &Found,
    criteria: &Criteria,
    is_live: &dyn Fn(&Path, Option<&str>) -> bool,
) -> (Done, Option<String>) {
    let path = root.join(&found.path);
    let Ok(directory) = RunDir::open(&path) else {
        return (Done::Kept, Some("it cannot be opened".to_owned()));
    };
    let name = directory.manifest().ok().map(|manifest| manifest.run);
    if is_live(&path, name.as_deref()) {
        return (Done::Kept, Some("the run is live".to_owned()));
    }
    let problem = verify(&directory, None).problems.first().map(ToString::to_string);
    let problem = problem.map(|problem| journal::escape::visible(&problem).into_owned());
    if let Some(problem) = &problem
        && !criteria.unverified
    {
        return (Done::Kept, Some(format!("it does not verify: {problem}")));
    }
    // It may have begun to be used since it was looked at.
    if is_live(&path, name.as_deref()) {
        return (Done::Kept, Some("the run is live".to_owned()));
    }
    match removal::remove(root, found, criteria.dry_run) {
        Ok(()) if criteria.dry_run => (Done::WouldBeRemoved, problem),
        Ok(()) => (Done::Removed, problem),
        Err(error @ (removal::RemoveError::Swapped | removal::RemoveError::Foreign { .. })) => {
            (Done::Kept, Some(error.to_string()))
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            (Done::Failed, Some(format!("{error}: {}", cause.unwrap_or_default())))
        }
    }
}
