//! The desk: where persons come to a run that goes on. Its supervisor listens on a socket that only root
//! can connect to, keeps what was asked and answered, and writes it into the transcript.
//!
//! [`request`] is the client's side, for commands; [`server`] the supervisor's; [`questions`] what waits
//! for an answer, [`mod@reload`] how another policy takes the run's place, [`approver`] the program that may give it, [`transcript`] what both the agent's session
//! and the desk write.

pub(crate) mod approver;
pub(crate) mod client;
pub(crate) mod questions;
pub(crate) mod reload;
pub(crate) mod server;
pub(crate) mod transcript;

use journal::question::{Answered, Decided, Question};
use serde::{Deserialize, Serialize};

/// What a person says to a run's supervisor, a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub(crate) enum Request {
    /// What waits for an answer?
    Questions,
    /// The answer to a question.
    Answer { question: u64, answer: Answered, who: String },
    /// Something is about to be done to the run.
    Decided { decision: Decided, call: Option<u64>, components: bool, who: String },
    /// Another policy, by its text and file name, for the rest of the run.
    Reload { text: String, name: String, who: String },
}

/// What the supervisor says, likewise.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub(crate) enum Reply {
    /// What waits, in order.
    Questions { questions: Vec<Waiting> },
    /// It is done; in words.
    Done { what: String },
    /// It is not done; in words.
    Refused { why: String },
}

/// A question that waits for its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Waiting {
    #[serde(flatten)]
    pub(crate) question: Question,
    /// How long it still waits, seconds.
    pub(crate) seconds_left: u64,
}

/// What a question asks, in words; what an agent chose in it is not escaped.
pub(crate) fn words(question: &Question) -> String {
    use journal::{Effect, question::About};
    match &question.about {
        About::Effect { verb, object, args, .. } => {
            let effect = Effect { args: args.clone(), ..Effect::done(*verb, object.clone()) };
            let label = match &object.to_label {
                Some(to) if *to != object.label => format!("{} to {to}", object.label),
                _ => object.label.clone(),
            };
            format!("{} [{label}]", report::act(&effect))
        }
        About::Tool { tool, arguments } => format!("{tool} {arguments}"),
    }
}

/// Why it is asked, in words, with the rule.
pub(crate) fn why(question: &Question) -> String {
    match &question.rule {
        Some(rule) => format!("{} (rule {rule})", question.reason),
        None => question.reason.clone(),
    }
}
