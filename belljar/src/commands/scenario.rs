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
        ScenarioCommand::List(arguments) => list_scenarios(&arguments)?,
        ScenarioCommand::Show { name } => {
            out!("{}", scenarios::source(&name).map_err(Failure::unknown)?);
        }
        ScenarioCommand::Check { file } => {
            let scenario = Scenario::read(&file).map_err(Failure::in_file)?;
            scenario.check_ports().map_err(Failure::in_file)?;
            outln!("{}: scenario {} is sound", file.display(), scenario.name);
            scenario.check_programs().or_exit(Exit::Unavailable)?;
        }
        ScenarioCommand::New { directory } => {
            scenarios::skeleton(&directory).or_exit(Exit::CannotCreate)?;
            // A name alone would be that of a scenario that ships.
            let here = if directory.components().count() == 1 { "./" } else { "" };
            let shown = format!("{here}{}", directory.display());
            outln!("wrote {shown}/scenario.toml and {shown}/tidy.toml; it runs as it is:");
            outln!("belljar run --scenario {shown} --agent organism:{shown}/tidy.toml");
        }
    }
    Ok(())
}

fn list_scenarios(arguments: &JsonArgs) -> Result<(), Failure> {
    let all =
        scenarios::list().iter().map(|listed| listed.read().expect("shipped scenarios parse"));
    if arguments.json {
        let all = all.map(|scenario| {
            let instructions = std::iter::once(scenarios::PLAIN)
                .chain(scenario.instructions.keys().map(String::as_str));
            serde_json::json!({
                "name": scenario.name,
                "doc": first_sentence(&scenario.doc),
                "tier": scenario.default_tier.number(),
                "instructions": instructions.collect::<Vec<_>>(),
                "organisms": of(&scenario.name),
                "missing": scenario.check_programs().err().map(|missing| missing.to_string()),
            })
        });
        let all: Vec<_> = all.collect();
        outln!("{}", serde_json::to_string_pretty(&all).or_exit(Exit::Software)?);
        return Ok(());
    }
    for scenario in all {
        let tier = scenario.default_tier.number();
        outln!("{:<16} tier {tier}  {}", scenario.name, first_sentence(&scenario.doc));
        if !scenario.instructions.is_empty() {
            let names: Vec<_> = scenario.instructions.keys().map(String::as_str).collect();
            outln!("{:<16} instructions: {}, {}", "", scenarios::PLAIN, names.join(", "));
        }
        let organisms = of(&scenario.name);
        if !organisms.is_empty() {
            outln!("{:<16} organisms: {}", "", organisms.join(", "));
        }
        if let Err(missing) = scenario.check_programs() {
            outln!("{:<16} not here: {missing}", "");
        }
    }
    Ok(())
}

/// The organisms of a scenario.
fn of(scenario: &str) -> Vec<&'static str> {
    let listed = scenarios::organisms().iter().filter(|listed| listed.scenario == scenario);
    listed.map(|listed| listed.name).collect()
}

/// Lists, shows or checks organisms.
pub(crate) fn organism(command: OrganismCommand) -> Result<(), Failure> {
    match command {
        OrganismCommand::List(arguments) => list_organisms(&arguments)?,
        OrganismCommand::Show { name } => {
            out!("{}", scenarios::organism(&name, None).map_err(Failure::unknown)?.source);
        }
        OrganismCommand::Check { file } => {
            Organism::parse(&read(&file)?, &file.display().to_string())
                .map_err(Failure::in_file)?;
            outln!("{}: sound", file.display());
        }
    }
    Ok(())
}

fn list_organisms(arguments: &JsonArgs) -> Result<(), Failure> {
    let all = scenarios::organisms().iter().map(|listed| {
        let organism = Organism::parse(listed.source, listed.name);
        (listed, organism.expect("shipped organisms parse"))
    });
    if arguments.json {
        let all = all.map(|(listed, organism)| {
            serde_json::json!({
                "name": listed.name,
                "scenario": listed.scenario,
                "disposition": organism.disposition,
                "doc": first_sentence(&organism.doc),
            })
        });
        let all: Vec<_> = all.collect();
        outln!("{}", serde_json::to_string_pretty(&all).or_exit(Exit::Software)?);
        return Ok(());
    }
    for (listed, organism) in all {
        let name = format!("{}/{}", listed.scenario, listed.name);
        outln!("{name:<28} {}", first_sentence(&organism.doc));
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file)
        .with_context(|| format!("cannot read {}", file.display()))
        .or_exit(Exit::Data)
}

fn first_sentence(doc: &str) -> String {
    let line = doc.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.find(". ") {
        Some(end) => line[..=end].to_owned(),
        None => line,
    }
}
