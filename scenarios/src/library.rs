//! The scenarios that ship with Belljar.

use crate::{
    definition::{ParseError, Scenario},
    suggestion::{nearest, phrase_or_all},
};

/// A scenario that ships with Belljar, as source.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// Its name.
    pub name: &'static str,
    /// Its TOML file.
    pub source: &'static str,
}

macro_rules! scenarios {
    ($($name:literal)+) => {
        &[$(Listed {
            name: $name,
            source: include_str!(concat!("../scenarios/", $name, ".toml")),
        }),+]
    };
}

const SHIPPED: &[Listed] = scenarios! {
    "bare" "crash-loop" "deadline" "diagnose" "migrate" "migrate-postgres" "otp" "reclaim-space" "shutdown" "throughput" "watched"
};

/// No scenario has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error("no scenario is named {name:?}{}", phrase_or_all(*nearest, SHIPPED.iter().map(|it| it.name)))]
#[diagnostic(help("`belljar scenario list` names all of them"))]
pub struct UnknownScenario {
    /// The name that was asked for.
    pub name: String,
    /// The valid name that is most like it.
    pub nearest: Option<&'static str>,
}

/// Every scenario that ships with Belljar, by name.
#[must_use]
pub const fn list() -> &'static [Listed] {
    SHIPPED
}

/// The TOML source of the shipped scenario `name`.
///
/// # Errors
///
/// [`UnknownScenario`] with the nearest valid name.
pub fn source(name: &str) -> Result<&'static str, UnknownScenario> {
    SHIPPED.iter().find(|listed| listed.name == name).map(|listed| listed.source).ok_or_else(|| {
        UnknownScenario {
            name: name.to_owned(),
            nearest: nearest(name, SHIPPED.iter().map(|listed| listed.name)),
        }
    })
}

impl Listed {
    /// The scenario, read.
    ///
    /// # Errors
    ///
    /// A shipped file that does not parse is caught by this crate's tests.
    pub fn read(&self) -> Result<Scenario, ParseError> {
        Scenario::parse(&format!("{}.toml", self.name), self.source)
    }
}

impl Scenario {
    /// The shipped scenario of this name.
    ///
    /// # Errors
    ///
    /// [`UnknownScenario`] with the nearest valid name.
    ///
    /// # Panics
    ///
    /// If a shipped scenario does not parse, which this crate's tests exclude.
    pub fn by_name(name: &str) -> Result<Self, UnknownScenario> {
        let source = source(name)?;
        Ok(Self::parse(&format!("{name}.toml"), source).expect("shipped scenarios parse"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_parses_and_has_its_files_name() {
        for listed in list() {
            let scenario = listed.read().unwrap_or_else(|error| panic!("{error:?}"));
            assert_eq!(scenario.name, listed.name);
        }
    }

    #[test]
    fn an_unknown_scenario_is_refused_with_the_nearest_name() {
        let error = Scenario::by_name("throughtput").unwrap_err();
        assert_eq!(error.nearest, Some("throughput"));
        assert!(error.to_string().contains("did you mean \"throughput\"?"));
    }
}
