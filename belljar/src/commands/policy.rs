//! `belljar policy`.

use std::collections::BTreeMap;

use journal::{RunDir, Verb};
use policy::explain::{explain, render_table};

use crate::{
    cli::PolicyCommand,
    desk::{Request, client},
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
            let mut vain: BTreeMap<Verb, Vec<String>> = BTreeMap::new();
            for tier in journal::Tier::ALL {
                let compiled = policy.compile(tier, &components).map_err(Failure::in_file)?;
                for verb in policy::asked_in_vain(&compiled) {
                    vain.entry(verb).or_default().push(tier.number().to_string());
                }
            }
            for (verb, tiers) in vain {
                eprintln!(
                    "warning: {} asks about {verb}, which seccomp refuses at tiers {} whatever is answered",
                    file.display(),
                    tiers.join(" ")
                );
            }
            outln!("{}: sound at every tier", file.display());
        }
        PolicyCommand::Explain { file, tier, scenario, probes, json } => {
            let policy = read_policy(file.as_deref())?;
            let tier = read_tier(tier)?;
            let compiled =
                policy.compile(tier, &components(&scenario)?).map_err(Failure::in_file)?;
            let (set, reason) = match probes.only() {
                None => super::doctor::probe_set(),
                only => (only, None),
            };
            let rules = explain(&compiled, &host_capabilities(set));
            if json {
                let text = serde_json::to_string_pretty(&rules).or_exit(Exit::Software)?;
                outln!("{text}");
            } else {
                let probes =
                    set.map_or("no probes".to_owned(), |set| format!("{} probes", set.name()));
                outln!("{} at tier {} ({}), {probes}\n", policy.name(), tier.number(), tier.name());
                out!("{}", render_table(&rules));
                if let Some(reason) = reason {
                    eprintln!("{reason}");
                }
            }
        }
        PolicyCommand::Simulate { directory, policy, tier, json } => {
            let directory = RunDir::open(directory).or_exit(Exit::Data)?;
            let policy = read_policy(policy.as_deref())?;
            let tier = tier.map(read_tier).transpose()?;
            let simulation = scoring::simulate(&directory, &policy, tier).or_exit(Exit::Data)?;
            if json {
                outln!("{}", serde_json::to_string_pretty(&simulation).or_exit(Exit::Software)?);
            } else {
                out!("{}", report::simulation(&simulation));
            }
        }
        PolicyCommand::Diff { before, after, scenario, json } => {
            let (before, after) = (read_policy(Some(&before))?, read_policy(Some(&after))?);
            let differences =
                policy::diff(&before, &after, &components(&scenario)?).map_err(Failure::in_file)?;
            if json {
                outln!("{}", serde_json::to_string_pretty(&differences).or_exit(Exit::Software)?);
            } else if differences.is_empty() {
                outln!("The two say the same of every verb and label at every tier.");
            } else {
                for difference in &differences {
                    out!("{}", difference_line(difference));
                }
            }
        }
        PolicyCommand::Reload { run, policy } => {
            let run = super::runs::find(&run)?;
            // What is wrong with it is shown here, with its place.
            let name = policy.display().to_string();
            let policy = read_policy(Some(&policy))?;
            let text = policy.source().to_owned();
            let request = Request::Reload { text, name, who: client::who() };
            outln!("run {}: {}", run.name(), client::have_done(&run, &request)?);
        }
        PolicyCommand::Default => out!("{}", policy::Policy::shipped().source()),
        PolicyCommand::Schema => {
            let text = serde_json::to_string_pretty(&policy::schema()).or_exit(Exit::Software)?;
            outln!("{text}");
        }
    }
    Ok(())
}

/// `kill host, tiers 2 3 4 5: allow became deny (why)`.
fn difference_line(difference: &policy::Difference) -> String {
    let tiers: Vec<_> = difference.tiers.iter().map(|tier| tier.number().to_string()).collect();
    format!(
        "{} {}, {} {}: {} became {} ({})\n",
        difference.verb,
        difference.label,
        if tiers.len() == 1 { "tier" } else { "tiers" },
        tiers.join(" "),
        difference.before,
        difference.after,
        journal::escape::visible(&difference.reason),
    )
}

fn components(scenario: &str) -> Result<Vec<String>, Failure> {
    let scenario = read_scenario(scenario)?;
    Ok(scenario.components.iter().map(|component| component.name.get_ref().clone()).collect())
}
