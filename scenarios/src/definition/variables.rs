//! `{{variables}}`: which there are, where they stand, and filling them in.

use std::collections::BTreeMap;

use super::{Scenario, error::Flaw};
use crate::suggestion::{nearest, phrase};

/// A variable is named that the scenario does not have, or one is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnknownVariable(pub(crate) String);

/// Two braces that are not meant as a variable.
const BRACES: &str = "{{{{";
/// Variables of every stage.
const ALWAYS: [&str; 3] = ["workspace", "stage", "seed"];
/// Those of a stage with the component `backend`.
const OF_BACKEND: [&str; 5] = ["config", "documentation", "audit_log", "metrics", "url"];

impl Scenario {
    /// The variables that a stage of the scenario has.
    pub(crate) fn variable_names(&self) -> Vec<String> {
        let mut names: Vec<String> = ALWAYS.map(str::to_owned).into();
        if self.component_index("backend").is_some() {
            names.extend(OF_BACKEND.map(str::to_owned));
        }
        names.extend(self.components.iter().map(|component| component.name.get_ref().clone()));
        names.extend(self.ports.iter().map(|port| port_variable(port.name.get_ref())));
        names.extend(self.choices.iter().map(|choice| choice.variable.get_ref().clone()));
        names
    }

    /// Finds a variable that no stage would have, wherever in the file it stands.
    pub(super) fn check_variables(&self) -> Result<(), Flaw> {
        let known = self.variable_names();
        let mut from = 0;
        for line in self.origin.source.split_inclusive('\n') {
            let (start, comment) = (from, line.trim_start().starts_with('#'));
            from += line.len();
            let mut at = 0;
            while let Some(open) = line[at..].find("{{").filter(|_| !comment) {
                let begin = at + open;
                if line[begin..].starts_with(BRACES) {
                    at = begin + BRACES.len();
                    continue;
                }
                let Some(length) = line[begin..].find("}}") else { break };
                let name = &line[begin + 2..begin + length];
                at = begin + length + 2;
                if !known.iter().any(|known| known == name) {
                    let hint = phrase(nearest(name, known.iter().map(String::as_str)));
                    let message = format!("the scenario has no variable {name:?}{hint}");
                    return Err(Flaw::at(message, start + begin..start + at));
                }
            }
        }
        Ok(())
    }
}

/// The variable that holds the number of a port.
pub(crate) fn port_variable(port: &str) -> String {
    format!("{port}_port")
}

/// Replaces each `{{name}}`, and [`BRACES`] by two braces.
pub(crate) fn fill_in(
    template: &str,
    variables: &BTreeMap<String, String>,
) -> Result<String, UnknownVariable> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        if let Some(after) = after.strip_prefix("{{") {
            filled.push_str("{{");
            rest = after;
            continue;
        }
        let Some((name, after)) = after.split_once("}}") else {
            return Err(UnknownVariable(after.lines().next().unwrap_or_default().to_owned()));
        };
        let value = variables.get(name).ok_or_else(|| UnknownVariable(name.to_owned()))?;
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_with_an_unknown_variable_is_refused() {
        let variables = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        assert_eq!(fill_in("x {{a}} y", &variables).unwrap(), "x 1 y");
        assert_eq!(fill_in("{{{{a}} {{{{{{a}}", &variables).unwrap(), "{{a}} {{1");
        assert_eq!(fill_in("{{b}}", &variables), Err(UnknownVariable("b".to_owned())));
        assert!(fill_in("{{a", &variables).is_err());
    }
}
