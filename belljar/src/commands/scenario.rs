//! `belljar scenario` and `belljar organism`.

use std::{fs, path::Path};

use agent_runner::Organism;
use anyhow::Context as _;
use scenarios::Scenario;

use crate::{
    cli::{JsonArgs, OrganismCommand, ScenarioCommand},
    exit::{Exit, Failure, OrExit as _},
    stdout::{out, outln},
};

/// Lists, shows or checks scenarios.
pub(crate) fn scenario(command: ScenarioCommand) -> Result<(), Failure> {
    match command {
        ScenarioCommand::List(arguments) => {
            let all = scenarios::list().iter().map(|listed| {
                let scenario = listed.read().expect("shipped scenarios parse");
                (listed.name.to_owned(), first_sentence(&scenario.doc))
            });
            list(&arguments, all)?;
        }
        ScenarioCommand::Show { name } => {
            out!("{}", scenarios::source(&name).map_err(Failure::unknown)?);
        }
        ScenarioCommand::Check { file } => {
            let scenario = Scenario::parse(&file.display().to_string(), &read(&file)?)
                .map_err(Failure::in_file)?;
            outln!("{}: scenario {} is sound", file.display(), scenario.name);
        }
    }
    Ok(())
}

/// Lists, shows or checks organisms.
pub(crate) fn organism(command: OrganismCommand) -> Result<(), Failure> {
    match command {
        OrganismCommand::List(arguments) => {
            let all = scenarios::organisms().iter().map(|listed| {
                let organism =
                    Organism::parse(listed.source, listed.name).expect("shipped organisms parse");
                (listed.name.to_owned(), first_sentence(&organism.doc))
            });
            list(&arguments, all)?;
        }
        OrganismCommand::Show { name } => {
            out!("{}", scenarios::organism(&name).map_err(Failure::unknown)?);
        }
        OrganismCommand::Check { file } => {
            Organism::parse(&read(&file)?, &file.display().to_string())
                .map_err(Failure::in_file)?;
            outln!("{}: sound", file.display());
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file)
        .with_context(|| format!("cannot read {}", file.display()))
        .or_exit(Exit::Data)
}

fn list(arguments: &JsonArgs, all: impl Iterator<Item = (String, String)>) -> Result<(), Failure> {
    if arguments.json {
        let all: Vec<_> =
            all.map(|(name, doc)| serde_json::json!({ "name": name, "doc": doc })).collect();
        outln!("{}", serde_json::to_string_pretty(&all).or_exit(Exit::Software)?);
        return Ok(());
    }
    for (name, doc) in all {
        outln!("{name:<16} {doc}");
    }
    Ok(())
}

fn first_sentence(doc: &str) -> String {
    let line = doc.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.find(". ") {
        Some(end) => line[..=end].to_owned(),
        None => line,
    }
}
