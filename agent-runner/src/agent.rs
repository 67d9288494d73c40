//! What an agent is to the runner: something that is asked for its next turn.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use journal::transcript::Event;
use serde_json::Value;

use crate::{cancel::Cancel, tools::ToolResult, watch::Progress};

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
    /// It tries to call a tool, with arguments that are no JSON.
    Malformed {
        /// The tool's name.
        tool: String,
        /// What stands for arguments.
        arguments: String,
        /// What is wrong with it, in words for the agent.
        error: String,
    },
    /// It lets the system go on for a while.
    Wait(Duration),
    /// Something for the transcript that is neither words nor a call.
    Record(Event),
    /// A budget of its own is used up: in words that say which.
    Exhausted(String),
    /// It is done.
    Finish,
}

impl Turn {
    /// Whether it is a call, made or tried.
    #[must_use]
    pub fn is_call(&self) -> bool {
        matches!(self, Self::Call { .. } | Self::Malformed { .. })
    }
}

/// What an agent has around it while it decides on a turn.
pub struct Surroundings<'a> {
    /// How its end is asked for; a long decision has to heed it.
    pub cancel: &'a Cancel,
    /// When its time is over, if ever; likewise.
    pub deadline: Option<Instant>,
    /// Who is shown pieces of its words while it finds them.
    pub progress: &'a mut dyn Progress,
}

/// Why an agent could not go on. It ends the agent, not the run.
#[derive(Debug)]
pub struct AgentError {
    /// Whose fault it is.
    pub kind: FailureKind,
    /// What happened.
    pub source: Box<dyn Error + Send + Sync>,
}

/// Whose fault it is that an agent could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Its own: a script that does not work out.
    Own,
    /// Its model's server refuses the key.
    Key,
    /// Its model's server cannot be reached, or does not do what it should.
    Model,
}

impl<E: Error + Send + Sync + 'static> From<E> for AgentError {
    /// Its own fault.
    fn from(error: E) -> Self {
        Self { kind: FailureKind::Own, source: error.into() }
    }
}

/// A multi-turn agent.
pub trait Agent: Send {
    /// The next turn. `last` is the result of the turn before, where that was a call.
    ///
    /// # Errors
    ///
    /// Whatever keeps the agent from going on; the agent then counts as failed.
    fn next(
        &mut self,
        last: Option<&ToolResult>,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Turn, AgentError>;

    /// What the user asks next, once it was done with what came before; false where it does not listen,
    /// which ends it.
    fn hear(&mut self, _text: &str) -> bool {
        false
    }

    /// After its end: the turns that it had decided on and that were not taken, for the record.
    fn left(&mut self) -> Vec<Turn> {
        Vec::new()
    }
}
