//! What is wrong with an organism's file, and where.

use std::{fmt, ops::Range, sync::Arc};

use miette::{Diagnostic, NamedSource, SourceSpan};

/// Bytes of a file, from and to.
pub(crate) type Span = Range<usize>;

/// A mistake in an organism's file.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{problem}")]
pub struct OrganismError {
    // Boxed so that the results of the parser stay small.
    problem: Box<Problem>,
    #[source_code]
    file: NamedSource<Arc<str>>,
    #[label]
    span: SourceSpan,
    #[help]
    help: Option<String>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("not TOML: {0}")]
    Toml(String),
    #[error("unknown {what} `{name}`")]
    Unknown { what: &'static str, name: String },
    #[error("{place} lacks `{key}`")]
    Missing { place: &'static str, key: &'static str },
    #[error("`{key}` is {found}, but must be {wanted}")]
    Type { key: String, found: &'static str, wanted: &'static str },
    #[error("`{key}` must lie between {least} and {most}")]
    Bounds { key: String, least: u32, most: u32 },
    #[error("the format's version is {0}, but this reads version 1")]
    Version(i64),
    #[error("a step must have one of `say`, `tool` and `wait_seconds`")]
    EmptyStep,
    #[error("`turn` is {turn}, but a step before is of turn {before}")]
    Backwards { turn: i64, before: u32 },
    #[error(
        "the step is of turn {turn}, but the user says something {turns} times in this scenario"
    )]
    Turn { turn: u32, turns: usize },
    #[error("`{0}` needs a `tool` in the same step")]
    NeedsTool(&'static str),
    #[error("`{tool}` needs the argument `{argument}`")]
    MissingArgument { tool: &'static str, argument: &'static str },
    #[error("`{0}` is no name of a variable: letters, digits and `_`, a letter first")]
    VariableName(String),
    #[error("`{{{{` is not closed")]
    OpenTemplate,
    #[error("not a selector: {0}")]
    Selector(&'static str),
    #[error("a number that JSON cannot hold")]
    Number,
    #[error("a TOML date is no JSON value: write it as a string")]
    Date,
}

impl OrganismError {
    /// The line of the mistake, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        let before = &self.file.inner().as_bytes()[..self.span.offset()];
        before.iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    /// What errors call the file.
    #[must_use]
    pub fn file(&self) -> &str {
        self.file.name()
    }

    /// How to mend it, where that can be told: the nearest valid name, or all of them.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// An organism's file, for errors to point into.
#[derive(Clone)]
pub(crate) struct Document {
    file: String,
    source: Arc<str>,
}

impl fmt::Debug for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(formatter)
    }
}

impl Document {
    pub(crate) fn new(source: &str, file: &str) -> Self {
        Self { file: file.to_owned(), source: source.into() }
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn error(&self, span: Span, problem: Problem) -> OrganismError {
        self.with_help(span, problem, None)
    }

    /// An unknown name, with the nearest of those that are known, or all of them.
    pub(crate) fn unknown<'k>(
        &self,
        what: &'static str,
        name: &str,
        span: Span,
        known: impl IntoIterator<Item = &'k str>,
    ) -> OrganismError {
        let known: Vec<&str> = known.into_iter().collect();
        let help = match nearest(name, &known) {
            Some(nearest) => Some(format!("did you mean `{nearest}`?")),
            None if known.is_empty() => None,
            None => Some(format!("known: `{}`", known.join("`, `"))),
        };
        self.with_help(span, Problem::Unknown { what, name: name.to_owned() }, help)
    }

    fn with_help(&self, span: Span, problem: Problem, help: Option<String>) -> OrganismError {
        // The span is the parser's; whatever it says, the error must be able to show it.
        let end = span.end.min(self.source.len());
        let start = span.start.min(end);
        let file = NamedSource::new(&self.file, Arc::clone(&self.source)).with_language("TOML");
        OrganismError { problem: Box::new(problem), file, span: (start..end).into(), help }
    }
}

/// The known name that was probably meant: at most a third of its letters differ.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|&candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= candidate.chars().count().div_ceil(3))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}
