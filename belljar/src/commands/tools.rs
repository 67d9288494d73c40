//! `belljar tools`: what an agent of a tier is handed.

use agent_runner::tools;

use crate::{
    cli::ToolsArgs,
    exit::{Exit, Failure, OrExit as _},
    run::read_tier,
    stdout::outln,
};

/// Prints the tools as a table, or as the JSON that a model sees.
pub(crate) fn tools(arguments: &ToolsArgs) -> Result<(), Failure> {
    let tier = read_tier(arguments.tier)?;
    if arguments.json {
        let declarations: Vec<_> = tools::tools_for(tier).map(tools::Tool::declaration).collect();
        outln!("{}", serde_json::to_string_pretty(&declarations).or_exit(Exit::Software)?);
        return Ok(());
    }
    for tool in tools::tools_for(tier) {
        outln!("{} {:<16} {}", tool.tier.number(), tool.name, tool.doc);
    }
    Ok(())
}
