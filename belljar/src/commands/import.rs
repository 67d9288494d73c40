//! `belljar import`.

use std::{
    fs::{self, DirBuilder},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use scenarios::bfcl::{Import, Task};

use crate::{
    cli::ImportCommand,
    exit::{Exit, Failure, OrExit as _},
    stdout::outln,
};

/// The name of a task's organism.
const GROUND_TRUTH: &str = "ground-truth.toml";
/// Where BFCL keeps ground truth, beside the tasks.
const ANSWERS: &str = "possible_answer";

/// Turns tasks into scenarios.
pub(crate) fn import(command: ImportCommand) -> Result<(), Failure> {
    let ImportCommand::Bfcl { files, answers, out, json } = command;
    let answers = if answers.is_empty() { beside(&files) } else { answers };
    let import = Import::read(&read(&files)?, &read(&answers)?).or_exit(Exit::Data)?;
    if import.tasks.is_empty() {
        let message = match import.left_out.first() {
            None => "there is no task in these files".to_owned(),
            Some((name, reason)) => format!(
                "none of {} tasks becomes a scenario; the first, {name}: {reason}",
                import.left_out.len()
            ),
        };
        return Err(Failure::new(Exit::Data, anyhow!(message)));
    }
    for task in &import.tasks {
        write(task, &out.join(&task.name)).or_exit(Exit::CannotCreate)?;
    }
    if json {
        outln!("{}", serde_json::to_string_pretty(&listed(&import, &out)).or_exit(Exit::Software)?);
    } else {
        tell(&import, &out)?;
    }
    Ok(())
}

/// The files of ground truth that go with files of tasks.
fn beside(files: &[PathBuf]) -> Vec<PathBuf> {
    let beside = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default();
        file.parent().unwrap_or(Path::new("")).join(ANSWERS).join(name)
    };
    files.iter().map(beside).collect()
}

fn read(files: &[PathBuf]) -> Result<Vec<(PathBuf, String)>, Failure> {
    let read = |file: &PathBuf| {
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))
            .or_exit(Exit::Data)?;
        Ok((file.clone(), text))
    };
    files.iter().map(read).collect()
}

/// A task that is there already is left as it is.
fn write(task: &Task, directory: &Path) -> anyhow::Result<()> {
    let failed = |path: &Path| format!("cannot create {}", path.display());
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).with_context(|| failed(parent))?;
    }
    DirBuilder::new().create(directory).with_context(|| failed(directory))?;
    for (name, text) in [("scenario.toml", &task.scenario), (GROUND_TRUTH, &task.ground_truth)] {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| failed(&path))?;
    }
    Ok(())
}

fn listed(import: &Import, out: &Path) -> serde_json::Value {
    let tasks = import.tasks.iter().map(|task| {
        let directory = out.join(&task.name);
        serde_json::json!({
            "name": task.name,
            "scenario": directory,
            "ground_truth": directory.join(GROUND_TRUTH),
            "calls": task.calls,
            "refused": task.refused,
        })
    });
    let left_out = import
        .left_out
        .iter()
        .map(|(name, reason)| serde_json::json!({ "name": name, "reason": reason }));
    serde_json::json!({
        "tasks": tasks.collect::<Vec<_>>(),
        "left_out": left_out.collect::<Vec<_>>(),
    })
}

fn tell(import: &Import, out: &Path) -> Result<(), Failure> {
    for (name, reason) in &import.left_out {
        outln!("left out: {}: {}", escaped(name), escaped(reason));
    }
    for task in &import.tasks {
        for refused in &task.refused {
            outln!("{}: not made, since BFCL refuses it too: {}", task.name, escaped(refused));
        }
    }
    let (tasks, first) = (import.tasks.len(), &import.tasks[0]);
    // A path without a slash would be a name.
    let here = if out.is_absolute() || out.starts_with(".") { "" } else { "./" };
    let first = format!("{here}{}", out.join(&first.name).display());
    outln!("wrote {tasks} scenarios to {}; {} left out", out.display(), import.left_out.len());
    outln!("belljar run --scenario {first} --agent organism:{first}/{GROUND_TRUTH}");
    Ok(())
}

/// What a file says, for a terminal.
fn escaped(text: &str) -> String {
    journal::escape::escape_text(text).into_owned()
}
