//! Organisms: scripted agents with a known disposition, in TOML.
//!
//! [`Organism::parse`] and [`Organism::check`] find every mistake that can be found before a run:
//! unknown keys, tools, arguments, verbs, variables. [`Organism::agent`] plays the script. The
//! format is described in `docs/agents.md`.

mod condition;
mod error;
mod parse;
mod play;
mod reader;
mod selector;
mod template;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use journal::Verb;
use serde_json::Value;

use crate::tools::Tool;
use condition::Conditions;
use error::{Document, Problem, Span};
use selector::Selector;
use template::{Name, Template, Tree};

pub use error::OrganismError;
pub use play::{NoValue, OrganismAgent};

/// Values by name: the scenario's, and what an organism captured.
pub type Variables = BTreeMap<String, Value>;

/// A scripted agent.
#[derive(Clone, Debug)]
pub struct Organism {
    /// Its name, as on the command line.
    pub name: String,
    /// What it does, in a sentence or two.
    pub doc: String,
    /// Its disposition, in a word or a few.
    pub disposition: String,
    document: Document,
    steps: Vec<Step>,
    report: Option<Report>,
}

#[derive(Clone, Debug)]
struct Step {
    /// The turn of the user's that it answers, from 1, and where that is said.
    turn: u32,
    turn_span: Span,
    when: Conditions,
    say: Option<Template>,
    call: Option<Call>,
    captures: Vec<(Name, Selector)>,
    wait: Duration,
    repeat: Option<Repeat>,
}

#[derive(Clone, Debug)]
struct Call {
    tool: &'static Tool,
    arguments: Tree,
}

#[derive(Clone, Debug)]
struct Repeat {
    times: u32,
    until: Option<Conditions>,
}

#[derive(Clone, Debug)]
struct Report {
    summary: Template,
    effects: Vec<ReportedEffect>,
}

#[derive(Clone, Debug)]
struct ReportedEffect {
    verb: Verb,
    object: Template,
    when: Conditions,
}

impl Organism {
    /// Reads an organism. `file` is what errors call the source.
    ///
    /// # Errors
    ///
    /// [`OrganismError`] with the place and, for a name, the nearest valid one.
    pub fn parse(source: &str, file: &str) -> Result<Self, OrganismError> {
        parse::organism(Document::new(source, file))
    }

    /// Checks that every variable used is one of `names`, which the scenario gives, or captured by
    /// an earlier step.
    ///
    /// # Errors
    ///
    /// [`OrganismError`] at the first that is not.
    pub fn check<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<(), OrganismError> {
        let mut known: BTreeSet<&str> = names.into_iter().collect();
        for step in &self.steps {
            self.check_known(step.when.names(), &known)?;
            self.check_known(step.say.iter().flat_map(Template::names), &known)?;
            if let Some(call) = &step.call {
                self.check_known(call.arguments.names(), &known)?;
            }
            for (_, selector) in &step.captures {
                self.check_known(selector.names(), &known)?;
            }
            known.extend(step.captures.iter().map(|(name, _)| name.text.as_str()));
            if let Some(repeat) = &step.repeat {
                self.check_known(repeat.until.iter().flat_map(Conditions::names), &known)?;
            }
        }
        if let Some(report) = &self.report {
            self.check_known(report.summary.names(), &known)?;
            for effect in &report.effects {
                self.check_known(effect.when.names(), &known)?;
                self.check_known(effect.object.names(), &known)?;
            }
        }
        Ok(())
    }

    /// Checks that the user says as much as it answers to: `turns` times.
    ///
    /// # Errors
    ///
    /// [`OrganismError`] at the first step that answers more.
    pub fn check_turns(&self, turns: usize) -> Result<(), OrganismError> {
        let has_more = |step: &&Step| usize::try_from(step.turn).is_ok_and(|turn| turn > turns);
        match self.steps.iter().find(has_more) {
            None => Ok(()),
            Some(step) => {
                let problem = Problem::Turn { turn: step.turn, turns };
                Err(self.document.error(step.turn_span.clone(), problem))
            }
        }
    }

    fn check_known<'n>(
        &self,
        used: impl IntoIterator<Item = &'n Name>,
        known: &BTreeSet<&str>,
    ) -> Result<(), OrganismError> {
        for name in used {
            if !known.contains(name.text.as_str()) {
                let known = known.iter().copied();
                return Err(self.document.unknown(
                    "variable",
                    &name.text,
                    name.span.clone(),
                    known,
                ));
            }
        }
        Ok(())
    }

    /// The tools that it calls, each once, in the order of the table.
    pub fn tools(&self) -> impl Iterator<Item = &'static Tool> {
        let calls = |tool: &Tool| {
            self.steps
                .iter()
                .filter_map(|step| step.call.as_ref())
                .any(|c| c.tool.name == tool.name)
        };
        crate::tools::TOOLS.iter().filter(move |tool| calls(tool))
    }

    /// The agent that plays the script with the scenario's values.
    #[must_use]
    pub fn agent(self, variables: Variables) -> OrganismAgent {
        OrganismAgent::new(self, variables)
    }
}
