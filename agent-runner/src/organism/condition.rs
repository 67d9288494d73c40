//! When a step runs, and when a loop ends.

use serde_json::Value;

use super::{
    Variables,
    error::OrganismError,
    play::NoValue,
    reader::Reader,
    template::{Name, Tree},
};

const KEYS: &[&str] = &["exists", "missing", "equals", "last"];

/// Conditions that must all hold; none at all hold always.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    exists: Option<Name>,
    missing: Option<Name>,
    equals: Vec<(Name, Tree)>,
    last_ok: Option<bool>,
}

impl Conditions {
    /// Reads the table under `key`, or none if there is none.
    pub(crate) fn parse(parent: &Reader<'_, '_>, key: &'static str) -> Result<Self, OrganismError> {
        let Some(reader) = parent.reader(key, KEYS)? else { return Ok(Self::default()) };
        let document = reader.document;
        let name =
            |key| reader.text(key)?.map(|(text, span)| Name::new(document, text, span)).transpose();
        let mut equals = Vec::new();
        if let Some((table, _)) = reader.table("equals")? {
            for (key, value) in table {
                let name = Name::new(document, key.get_ref(), key.span())?;
                equals.push((name, Tree::parse(document, value)?));
            }
        }
        let last_ok = match reader.text("last")? {
            None => None,
            Some(("ok", _)) => Some(true),
            Some(("failed", _)) => Some(false),
            Some((other, span)) => {
                return Err(document.unknown("end of a call", other, span, ["ok", "failed"]));
            }
        };
        Ok(Self { exists: name("exists")?, missing: name("missing")?, equals, last_ok })
    }

    /// The variables in them.
    pub(crate) fn names(&self) -> Vec<&Name> {
        let mut names: Vec<&Name> = self.exists.iter().chain(&self.missing).collect();
        for (name, value) in &self.equals {
            names.push(name);
            names.extend(value.names());
        }
        names
    }

    /// Whether all hold; `last_ok` is how the last call ended, if there was one.
    pub(crate) fn hold(
        &self,
        variables: &Variables,
        last_ok: Option<bool>,
    ) -> Result<bool, NoValue> {
        let has = |name: &Name| variables.contains_key(&name.text);
        let mut hold = self.exists.iter().all(has)
            && !self.missing.iter().any(has)
            && self.last_ok.is_none_or(|wanted| last_ok == Some(wanted));
        for (name, wanted) in &self.equals {
            hold = hold && same(variables.get(&name.text), &wanted.value(variables)?);
        }
        Ok(hold)
    }
}

fn same(value: Option<&Value>, wanted: &Value) -> bool {
    value.is_some_and(|value| match (value.as_f64(), wanted.as_f64()) {
        // 2 and 2.0 are one number, however a file writes it.
        (Some(value), Some(wanted)) => value == wanted,
        _ => value == wanted,
    })
}
