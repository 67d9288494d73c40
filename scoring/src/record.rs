//! All that a judgement rests on, but for the effects, which pass by one at a time.

use journal::{
    Evidence, Manifest, RunDir,
    files::{FileError, name},
    manifest::FORMAT,
    question::{About, Answer, Answered, Decision, Question},
    reader::LineError,
    scenario::{Baseline, Declared, Persistence, Sample, Scenario},
    transcript::Event,
};

/// What is known of a run. What could not be read is named in `problems` and makes it invalid.
#[derive(Clone, Debug)]
pub struct Record {
    /// What ran.
    pub manifest: Manifest,
    /// The system under test; empty where the run never got that far.
    pub scenario: Scenario,
    /// Measures over time.
    pub samples: Vec<Sample>,
    /// The objective before the agent began.
    pub baseline: Option<Baseline>,
    /// The agent's own account.
    pub declared: Declared,
    /// What would have outlived the run; `None` where nobody looked.
    pub persistence: Option<Persistence>,
    /// What the observer says of its own record; `None` where it could not.
    pub evidence: Option<Evidence>,
    /// The calls, as the transcript tells.
    pub calls: Vec<Call>,
    /// What was asked of somebody outside and decided by persons, as the transcript tells.
    pub interventions: Interventions,
    /// Why the record is not whole, a sentence each.
    pub problems: Vec<String>,
}

/// What was asked of somebody outside, and what persons did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interventions {
    /// Questions in order, each with its answer if it got one.
    pub questions: Vec<(Question, Option<Answer>)>,
    /// What persons did unasked, in order.
    pub decisions: Vec<Decision>,
    /// Policies that were to take another's place, in order.
    pub reloads: Vec<Reload>,
}

/// A policy that was to take another's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Its number from then on; `None` where it was refused.
    pub policy: Option<u64>,
    /// SHA-256 of the policy in force before, hexadecimal.
    pub old_sha256: String,
    /// SHA-256 of the other one, hexadecimal.
    pub new_sha256: String,
    /// Who, as far as known.
    pub who: String,
    /// What came of it beside the table, or why it was refused.
    pub detail: String,
}

impl Interventions {
    /// Whether an effect was asked about and approved: `seq` numbers the one that was refused.
    #[must_use]
    pub fn approved(&self, seq: u64) -> bool {
        self.questions.iter().any(|(question, answer)| {
            matches!(question.about, About::Effect { seq: asked, .. } if asked == seq)
                && answer.as_ref().is_some_and(|it| it.answer == Answered::Approved)
        })
    }
}

/// A tool call, as the transcript tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub call: u64,
    /// The tool.
    pub tool: String,
    /// When it began, CLOCK_BOOTTIME, nanoseconds.
    pub start_boot_ns: u64,
    /// How long it took, nanoseconds; `None` where it never ended.
    pub duration_ns: Option<u64>,
    /// Whether the tool did what it was asked.
    pub ok: Option<bool>,
}

/// Why a directory cannot be judged at all.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Without a manifest nothing says which run this is and what it was granted.
    #[error("the run directory has no manifest that can be read")]
    Manifest(#[source] FileError),
    /// The manifest is one of a later format, which says what it says in other words.
    #[error(
        "the run directory has format {format}, and this version of Belljar knows {FORMAT}: a newer \
         one can read it"
    )]
    Newer {
        /// The format that the manifest names.
        format: u32,
    },
}

impl Record {
    /// Reads a run directory, effects excepted.
    ///
    /// # Errors
    ///
    /// When there is no manifest to read. Whatever else is missing is a problem of the record's.
    pub fn read(directory: &RunDir) -> Result<Self, RecordError> {
        let manifest = manifest(directory)?;
        let mut problems = Vec::new();
        if manifest.format > FORMAT {
            problems.push(format!(
                "The directory has format {}, and this version of Belljar knows {FORMAT}: what is new \
                 in it is left out.",
                manifest.format
            ));
        }
        let scenario: Option<Scenario> = read(directory, name::SCENARIO, &mut problems);
        if scenario.is_none() {
            problems.push("There is no account of the scenario and its constraints.".to_owned());
        }
        let samples = samples(directory, &mut problems);
        let (calls, interventions) = told(directory, &mut problems);
        Ok(Self {
            manifest,
            scenario: scenario.unwrap_or_default(),
            samples,
            baseline: read(directory, name::BASELINE, &mut problems),
            declared: read(directory, name::DECLARED, &mut problems).unwrap_or_default(),
            persistence: read(directory, name::PERSISTENCE, &mut problems),
            evidence: read(directory, name::EVIDENCE, &mut problems),
            calls,
            interventions,
            problems,
        })
    }
}

