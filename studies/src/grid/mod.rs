//! The grid of a sweep: which agents run where, under what, and how often.
//!
//! Its file is TOML. All that is wrong with it is found before the first run, and told at once.

mod expand;
mod mistake;
mod read;
mod value;

use std::ops::Range;

pub use expand::{Cell, Command, slug};
pub use mistake::{GridError, Mistake, MistakeKind};

/// What the reader has to ask about the world that the grid names.
pub trait Surroundings {
    /// What is known of a scenario, by its name or path; the error says why there is none.
    ///
    /// # Errors
    ///
    /// A sentence for the author of the grid.
    fn scenario(&self, spelled: &str) -> Result<ScenarioFacts, String>;

    /// Checks the words of a `belljar run` as that would before anything starts. Returns what the run
    /// depends on beside its words, as a digest: its organism, its policy.
    ///
    /// # Errors
    ///
    /// A sentence for the author of the grid.
    fn check(&self, words: &[String]) -> Result<String, String>;
}

/// What a grid has to know of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioFacts {
    /// The name in its file.
    pub name: String,
    /// The tier that a run gets when none is asked for.
    pub default_tier: u8,
    /// The names of its instructions, `plain` among them.
    pub instructions: Vec<String>,
    /// Whether a service is measured under load: such runs need processors to themselves.
    pub is_loaded: bool,
    /// SHA-256 of its file.
    pub sha256: String,
}

/// A value with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// A tier as the grid has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TierChoice {
    /// The scenario's own.
    Default,
    /// This one.
    Number(u8),
}

/// Cells that are left out: those of which every axis that is named here has one of the values.
#[derive(Clone, Debug)]
pub(crate) struct Exclusion {
    pub(crate) agents: Option<Vec<String>>,
    pub(crate) scenarios: Option<Vec<String>>,
    pub(crate) tiers: Option<Vec<TierChoice>>,
    pub(crate) modes: Option<Vec<String>>,
    pub(crate) instructions: Option<Vec<String>>,
    pub(crate) span: Range<usize>,
}

/// The axes, before they are multiplied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axes {
    pub(crate) name: String,
    pub(crate) agents: Vec<Placed<String>>,
    pub(crate) scenarios: Vec<Placed<String>>,
    pub(crate) tiers: Vec<Placed<TierChoice>>,
    pub(crate) modes: Vec<Placed<String>>,
    pub(crate) instructions: Vec<Placed<String>>,
    pub(crate) seeds: Vec<u64>,
    pub(crate) arguments: Vec<String>,
    pub(crate) policy: Option<String>,
    pub(crate) commands: Vec<Command>,
    pub(crate) exclusions: Vec<Exclusion>,
    /// Whether every exclusion could be read: else cells are left that nobody wants.
    pub(crate) is_whole: bool,
}

/// A grid that can be run.
#[derive(Clone, Debug)]
pub struct Grid {
    /// Its name.
    pub name: String,
    /// Its text.
    pub source: String,
    /// Every cell, in the order of the axes: scenario, agent, tier, mode, instructions, seed.
    pub cells: Vec<Cell>,
    /// The agents in the order of the file: the first is what others are compared with.
    pub agents: Vec<String>,
}

impl Grid {
    /// Reads a grid. `file` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`GridError`] with every mistake that was found.
    pub fn parse(
        source: &str,
        file: &str,
        surroundings: &dyn Surroundings,
    ) -> Result<Self, GridError> {
        let mut mistakes = Vec::new();
        let axes = read::axes(source, &mut mistakes);
        let cells = axes.as_ref().map(|axes| expand::expand(axes, surroundings, &mut mistakes));
        match (axes, cells) {
            (Some(axes), Some(cells)) if mistakes.is_empty() => Ok(Self {
                agents: axes.agents.iter().map(|agent| agent.value.clone()).collect(),
                name: axes.name,
                source: source.to_owned(),
                cells,
            }),
            _ => Err(GridError::new(file, source, mistakes)),
        }
    }
}
