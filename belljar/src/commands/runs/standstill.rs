//! Why a call stands still, as the run's transcript tells.

use std::path::Path;

use journal::{
    Manifest, RunDir,
    clock::Clock,
    question::{Decided, Question},
    transcript::Event,
};
use serde::Serialize;

/// What holds a call beside a verdict.
#[derive(Debug, Default, Serialize)]
pub(super) struct Standstill {
    /// The person who has frozen it, or the run.
    pub(super) frozen_by: Option<Froze>,
    /// The question about it that waits for an answer.
    pub(super) asked: Option<Asked>,
}

/// A person's freeze.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Froze {
    pub(super) who: String,
    /// RFC 3339, UTC.
    pub(super) time: String,
    /// Whether it is the run that was frozen, and not the call alone.
    pub(super) run: bool,
}

/// A question that waits.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Asked {
    #[serde(flatten)]
    pub(super) question: Question,
    /// Since when, RFC 3339, UTC.
    pub(super) time: String,
}

/// Reads it; what cannot be read tells nothing.
pub(super) fn standstill(directory: &Path, manifest: Option<&Manifest>, call: u64) -> Standstill {
    let mut found = Standstill::default();
    let Some(manifest) = manifest else { return found };
    let mut clock = Clock::new(manifest.boot_time_unix_ns);
    let Ok(entries) = RunDir::open(directory).and_then(|directory| directory.transcript()) else {
        return found;
    };
    // The last line may be half written.
    for entry in entries.map_while(Result::ok) {
        let time = clock.rfc3339(entry.boot_ns);
        match entry.event {
            Event::Decision(it) if it.call.is_none_or(|decided| decided == call) => {
                found.frozen_by = match it.decision {
                    Decided::Freeze => Some(Froze { who: it.who, time, run: it.call.is_none() }),
                    Decided::Resume | Decided::Kill => None,
                };
            }
            Event::Question(question) if question.call == Some(call) => {
                found.asked = Some(Asked { question: *question, time });
            }
            Event::Answer(answer) => {
                found.asked = found.asked.filter(|it| it.question.question != answer.question);
            }
            _ => {}
        }
    }
    found
}

impl Froze {
    /// `a person froze the run (root)`.
    pub(super) fn words(&self) -> String {
        let what = if self.run { "run" } else { "call" };
        format!("a person froze the {what} ({})", self.who)
    }
}
