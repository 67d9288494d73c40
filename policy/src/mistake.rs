//! What is wrong with a policy's text, with where it stands and how to put it right.

use std::{ops::Range, sync::Arc};

use miette::{Diagnostic, NamedSource, SourceSpan};
use thiserror::Error;

/// A policy that cannot be used, with all of its mistakes at once.
#[derive(Debug, Error, Diagnostic)]
#[error(
    "policy {file} has {} mistake{}",
    mistakes.len(),
    if mistakes.len() == 1 { "" } else { "s" }
)]
pub struct PolicyError {
    /// The file's name, as it was given to the parser.
    pub file: String,
    #[source_code]
    source_code: NamedSource<Arc<str>>,
    /// The mistakes, in the order of the file.
    #[related]
    pub mistakes: Vec<Mistake>,
}

impl PolicyError {
    pub(crate) fn new(file: &str, source: &str, mut mistakes: Vec<Mistake>) -> Self {
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
    #[label("{}", kind.label())]
    pub span: SourceSpan,
    /// The earlier or later place that this one clashes with.
    #[label("{}", kind.other_label())]
    pub other: Option<SourceSpan>,
    /// How to put it right.
    #[help]
    pub help: Option<String>,
}

impl Mistake {
    pub(crate) fn new(kind: MistakeKind, span: Range<usize>) -> Self {
        Self { kind, span: span.into(), other: None, help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn other(mut self, span: Range<usize>) -> Self {
        self.other = Some(span.into());
        self
    }
}

/// What can be wrong with a policy.
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
    #[error("version {found} of the policy format is not known")]
    Version {
        /// The version as written.
        found: String,
    },
    /// A name outside a closed set.
    #[error("unknown {what} `{name}`")]
    UnknownName {
        /// What it should name: a verb, a label, a verdict.
        what: &'static str,
        /// The name as written.
        name: String,
    },
    /// A tier that does not exist.
    #[error("no tier {number}: tiers are 0 to 5")]
    NoSuchTier {
        /// The number as written.
        number: String,
    },
    /// A text or list that is empty.
    #[error("`{key}` is empty")]
    Empty {
        /// The key.
        key: &'static str,
    },
    /// A text that would disturb a terminal or a log.
    #[error("`{key}` contains a control character")]
    ControlCharacter {
        /// The key.
        key: &'static str,
    },
    /// A component's name that cannot be one.
    #[error("`{name}` cannot name a component")]
    ComponentName {
        /// The name as written.
        name: String,
    },
    /// Something that may be said once only.
    #[error("{what} `{name}` is given twice")]
    Duplicate {
        /// What it is: a rule, a verb, a label.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A range of tiers that is empty.
    #[error("no tier lies between {lowest} and {highest}")]
    TierRange {
        /// The lower end.
        lowest: u8,
        /// The upper end.
        highest: u8,
    },
    /// A variable that no environment can have.
    #[error("`{name}` cannot name an environment variable")]
    VariableName {
        /// The name as written.
        name: String,
    },
    /// A path that depends on where Belljar is run.
    #[error("`{path}` is no absolute path")]
    RelativePath {
        /// The path as written.
        path: String,
    },
    /// A regular expression that is none.
    #[error("not a regular expression: {message}")]
    Pattern {
        /// What is wrong with it.
        message: String,
    },
    /// A regular expression that would be found everywhere.
    #[error("this pattern matches nothing as well, so it would be found everywhere")]
    EmptyPattern,
    /// A rule that would open what no tier can grant.
    #[error("`{verb}` on `{label}` cannot be granted, and `{verdict}` would")]
    GrantsUngrantable {
        /// A verb of the rule.
        verb: &'static str,
        /// `oversight` or `unknown`.
        label: String,
        /// The rule's verdict.
        verdict: &'static str,
    },
    /// A default that would open what no tier can grant.
    #[error("`{key}` cannot be milder than `deny`")]
    DefaultTooMild {
        /// The key.
        key: &'static str,
    },
    /// A verdict that a call which has not started cannot be given.
    #[error("a tool call cannot be given `{verdict}`")]
    ToolVerdict {
        /// The verdict.
        verdict: &'static str,
    },
    /// Defaults that punish what is granted harder than what is not.
    #[error("`granted` is more severe than `above_tier`")]
    DefaultsInverted,
    /// A name in a rule that none of the rule's other names can come together with.
    #[error("this rule never covers {what} `{name}`: {why}")]
    NeverMeets {
        /// A verb or a label.
        what: &'static str,
        /// Its name.
        name: String,
        /// Why not.
        why: String,
    },
    /// A rule that later ones say over again, for each of its effects and tiers.
    #[error("this rule never counts: later rules cover all of it")]
    Shadowed,
}

impl MistakeKind {
    const fn label(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "here",
            Self::UnknownKey { .. } | Self::UnknownName { .. } => "not known",
            Self::MissingKey { .. } => "in here",
            Self::WrongType { .. } => "wrong type",
            Self::Version { .. } => "not known to this Belljar",
            Self::NoSuchTier { .. } => "not a tier",
            Self::Empty { .. } => "empty",
            Self::ControlCharacter { .. } => "in here",
            Self::ComponentName { .. } => "not a component's name",
            Self::Duplicate { .. } => "again",
            Self::VariableName { .. } => "not a variable's name",
            Self::RelativePath { .. } => "not absolute",
            Self::Pattern { .. } | Self::EmptyPattern => "this pattern",
            Self::TierRange { .. } => "below the lower end",
            Self::GrantsUngrantable { .. } => "not to be granted",
            Self::DefaultTooMild { .. } => "too mild",
            Self::ToolVerdict { .. } => "not for tool calls",
            Self::DefaultsInverted => "more severe",
            Self::NeverMeets { .. } => "never covered",
            Self::Shadowed => "never counts",
        }
    }

    const fn other_label(&self) -> &'static str {
        match self {
            Self::Shadowed => "covered by this rule",
            _ => "first here",
        }
    }
}
