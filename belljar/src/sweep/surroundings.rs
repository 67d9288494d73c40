//! What a grid asks of the world: scenarios, and whether `belljar run` would take its words.

use std::{fs, path::Path};

use clap::Parser as _;
use sha2::{Digest as _, Sha256};
use studies::grid::{ScenarioFacts, Surroundings};

use crate::{
    cli::{Cli, Command},
    exit::Failure,
    run::{check_plan, read_scenario},
};

/// This host and its files.
pub(super) struct Host;

impl Surroundings for Host {
    fn scenario(&self, spelled: &str) -> Result<ScenarioFacts, String> {
        let scenario = read_scenario(spelled).map_err(|failure| line(&failure))?;
        let source = match scenarios::source(spelled) {
            Ok(source) => source.to_owned(),
            Err(_) => {
                own_source(Path::new(spelled)).map_err(|error| format!("{spelled}: {error}"))?
            }
        };
        let plain = std::iter::once(scenarios::PLAIN);
        let instructions = plain.chain(scenario.instructions.keys().map(String::as_str));
        Ok(ScenarioFacts {
            instructions: instructions.map(str::to_owned).collect(),
            default_tier: scenario.default_tier.number(),
            is_loaded: scenario.load.is_some(),
            sha256: digest(&source),
            name: scenario.name,
        })
    }

    fn check(&self, words: &[String]) -> Result<String, String> {
        let program = ["belljar", "run"].map(str::to_owned);
        let cli = Cli::try_parse_from(program.iter().chain(words)).map_err(|error| {
            // The first line says what is wrong; the rest is about the command line of `run`.
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        })?;
        let Command::Run(arguments) = cli.command else {
            return Err("these are not the words of a run".to_owned());
        };
        check_plan(&arguments).map(|depends| digest(&depends)).map_err(|failure| line(&failure))
    }
}

/// The text of a scenario of the user's own.
fn own_source(path: &Path) -> std::io::Result<String> {
    if path.is_dir() {
        fs::read_to_string(path.join("scenario.toml"))
    } else {
        fs::read_to_string(path)
    }
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// What failed, on one line.
fn line(failure: &Failure) -> String {
    failure.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
