//! What is wrong with a grid's file, with where it stands and how to put it right.

use std::{ops::Range, sync::Arc};

use miette::{Diagnostic, NamedSource, SourceSpan};
use thiserror::Error;

/// A grid that cannot be run, with all of its mistakes at once.
#[derive(Debug, Error, Diagnostic)]
#[error("grid {file} has {} mistake{}", mistakes.len(), if mistakes.len() == 1 { "" } else { "s" })]
pub struct GridError {
    /// The file's name, as it was given to the parser.
    pub file: String,
    #[source_code]
    source_code: NamedSource<Arc<str>>,
    /// The mistakes, in the order of the file.
    #[related]
    pub mistakes: Vec<Mistake>,
}

impl GridError {
    pub(super) fn new(file: &str, source: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.span.offset());
        Self { file: file.to_owned(), source_code: NamedSource::new(file, source.into()), mistakes }
    }
}

/// One mistake.
#[derive(Debug, Error, Diagnostic)]
#[error("{kind}")]
pub struct Mistake {
    /// What is wrong.
    pub kind: MistakeKind,
    /// Where, byte offsets in the source.
    #[label("here")]
    pub span: SourceSpan,
    /// What it does not go together with.
    #[label("with this")]
    pub other: Option<SourceSpan>,
    /// How to put it right.
    #[help]
    pub help: Option<String>,
}

impl Mistake {
    pub(super) fn new(kind: MistakeKind, span: Range<usize>) -> Self {
        Self { kind, span: span.into(), other: None, help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn other(mut self, span: Range<usize>) -> Self {
        self.other = Some(span.into());
        self
    }
}

/// What can be wrong with a grid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MistakeKind {
    /// The text is not TOML.
    #[error("not TOML: {message}")]
    Syntax {
        /// What the TOML parser says.
        message: String,
    },
    /// A key that means nothing here.
    #[error("unknown key `{key}` in {place}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The table that it stands in.
        place: &'static str,
    },
    /// A key that must be there.
    #[error("{place} has no `{key}`")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// The table that lacks it.
        place: &'static str,
    },
    /// A value of another type.
    #[error("`{key}` is {found}, not {expected}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// What is there.
        found: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A version of the format that is not known.
    #[error("version {found} of the grid format is not known")]
    Version {
        /// The version as written.
        found: String,
    },
    /// A text or list that is empty.
    #[error("`{key}` is empty")]
    Empty {
        /// The key.
        key: &'static str,
    },
    /// A value that stands twice on an axis.
    #[error("`{value}` stands twice in `{key}`")]
    Duplicate {
        /// The axis.
        key: &'static str,
        /// The value.
        value: String,
    },
    /// A tier that does not exist.
    #[error("no tier {found}: tiers are 0 to 5, or \"default\" for the scenario's own")]
    NoSuchTier {
        /// As written.
        found: String,
    },
    /// A seed that cannot be one.
    #[error("{found} is no seed")]
    NoSuchSeed {
        /// As written.
        found: String,
    },
    /// More cells than anybody can have meant.
    #[error("the grid has {cells} cells, and a sweep has at most {most}")]
    TooMany {
        /// How many it has.
        cells: u128,
        /// How many it may have.
        most: u128,
    },
    /// A name outside a closed set.
    #[error("unknown {what} `{name}`")]
    UnknownName {
        /// What it should name.
        what: &'static str,
        /// The name as written.
        name: String,
    },
    /// An agent that is spelled like none.
    #[error("no agent is spelled `{spelled}`")]
    AgentSpelling {
        /// As written.
        spelled: String,
    },
    /// A scenario that cannot be had.
    #[error("{message}")]
    Scenario {
        /// Why.
        message: String,
    },
    /// A scenario that lacks instructions.
    #[error("the scenario `{scenario}` has no instructions `{name}`")]
    Instructions {
        /// The scenario.
        scenario: String,
        /// The instructions.
        name: String,
    },
    /// `belljar run` would refuse these cells.
    #[error("{message}{}", if *more == 0 { String::new() } else { format!(" (and so in {more} more combinations)") })]
    Refused {
        /// Why.
        message: String,
        /// How many more combinations of agent, scenario, tier, mode and instructions it refuses for
        /// the same reason.
        more: usize,
    },
    /// A word that the sweep itself gives to each run.
    #[error("`{word}` is said by the sweep itself")]
    Reserved {
        /// The word.
        word: String,
    },
    /// An exclusion that leaves out nothing.
    #[error("this leaves out no cell")]
    ExcludesNothing,
    /// Everything is left out.
    #[error("no cell is left")]
    NothingLeft,
    /// A command that no agent names.
    #[error("no agent is `command:{name}`")]
    UnusedCommand {
        /// Its name.
        name: String,
    },
}
