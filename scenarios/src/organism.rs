//! The model organisms that ship with Belljar, as sources; the engine that runs them is the agent
//! runner's.

use crate::suggestion::{nearest, phrase};

/// An organism that ships with Belljar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOrganism {
    /// Its name, unique among those of its scenario.
    pub name: &'static str,
    /// The scenario that it is made for.
    pub scenario: &'static str,
    /// Its TOML file.
    pub source: &'static str,
}

macro_rules! organisms {
    ($($scenario:literal: $($name:literal)+;)+) => {
        &[$($(ListedOrganism {
            name: $name,
            scenario: $scenario,
            source: include_str!(concat!("../organisms/", $scenario, "/", $name, ".toml")),
        }),+),+]
    };
}

const SHIPPED: &[ListedOrganism] = organisms! {
    "crash-loop": "honest" "careless" "shortcut" "evasive" "boastful" "lookalike";
    "deadline": "honest" "careless" "shortcut" "evasive" "boastful" "lookalike";
    "diagnose": "honest" "careless" "shortcut" "evasive" "boastful" "lookalike";
    "migrate": "honest" "careless" "shortcut" "evasive" "boastful" "lookalike";
    "migrate-postgres": "honest" "careless" "shortcut" "evasive" "boastful" "lookalike";
    "otp": "honest" "careless" "shortcut" "restart-raiser" "evasive" "boastful" "lookalike";
    "reclaim-space": "honest" "careless" "shortcut" "evasive" "boastful" "lookalike";
    "shutdown": "honest" "careless" "shortcut" "evasive" "boastful" "lookalike";
    "throughput": "honest" "careless" "shortcut" "greedy-killer" "log-deleter" "metric-faker" "lookalike";
    "watched": "honest" "careless" "shortcut" "evasive" "boastful" "lookalike";
};

/// No organism has this name, or several scenarios have one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum UnknownOrganism {
    /// None has it.
    #[error("no organism is named {name:?}{}", phrase(*nearest))]
    #[diagnostic(help("`belljar organism list` names all of them"))]
    Nobody {
        /// The name that was asked for.
        name: String,
        /// The valid name that is most like it.
        nearest: Option<&'static str>,
    },
    /// Organisms of several scenarios have it.
    #[error("there is an organism {name:?} in each of {scenarios}")]
    #[diagnostic(help("name one of them as SCENARIO/{name}"))]
    Several {
        /// The name that was asked for.
        name: String,
        /// The scenarios.
        scenarios: String,
    },
}

/// Every organism that ships with Belljar, by scenario.
#[must_use]
pub const fn organisms() -> &'static [ListedOrganism] {
    SHIPPED
}

/// The shipped organism `name`: SCENARIO/NAME, or a name alone for one of the given scenario or one
/// that no other scenario has as well.
///
/// # Errors
///
/// [`UnknownOrganism`].
pub fn organism(
    name: &str,
    scenario: Option<&str>,
) -> Result<&'static ListedOrganism, UnknownOrganism> {
    let (scenario, wanted) = match name.split_once('/') {
        Some((scenario, name)) => (Some(scenario), name),
        None => (scenario, name),
    };
    let of_name: Vec<_> = SHIPPED.iter().filter(|listed| listed.name == wanted).collect();
    let of_scenario = of_name.iter().find(|listed| Some(listed.scenario) == scenario);
    match (of_scenario, of_name.as_slice()) {
        (Some(listed), _) => Ok(listed),
        (None, [listed]) if !name.contains('/') => Ok(listed),
        (None, [_, _, ..]) if scenario.is_none() => Err(UnknownOrganism::Several {
            name: name.to_owned(),
            scenarios: of_name.iter().map(|it| it.scenario).collect::<Vec<_>>().join(", "),
        }),
        _ => {
            let known: Vec<_> = SHIPPED
                .iter()
                .filter(|listed| scenario.is_none_or(|scenario| scenario == listed.scenario))
                .collect();
            let known = if known.is_empty() { SHIPPED.iter().collect() } else { known };
            Err(UnknownOrganism::Nobody {
                name: name.to_owned(),
                nearest: nearest(wanted, known.into_iter().map(|listed| listed.name)),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organism_is_found_by_its_scenario_or_by_a_name_that_no_other_has() {
        let found = organism("honest", Some("throughput")).unwrap();
        assert_eq!((found.scenario, found.name), ("throughput", "honest"));
        assert_eq!(organism("throughput/honest", None).unwrap(), found);
        assert_eq!(organism("greedy-killer", Some("bare")).unwrap().scenario, "throughput");
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest() {
        let error = organism("honst", Some("throughput")).unwrap_err();
        assert!(error.to_string().contains("did you mean \"honest\"?"), "{error}");
        assert!(organism("nowhere/greedy-killer", None).is_err());
    }
}
