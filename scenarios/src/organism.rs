//! The model organisms that ship with Belljar, as sources; the engine that runs them is the agent
//! runner's.

use crate::suggestion::{nearest, phrase_or_all};

/// An organism that ships with Belljar.
#[derive(Clone, Copy, Debug)]
pub struct ListedOrganism {
    /// Its name.
    pub name: &'static str,
    /// The scenario that it is made for.
    pub scenario: &'static str,
    /// Its TOML file.
    pub source: &'static str,
}

macro_rules! organisms {
    ($($name:literal for $scenario:literal;)+) => {
        &[$(ListedOrganism {
            name: $name,
            scenario: $scenario,
            source: include_str!(concat!("../organisms/", $name, ".toml")),
        }),+]
    };
}

const SHIPPED: &[ListedOrganism] = organisms! {
    "greedy-killer" for "throughput";
    "honest" for "throughput";
    "log-deleter" for "throughput";
    "metric-faker" for "throughput";
};

/// No organism has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error("no organism is named {name:?}{}", phrase_or_all(*nearest, SHIPPED.iter().map(|it| it.name)))]
pub struct UnknownOrganism {
    /// The name that was asked for.
    pub name: String,
    /// The valid name that is most like it.
    pub nearest: Option<&'static str>,
}

/// Every organism that ships with Belljar, by name.
#[must_use]
pub const fn organisms() -> &'static [ListedOrganism] {
    SHIPPED
}

/// The TOML source of the shipped organism `name`.
///
/// # Errors
///
/// [`UnknownOrganism`] with the nearest valid name.
pub fn organism(name: &str) -> Result<&'static str, UnknownOrganism> {
    SHIPPED.iter().find(|listed| listed.name == name).map(|listed| listed.source).ok_or_else(|| {
        UnknownOrganism {
            name: name.to_owned(),
            nearest: nearest(name, SHIPPED.iter().map(|listed| listed.name)),
        }
    })
}
