//! Questions that a run asks of somebody outside, their answers, and what else a person decides about
//! it: parts of the transcript, and what `belljar approve` and an approver program are shown.

use std::collections::BTreeMap;

use ebpf_common::{Disposition, Verb};
use serde::{Deserialize, Serialize};

use crate::effect::{Object, Outcome};

/// A question: whether an act may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Its number in the run, from 1.
    pub question: u64,
    /// The call that stands still until the answer.
    pub call: Option<u64>,
    /// What is asked about.
    pub about: About,
    /// Name of the policy's rule that asks, where one with a name does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why the policy asks.
    pub reason: String,
    /// Why an approval opens nothing; absent where it opens what is asked about, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hindrance: Option<String>,
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "events keep a question behind a pointer")]
pub enum About {
    /// An effect that was refused, or that nothing could refuse.
    Effect {
        /// Its number among the effects.
        seq: u64,
        /// What was tried.
        verb: Verb,
        /// To what.
        object: Object,
        /// The verb's arguments.
        args: BTreeMap<String, serde_json::Value>,
        /// Whether it was prevented.
        disposition: Disposition,
        /// How it ended.
        outcome: Outcome,
    },
    /// A tool call, before it starts.
    Tool {
        /// The tool.
        tool: String,
        /// What it is called with, as the agent wrote it.
        arguments: serde_json::Value,
    },
}

/// How a question was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The question's number.
    pub question: u64,
    /// The answer.
    pub answer: Answered,
    /// Who gave it.
    pub by: By,
    /// Who that was, as far as known; or why there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Whether it opened the act in the kernel, once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opened: bool,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    /// Yes.
    Approved,
    /// No: the denial stands, and the call goes on.
    Refused,
    /// No, and the call is killed.
    Killed,
    /// Nobody said anything of use in time, which means no.
    NoAnswer,
}

impl Answered {
    /// In words that complete "the question was".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Killed => "refused, and its call killed",
            Self::NoAnswer => "left without an answer, which means no",
        }
    }
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A person, with a command.
    Person,
    /// The program that the run was started with.
    Approver,
    /// Nobody.
    Nobody,
}

impl By {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Person => "a person",
            Self::Approver => "the approver program",
            Self::Nobody => "nobody",
        }
    }
}

/// What a person did to a run, unasked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What.
    pub decision: Decided,
    /// The one call that it was done to; absent for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<u64>,
    /// Whether the scenario's components are in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub components: bool,
    /// Who, as far as known.
    pub who: String,
}

/// What a person can do to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// Have it stand still.
    Freeze,
    /// Let it go on.
    Resume,
    /// End it.
    Kill,
}

impl Decided {
    /// As a past participle.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Freeze => "frozen",
            Self::Resume => "resumed",
            Self::Kill => "killed",
        }
    }
}
