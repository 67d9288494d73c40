//! `belljar policy`.

use policy::explain::{explain, render_table};

use crate::{
    cli::PolicyCommand,
    exit::{Exit, Failure, OrExit as _},
    run::{host_capabilities, read_policy, read_scenario, read_tier},
    stdout::{out, outln},
};

/// Checks, explains or prints a policy. None of it needs a privilege.
pub(crate) fn policy(command: PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::Check { file, scenario } => {
            let policy = read_policy(Some(&file))?;
            let components = components(&scenario)?;
            for tier in journal::Tier::ALL {
                policy.compile(tier, &components).map_err(Failure::in_file)?;
            }
            outln!("{}: sound at every tier", file.display());
        }
        PolicyCommand::Explain { file, tier, scenario, json } => {
            let policy = read_policy(file.as_deref())?;
            let compiled = policy
                .compile(read_tier(tier)?, &components(&scenario)?)
                .map_err(Failure::in_file)?;
            let (set, reason) = super::doctor::probe_set();
            let rules = explain(&compiled, &host_capabilities(set));
            if json {
                let text = serde_json::to_string_pretty(&rules).or_exit(Exit::Software)?;
                outln!("{text}");
            } else {
                out!("{}", render_table(&rules));
                if let Some(reason) = reason {
                    eprintln!("{reason}");
                }
            }
        }
        PolicyCommand::Default => out!("{}", policy::Policy::shipped().source()),
    }
    Ok(())
}

fn components(scenario: &str) -> Result<Vec<String>, Failure> {
    let scenario = read_scenario(scenario)?;
    Ok(scenario.components.iter().map(|component| component.name.get_ref().clone()).collect())
}
