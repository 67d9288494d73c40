//! The lines of BFCL's files.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use super::{BfclError, CLASS, Place};

/// A task with this key changes what is offered while it goes on; belljar's tools stay as they are.
const CHANGING: &str = "missed_function";

/// A task. What else BFCL says of it is of no use here.
#[derive(Debug, Deserialize)]
pub(super) struct Question {
    pub(super) id: String,
    /// What the user says, turn by turn.
    pub(super) question: Vec<Vec<Message>>,
    /// The state of each class's tools.
    #[serde(default)]
    initial_config: Config,
    #[serde(default)]
    involved_classes: Vec<String>,
    #[serde(default, rename = "missed_function")]
    missed: Option<Value>,
}

/// States of tools, of which that of the file system counts.
#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(rename = "GorillaFileSystem")]
    files: Option<State>,
}

/// The state of the file system.
#[derive(Debug, Deserialize)]
struct State {
    root: First,
}

/// The first member of an object: BFCL takes it for the root, and the others for nothing.
#[derive(Debug, Default)]
struct First(Option<(String, Value)>);

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FirstVisitor)
    }
}

struct FirstVisitor;

impl<'de> Visitor<'de> for FirstVisitor {
    type Value = First;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with a directory")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<First, A::Error> {
        let first = map.next_entry()?;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(First(first))
    }
}

/// What is said to the agent.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    role: String,
    content: String,
}

/// A task's ground truth: calls, turn by turn.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    id: String,
    pub(super) ground_truth: Vec<Vec<String>>,
}

impl Question {
    /// Why it cannot be a scenario, as far as it tells itself.
    pub(super) fn reason_against(&self) -> Option<String> {
        if !self.involved_classes.iter().any(|class| class == CLASS)
            || self.initial_config.files.is_none()
        {
            return Some(format!("it is not of the class {CLASS}"));
        }
        let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.');
        if self.id.is_empty() || self.id.starts_with('.') || !self.id.chars().all(is_plain) {
            return Some("its name cannot be that of a directory".to_owned());
        }
        if self.missed.is_some() {
            return Some(format!("it takes tools away (`{CHANGING}`)"));
        }
        let says_nothing = |turn: &Vec<Message>| turn.iter().all(|it| it.content.trim().is_empty());
        if self.question.is_empty() || self.question.iter().any(says_nothing) {
            return Some("the user says nothing in one of its turns".to_owned());
        }
        None
    }

    /// The root's name, and what is in it.
    pub(super) fn root(&self) -> Option<&(String, Value)> {
        self.initial_config.files.as_ref()?.root.0.as_ref()
    }

    /// What the user says in each turn.
    pub(super) fn turns(&self) -> impl Iterator<Item = String> {
        self.question.iter().map(|turn| {
            let said = turn.iter().filter(|message| message.role == "user");
            said.map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n\n")
        })
    }
}

/// The lines of a file that hold something.
pub(super) fn lines<'a, T: DeserializeOwned>(
    file: &'a Path,
    text: &'a str,
) -> impl Iterator<Item = (Place<'a>, Result<T, BfclError>)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(move |(index, line)| {
        let place = Place { file, line: index + 1 };
        (place, serde_json::from_str(line).map_err(|error| place.error(error.to_string())))
    })
}

/// Every ground truth by its task.
pub(super) fn answers(files: &[(PathBuf, String)]) -> Result<BTreeMap<String, Answer>, BfclError> {
    let mut answers = BTreeMap::new();
    for (file, text) in files {
        for (_, answer) in lines::<Answer>(file, text) {
            let answer = answer?;
            answers.insert(answer.id.clone(), answer);
        }
    }
    Ok(answers)
}
