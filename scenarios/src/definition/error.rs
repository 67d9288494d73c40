//! What can be wrong with a scenario's file.

use std::{ops::Range, sync::Arc};

use miette::{NamedSource, SourceSpan};

use super::{PLAIN, Scenario};
use crate::suggestion::{nearest, phrase};

/// A scenario's file is wrong.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot read scenario {file}: {message}")]
pub struct ParseError {
    /// The file's name.
    pub file: String,
    /// What is wrong with it.
    pub message: String,
    #[source_code]
    source_code: Arc<NamedSource<String>>,
    #[label("here")]
    pub(super) span: Option<SourceSpan>,
}

impl ParseError {
    pub(super) fn new(file: &str, source: &str, message: &str, span: Option<Range<usize>>) -> Self {
        Self {
            file: file.to_owned(),
            message: message.to_owned(),
            source_code: Arc::new(NamedSource::new(file, source.to_owned()).with_language("TOML")),
            span: span.map(Into::into),
        }
    }
}

/// A scenario has no instructions of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error("the scenario {scenario} has no instructions {name:?}{}", phrase(nearest.as_deref()))]
#[diagnostic(help("it has: {known}"))]
pub struct UnknownInstructions {
    /// The scenario.
    pub scenario: String,
    /// The name that was asked for.
    pub name: String,
    /// The valid name that is most like it.
    pub nearest: Option<String>,
    /// All names.
    pub known: String,
}

impl UnknownInstructions {
    pub(super) fn new(name: &str, scenario: &Scenario) -> Self {
        let known: Vec<&str> = std::iter::once(PLAIN)
            .chain(scenario.instructions.keys().map(String::as_str))
            .collect();
        Self {
            scenario: scenario.name.clone(),
            name: name.to_owned(),
            nearest: nearest(name, known.iter().copied()).map(str::to_owned),
            known: known.join(", "),
        }
    }
}

/// What is wrong in a file that is well-formed TOML.
pub(super) struct Flaw {
    pub(super) message: String,
    pub(super) span: Option<Range<usize>>,
}

impl Flaw {
    pub(super) fn plain(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None }
    }

    pub(super) fn at(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), span: Some(span) }
    }
}