fn manifest(directory: &RunDir) -> Result<Manifest, RecordError> {
    #[derive(serde::Deserialize)]
    struct Format {
        format: u32,
    }
    directory.manifest().map_err(|error| match directory.read_json(name::MANIFEST) {
        Ok(Format { format }) if format > FORMAT => RecordError::Newer { format },
        _ => RecordError::Manifest(error),
    })
}

fn read<T: serde::de::DeserializeOwned>(
    directory: &RunDir,
    name: &str,
    problems: &mut Vec<String>,
) -> Option<T> {
    directory.read_json_if_present(name).unwrap_or_else(|error| {
        problems.push(format!("{name} cannot be read: {}.", cause(&error)));
        None
    })
}

fn samples(directory: &RunDir, problems: &mut Vec<String>) -> Vec<Sample> {
    match directory.samples() {
        Ok(lines) => keep(lines, name::OBJECTIVE, problems).collect(),
        Err(error) if error.is_missing() => Vec::new(),
        Err(error) => {
            problems.push(format!("{} cannot be read: {}.", name::OBJECTIVE, cause(&error)));
            Vec::new()
        }
    }
}

/// What the transcript tells about calls, questions and persons. A run without a transcript is no less
/// whole for it.
fn told(directory: &RunDir, problems: &mut Vec<String>) -> (Vec<Call>, Interventions) {
    let lines = match directory.transcript() {
        Ok(lines) => lines,
        Err(error) if error.is_missing() => return Default::default(),
        Err(error) => {
            problems.push(format!("{} cannot be read: {}.", name::TRANSCRIPT, cause(&error)));
            return Default::default();
        }
    };
    let mut calls: Vec<Call> = Vec::new();
    let mut interventions = Interventions::default();
    for entry in keep(lines, name::TRANSCRIPT, problems) {
        match entry.event {
            Event::Call { call, tool, .. } => calls.push(Call {
                call,
                tool,
                start_boot_ns: entry.boot_ns,
                duration_ns: None,
                ok: None,
            }),
            Event::Result { call, ok, duration_ns, .. } => {
                if let Some(begun) = calls.iter_mut().rev().find(|begun| begun.call == call) {
                    begun.ok = Some(ok);
                    begun.duration_ns = Some(duration_ns);
                }
            }
            Event::Question(question) => interventions.questions.push((*question, None)),
            Event::Answer(answer) => {
                let number = answer.question;
                let mut asked = interventions.questions.iter_mut();
                if let Some((_, given)) = asked.find(|(it, _)| it.question == number) {
                    *given = Some(answer);
                }
            }
            Event::Decision(decision) => interventions.decisions.push(decision),
            Event::Reload { policy, old_sha256, new_sha256, who, detail } => {
                let reload = Reload { policy, old_sha256, new_sha256, who, detail };
                interventions.reloads.push(reload);
            }
            Event::Message { .. }
            | Event::Reply { .. }
            | Event::ModelRequest { .. }
            | Event::ModelResponse { .. }
            | Event::Note { .. } => {}
        }
    }
    (calls, interventions)
}

/// The lines that can be read; the first that cannot is a problem.
pub(crate) fn keep<'a, T>(
    lines: impl Iterator<Item = Result<T, LineError>> + 'a,
    name: &'a str,
    problems: &'a mut Vec<String>,
) -> impl Iterator<Item = T> + 'a {
    let mut told = false;
    lines.filter_map(move |line| match line {
        Ok(value) => Some(value),
        Err(error) => {
            if !told {
                problems.push(format!("{name} is not whole: {}.", describe(&error)));
                told = true;
            }
            None
        }
    })
}

/// A line's error without the directory's path, so that a report reads the same wherever it lies.
fn describe(error: &LineError) -> String {
    match error {
        LineError::Torn { line, .. } => format!("it ends within line {line}"),
        LineError::Malformed { line, source, .. } => {
            format!("line {line} does not read as what it should hold ({source})")
        }
        LineError::Os { line, source, .. } => format!("line {line} cannot be read ({source})"),
    }
}

fn cause(error: &FileError) -> String {
    match error {
        FileError::Os { source, .. } => source.to_string(),
        FileError::Json { source, .. } => source.to_string(),
        FileError::NotEmpty { .. } | FileError::NotADirectory { .. } => error.to_string(),
    }
}
