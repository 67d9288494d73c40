//! Arguments of a component: `--name value` pairs, written by the stage and by the backend.

use std::{collections::BTreeMap, str::FromStr};

/// A component was started with arguments that it does not understand.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("{0:?} is not of the form --name")]
    NotAName(String),
    #[error("--{0} has no value")]
    NoValue(String),
    #[error("--{0} is missing")]
    Missing(&'static str),
    #[error("--{name} cannot be {value:?}")]
    Invalid { name: &'static str, value: String },
}

/// `--name value` pairs; the last of a name counts.
pub(super) struct Arguments(BTreeMap<String, String>);

impl Arguments {
    pub(super) fn parse(args: &[String]) -> Result<Self, ArgumentError> {
        let mut pairs = BTreeMap::new();
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let name =
                name.strip_prefix("--").ok_or_else(|| ArgumentError::NotAName(name.clone()))?;
            let value = args.next().ok_or_else(|| ArgumentError::NoValue(name.to_owned()))?;
            pairs.insert(name.to_owned(), value.clone());
        }
        Ok(Self(pairs))
    }

    pub(super) fn get<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, ArgumentError> {
        self.0
            .get(name)
            .map(|value| {
                value.parse().map_err(|_| ArgumentError::Invalid { name, value: value.clone() })
            })
            .transpose()
    }

    pub(super) fn require<T: FromStr>(&self, name: &'static str) -> Result<T, ArgumentError> {
        self.get(name)?.ok_or(ArgumentError::Missing(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Result<Arguments, ArgumentError> {
        Arguments::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn pairs_are_read_by_name_and_the_last_counts() {
        let arguments = arguments(&["--cpu", "1", "--cpu", "3"]).unwrap();
        assert_eq!(arguments.require::<usize>("cpu").unwrap(), 3);
        assert!(matches!(arguments.require::<u8>("port"), Err(ArgumentError::Missing("port"))));
    }

    #[test]
    fn a_name_without_value_and_a_value_without_name_are_refused() {
        assert!(matches!(arguments(&["--cpu"]), Err(ArgumentError::NoValue(_))));
        assert!(matches!(arguments(&["cpu", "1"]), Err(ArgumentError::NotAName(_))));
    }
}
