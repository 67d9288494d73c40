//! What an agent is to the runner: something that is asked for its next turn.

use std::{error::Error, time::Duration};

use serde_json::Value;

use crate::tools::ToolResult;

/// What an agent does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// It says something.
    Say(String),
    /// It calls a tool, one that exists or not.
    Call {
        /// The tool's name.
        tool: String,
        /// The arguments, as the agent gave them.
        arguments: Value,
    },
    /// It lets the system go on for a while.
    Wait(Duration),
    /// It is done.
    Finish,
}

/// Why an agent could not go on. It ends the agent, not the run.
pub type AgentError = Box<dyn Error + Send + Sync>;

/// A multi-turn agent.
pub trait Agent: Send {
    /// The next turn. `last` is the result of the turn before, where that was a call.
    ///
    /// # Errors
    ///
    /// Whatever keeps the agent from going on; the agent then counts as failed.
    fn next(&mut self, last: Option<&ToolResult>) -> Result<Turn, AgentError>;
}
