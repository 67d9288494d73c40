//! From text to values: names that the project knows, and a scenario of one's own with the files
//! beside it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use journal::{Tier, Verb};
use policy::{AddressPattern, Label};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{ParseError, Scenario};
use crate::suggestion::{nearest, phrase};

/// The file of a scenario that is a directory.
const FILE: &str = "scenario.toml";

/// A scenario of one's own cannot be read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ReadError {
    /// The scenario's file, or one that it names, cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The scenario's file is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Parse(#[from] ParseError),
}

impl Scenario {
    /// Reads a scenario of one's own: its file, or the directory with its `scenario.toml`, and what
    /// the file names beside it.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let source = text(&path)?;
        let name = path.display().to_string();
        let mut scenario = Self::parse(&name, &source)?;
        let beside = path.parent().unwrap_or(Path::new("."));
        for file in &mut scenario.files {
            let Some(named) = &file.source else { continue };
            let content = fs::read_to_string(beside.join(named.get_ref())).map_err(|error| {
                let message = format!("cannot read {:?} beside it: {error}", named.get_ref());
                ParseError::new(&name, &source, &message, Some(named.span()))
            })?;
            file.content = Some(content);
        }
        Ok(scenario)
    }
}

fn text(path: &Path) -> Result<String, ReadError> {
    fs::read_to_string(path).map_err(|source| ReadError::File { path: path.to_owned(), source })
}

pub(super) fn tier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tier, D::Error> {
    let number = u8::deserialize(deserializer)?;
    Tier::from_number(number)
        .ok_or_else(|| D::Error::custom(format!("there is no tier {number}; tiers are 0 to 5")))
}

pub(super) fn pattern<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<AddressPattern, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

pub(super) fn label<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Label, D::Error> {
    let name = String::deserialize(deserializer)?;
    Label::from_name(&name).filter(|label| Label::FOR_PATHS.contains(label)).ok_or_else(|| {
        let known = Label::FOR_PATHS.iter().map(|label| label.name());
        D::Error::custom(format!(
            "no label for paths and addresses is named {name:?}{}",
            phrase(nearest(&name, known))
        ))
    })
}

pub(super) fn verbs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Verb>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|name| {
            Verb::from_name(name).ok_or_else(|| {
                let known = Verb::ALL.iter().map(|verb| verb.name());
                D::Error::custom(format!(
                    "no verb is named {name:?}{}",
                    phrase(nearest(name, known))
                ))
            })
        })
        .collect()
}
