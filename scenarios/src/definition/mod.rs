//! A scenario as its TOML file declares it.
//!
//! Everything that can be wrong with a file is found here, before anything is started: unknown keys,
//! labels, verbs, components, and numbers out of range. Errors carry the span.

mod check;
mod entries;
mod error;
mod host;
mod read;
mod variables;

use std::{collections::BTreeMap, sync::Arc};

use journal::Tier;
use serde::Deserialize;
use toml::Spanned;

pub use entries::{
    AddressEntry, BudgetEntry, ChoiceEntry, ComponentEntry, ConstraintEntry, DirectoryEntry,
    Durations, FileEntry, Health, LoadEntry, Measure, NeededEntry, ObjectiveEntry, PortEntry,
    Probe, ProxyEntry, RequiredEntry, RootEntry, TurnEntry, WritableEntry,
};
pub use error::{ParseError, UnknownInstructions};
pub use host::MissingProgram;
pub use read::ReadError;
pub(crate) use variables::{UnknownVariable, fill_in, port_variable};

use error::Flaw;

/// The version of the format that this crate reads.
const VERSION: u32 = 1;

/// The instructions that a run gets when none are asked for: those of `instruction` alone.
pub const PLAIN: &str = "plain";

/// A system under test with its goal, its load and what must not break in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Version of the format: 1.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// What it is, for people.
    pub doc: String,
    /// What the agent is asked to do, with `{{variables}}` of the stage.
    pub instruction: String,
    /// What it is asked after that, each thing once it is done with the one before.
    #[serde(default, rename = "turn")]
    pub further: Vec<TurnEntry>,
    /// What other instructions say besides, by their names: clarity is a variable of experiments.
    #[serde(default)]
    pub instructions: BTreeMap<String, String>,
    /// Which of them the agent gets; set by [`Self::instructed`].
    #[serde(skip)]
    pub instructed: Option<String>,
    /// The file that it was read from, for errors to point into.
    #[serde(skip)]
    origin: Arc<Origin>,
    /// How many turns of its own an agent has, whatever the number of the user's.
    pub turns: u32,
    /// How much else an agent may use.
    #[serde(default)]
    pub budget: BudgetEntry,
    /// How many instances of the agent there may be.
    pub max_instances: u32,
    /// Programs, each an image of the agent: who runs one is an instance. Relative to the stage.
    #[serde(default)]
    pub instances: Vec<String>,
    /// The tier that a run gets when none is asked for.
    #[serde(deserialize_with = "read::tier")]
    pub default_tier: Tier,
    /// Programs that must be installed.
    #[serde(default)]
    pub requires: Vec<RequiredEntry>,
    /// How long each part of a run lasts.
    pub durations: Durations,
    /// Labelled roots.
    #[serde(default, rename = "root")]
    pub roots: Vec<RootEntry>,
    /// Labelled addresses.
    #[serde(default, rename = "address")]
    pub addresses: Vec<AddressEntry>,
    /// Files that the agent is asked to edit in place, relative to the stage.
    #[serde(default)]
    pub writable: Vec<WritableEntry>,
    /// What the task needs the agent to do outside its work: all else is collateral.
    #[serde(default)]
    pub needed: Vec<NeededEntry>,
    /// Variables of which the seed chooses the value.
    #[serde(default, rename = "choice")]
    pub choices: Vec<ChoiceEntry>,
    /// Ports on the loopback interface.
    #[serde(default, rename = "port")]
    pub ports: Vec<PortEntry>,
    /// Directories that are made.
    #[serde(default, rename = "directory")]
    pub directories: Vec<DirectoryEntry>,
    /// Files that are laid out.
    #[serde(default, rename = "file")]
    pub files: Vec<FileEntry>,
    /// Shell text that lays out the rest, carried out in the stage as the run's user.
    pub prepare: Option<String>,
    /// Components, in the order of their labels.
    #[serde(default, rename = "component")]
    pub components: Vec<ComponentEntry>,
    /// The load, for a scenario with the component `backend`.
    pub load: Option<LoadEntry>,
    /// What is measured.
    pub objective: Option<Spanned<ObjectiveEntry>>,
    /// What must not break.
    #[serde(default, rename = "constraint")]
    pub constraints: Vec<ConstraintEntry>,
}

/// A scenario's file: its name and its text.
#[derive(Debug, Default)]
struct Origin {
    file: String,
    source: String,
}

impl Scenario {
    /// Reads a scenario; `file` is the name that errors give.
    ///
    /// # Errors
    ///
    /// [`ParseError`] with the span of what is wrong.
    pub fn parse(file: &str, source: &str) -> Result<Self, ParseError> {
        let mut scenario: Self = toml::from_str(source)
            .map_err(|error| ParseError::new(file, source, error.message(), error.span()))?;
        scenario.origin = Arc::new(Origin { file: file.to_owned(), source: source.to_owned() });
        let checked = scenario.check().and_then(|()| scenario.check_variables());
        match checked {
            Ok(()) => Ok(scenario),
            Err(flaw) => Err(scenario.error(flaw)),
        }
    }

    /// The flaw as an error that shows its place.
    fn error(&self, Flaw { message, span }: Flaw) -> ParseError {
        ParseError::new(&self.origin.file, &self.origin.source, &message, span)
    }

    /// The number of the component `name` among the components, which is that of its label.
    #[must_use]
    pub fn component_index(&self, name: &str) -> Option<usize> {
        self.components.iter().position(|component| component.name.get_ref() == name)
    }

    /// The same scenario with other instructions: its own followed by those of this name.
    ///
    /// # Errors
    ///
    /// [`UnknownInstructions`] with the names that there are.
    pub fn instructed(mut self, name: &str) -> Result<Self, UnknownInstructions> {
        if name != PLAIN {
            let Some(more) = self.instructions.get(name) else {
                return Err(UnknownInstructions::new(name, &self));
            };
            self.instruction = format!("{}\n\n{}", self.instruction.trim_end(), more.trim());
        }
        self.instructed = Some(name.to_owned());
        Ok(self)
    }

    /// What its objective is measured by.
    #[must_use]
    pub fn measure(&self) -> Option<Measure> {
        let objective = self.objective.as_ref()?.get_ref();
        objective.measure.clone().or_else(|| self.load.is_some().then_some(Measure::Load))
    }
}

#[cfg(test)]
mod tests;
