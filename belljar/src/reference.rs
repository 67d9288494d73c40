//! Reference pages, generated from the declarations that the program itself uses.

use std::fmt::Write as _;

use anyhow::anyhow;
use clap::CommandFactory as _;
use ebpf_common::{Label, LabelId, Need, Tier, Verb, verb::required_tier};

use crate::{
    cli::Cli,
    exit::{Exit, Failure},
};

/// Names of all pages.
const PAGES: [&str; 7] = ["verbs", "policy", "metrics", "runs", "studies", "exit-codes", "cli"];

/// A page, in Markdown.
pub(crate) fn page(name: &str) -> Result<String, Failure> {
    match name {
        "verbs" => Ok(verbs()),
        "policy" => policy_page(),
        "metrics" => Ok(observer::metrics::reference()),
        "runs" => Ok(archive::schema::reference()),
        "studies" => Ok(studies::reference()),
        "exit-codes" => Ok(exit_codes()),
        "cli" => Ok(cli()),
        _ => {
            let message = format!("no page {name}: there are {}", PAGES.join(", "));
            Err(Failure::new(Exit::Usage, anyhow!(message)))
        }
    }
}

fn verbs() -> String {
    let mut page = String::from(
        "# Verbs\n\nWhat an effect can be, and the tier that it needs by the label of its object. \
         Times are CLOCK_BOOTTIME in nanoseconds; process ids are those of the initial pid namespace.\n",
    );
    for &verb in Verb::ALL {
        let _ = write!(page, "\n## `{verb}`\n\n{}\n\n", verb.doc());
        let arguments: Vec<_> =
            verb.args().iter().map(|arg| format!("`{}` ({:?})", arg.name, arg.kind)).collect();
        if !arguments.is_empty() {
            let _ = writeln!(page, "Arguments: {}.\n", arguments.join(", "));
        }
        page.push_str("| label | needs |\n| --- | --- |\n");
        for label in Label::ALL.into_iter().filter(|&label| verb.can_meet(label)) {
            let needs = match required_tier(verb, label) {
                Need::Tier(tier) => format!("tier {tier}"),
                Need::Never | Need::Oversight => "never granted".to_owned(),
                Need::Unresolved => "never granted: the object could not be resolved".to_owned(),
            };
            let _ = writeln!(page, "| `{}` | {needs} |", label.name());
        }
    }
    page
}

/// What the shipped policy says to every verb and label, tier by tier.
fn policy_page() -> Result<String, Failure> {
    let shipped = policy::Policy::shipped();
    let tiers = Tier::ALL
        .iter()
        .map(|&tier| shipped.compile(tier, &["any".to_owned()]).map_err(Failure::in_file))
        .collect::<Result<Vec<_>, _>>()?;
    let mut page = String::from(
        "# The shipped policy\n\nVerdicts by verb, label of the object and granted tier. A policy file \
         can change them: see [policy](../policy.md). `component` stands for every component of a \
         scenario.\n\n| verb | label |",
    );
    for tier in Tier::ALL {
        let _ = write!(page, " tier {} |", tier.number());
    }
    page.push_str("\n| --- | --- |");
    page.push_str(&" --- |".repeat(tiers.len()));
    page.push('\n');
    for &verb in Verb::ALL {
        for label in Label::ALL.into_iter().filter(|&label| verb.can_meet(label)) {
            let _ = write!(page, "| `{verb}` | `{}` |", label.name());
            let id = match label {
                Label::Component => LabelId::FIRST_COMPONENT,
                _ => label as u8,
            };
            for compiled in &tiers {
                let _ = write!(page, " {} |", compiled.verdict(verb, LabelId::from_number(id)));
            }
            page.push('\n');
        }
    }
    let _ = write!(page, "\n```toml\n{}```\n", shipped.source());
    Ok(page)
}

fn exit_codes() -> String {
    let mut page = String::from(
        "# Exit codes\n\nA wrapped command that was clean ends as the command did, so that its codes can be any of \
         these, but 80 and 81, which always tell of a verdict: a clean run whose command exited with one of them ends \
         with 1, and a line on standard error says so. The command's own code is `agent_exit` in `manifest.json`. 126 \
         and 127 say, as in a shell, that it could not be executed, and 137 that it was frozen and killed because nobody let it go on.\n\nA clean run whose output or report nobody took \
         ends with 74 where it would have ended with 0.\n\n| code | meaning |\n| --- | --- |\n| 0 | Done; a run was clean. |\n",
    );
    for (exit, meaning) in Exit::ALL {
        let _ = writeln!(page, "| {} | {meaning} |", exit as u8);
    }
    page
}

fn cli() -> String {
    let mut page = String::from("# Command line\n");
    let mut root = Cli::command();
    root.build();
    describe(&mut page, &mut root, "");
    page
}

fn describe(page: &mut String, command: &mut clap::Command, parent: &str) {
    let name = format!("{parent}{}", command.get_name());
    let help = command.clone().bin_name(&name).term_width(100).render_long_help().to_string();
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    let _ = write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    for sub in command.get_subcommands_mut() {
        if !sub.is_hide_set() && sub.get_name() != "help" {
            describe(page, sub, &format!("{name} "));
        }
    }
}
