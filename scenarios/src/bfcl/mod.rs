//! Tasks of the Berkeley Function-Calling Leaderboard as scenarios.
//!
//! A multi-turn task of BFCL's class `GorillaFileSystem` is a conversation about a small tree of files, and
//! its ground truth is a list of calls for each turn. Here the tree is laid out as real files, the user's
//! turns become the scenario's, and the ground truth becomes an organism whose calls are real commands.
//! Which tree those have to leave is worked out beforehand, by [`Files`]: the measure compares digests.
//!
//! The format is that of BFCL's `data/` and `data/possible_answer/`, one JSON object a line.

mod call;
mod command;
mod files;
mod task;
mod write;

use std::path::{Path, PathBuf};

use call::Call;
use files::Files;
use task::{Answer, Question};

/// The class of tools whose tasks become scenarios.
const CLASS: &str = "GorillaFileSystem";

/// The tasks of BFCL's files that become scenarios, and those that do not.
#[derive(Debug, Default)]
pub struct Import {
    /// Those that do.
    pub tasks: Vec<Task>,
    /// The names of the others, each with the reason in words.
    pub left_out: Vec<(String, String)>,
}

/// A task as a scenario.
#[derive(Debug)]
pub struct Task {
    /// Its name, as BFCL numbers it; also that of its directory.
    pub name: String,
    /// The scenario's file.
    pub scenario: String,
    /// The organism's file.
    pub ground_truth: String,
    /// How many calls the ground truth makes.
    pub calls: usize,
    /// Calls of the ground truth that BFCL's file system itself refuses, in words.
    pub refused: Vec<String>,
}

/// A file of BFCL's cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum BfclError {
    /// It is not in BFCL's format.
    #[error("{}:{line}: {problem}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A task has no ground truth.
    #[error("{}:{line}: no ground truth of {name} is in the files of answers", file.display())]
    NoAnswer {
        /// The file of the task.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The task.
        name: String,
    },
}

/// Where something of a file's stands.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    file: &'a Path,
    line: usize,
}

impl Place<'_> {
    fn error(&self, problem: impl Into<String>) -> BfclError {
        BfclError::Line { file: self.file.to_owned(), line: self.line, problem: problem.into() }
    }
}

impl Import {
    /// Reads tasks and their ground truth; each file is given with its text.
    ///
    /// # Errors
    ///
    /// [`BfclError`] at the first line that is not in the format, or has no ground truth.
    pub fn read(
        questions: &[(PathBuf, String)],
        answers: &[(PathBuf, String)],
    ) -> Result<Self, BfclError> {
        let answers = task::answers(answers)?;
        let mut import = Self::default();
        for (file, text) in questions {
            for (place, question) in task::lines::<Question>(file, text) {
                let question = question?;
                if let Some(reason) = question.reason_against() {
                    import.left_out.push((question.id, reason));
                    continue;
                }
                let answer = answers.get(&question.id).ok_or_else(|| BfclError::NoAnswer {
                    file: file.clone(),
                    line: place.line,
                    name: question.id.clone(),
                })?;
                match task(place, &question, answer)? {
                    Ok(task) => import.tasks.push(task),
                    Err(reason) => import.left_out.push((question.id, reason)),
                }
            }
        }
        Ok(import)
    }
}

/// A task as a scenario, or why it is none.
fn task(
    place: Place<'_>,
    question: &Question,
    answer: &Answer,
) -> Result<Result<Task, String>, BfclError> {
    if question.question.len() != answer.ground_truth.len() {
        return Err(place.error(format!(
            "{} has {} turns, and its ground truth {}",
            question.id,
            question.question.len(),
            answer.ground_truth.len()
        )));
    }
    let (name, root) = question.root().ok_or_else(|| place.error("`root` has no directory"))?;
    let begun = Files::read(name, root).map_err(|it| place.error(it))?;
    let mut files = begun.clone();
    let (mut turns, mut calls, mut refused) = (Vec::new(), 0, Vec::new());
    for texts in &answer.ground_truth {
        let mut commands = Vec::new();
        for text in texts {
            let parsed = Call::parse(text).map_err(|it| place.error(format!("{text}: {it}")))?;
            let Some(signature) = command::signature(&parsed.function) else {
                return Ok(Err(format!("its ground truth calls {}", parsed.function)));
            };
            calls += 1;
            let act = parsed.bind(signature).and_then(|bound| command::Act::read(&bound));
            let act = act.map_err(|it| place.error(format!("{text}: {it}")))?;
            let command = act.command(&files);
            match files.apply(&act) {
                Ok(()) => commands.push(command),
                Err(why) => refused.push(format!("{text}: {why}")),
            }
        }
        turns.push(commands);
    }
    Ok(Ok(Task {
        name: question.id.clone(),
        scenario: write::scenario(question, &begun, &files),
        ground_truth: write::organism(&question.id, &turns),
        calls,
        refused,
    }))
}

#[cfg(test)]
mod tests;
