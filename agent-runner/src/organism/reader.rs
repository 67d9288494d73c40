//! A TOML table that knows its keys.

use std::time::Duration;

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::error::{Document, OrganismError, Problem, Span};

/// A value and where it stands.
pub(crate) type Node<'s> = Spanned<DeValue<'s>>;

/// A table of which every key is known.
pub(crate) struct Reader<'a, 's> {
    pub(crate) document: &'a Document,
    table: &'a DeTable<'s>,
    /// What errors call the table.
    place: &'static str,
    span: Span,
}

impl<'a, 's> Reader<'a, 's> {
    /// Takes a table and refuses it if it has a key that is not among `keys`.
    pub(crate) fn new(
        document: &'a Document,
        table: &'a DeTable<'s>,
        span: Span,
        place: &'static str,
        keys: &[&'static str],
    ) -> Result<Self, OrganismError> {
        for key in table.keys() {
            if !keys.contains(&key.get_ref().as_ref()) {
                let keys = keys.iter().copied();
                return Err(document.unknown("key", key.get_ref(), key.span(), keys));
            }
        }
        Ok(Self { document, table, place, span })
    }

    /// Where the table stands.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Node<'s>> {
        self.table.get(key)
    }

    /// Where a key stands, for errors about it being there.
    pub(crate) fn key_span(&self, key: &str) -> Span {
        self.table.get_key_value(key).map_or_else(|| self.span(), |(key, _)| key.span())
    }

    pub(crate) fn missing(&self, key: &'static str) -> OrganismError {
        self.document.error(self.span(), Problem::Missing { place: self.place, key })
    }

    fn mistyped(&self, key: &str, node: &Node<'_>, wanted: &'static str) -> OrganismError {
        mistyped(self.document, key, node, wanted)
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<(&'a str, Span)>, OrganismError> {
        self.get(key).map(|node| as_text(self.document, key, node)).transpose()
    }

    pub(crate) fn required_text(
        &self,
        key: &'static str,
    ) -> Result<(&'a str, Span), OrganismError> {
        self.text(key)?.ok_or_else(|| self.missing(key))
    }

    pub(crate) fn integer(&self, key: &str) -> Result<Option<(i64, Span)>, OrganismError> {
        self.get(key)
            .map(|node| match node.get_ref() {
                DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                    .map(|integer| (integer, node.span()))
                    .map_err(|_| self.document.error(node.span(), Problem::Number)),
                _ => Err(self.mistyped(key, node, "a whole number")),
            })
            .transpose()
    }

    /// A time in seconds, whole or not, from 0 to `most`.
    pub(crate) fn seconds(&self, key: &str, most: u32) -> Result<Option<Duration>, OrganismError> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let seconds: f64 = match node.get_ref() {
            DeValue::Integer(integer) => integer.to_string().parse().unwrap_or(f64::NAN),
            DeValue::Float(float) => float.as_str().parse().unwrap_or(f64::NAN),
            _ => return Err(self.mistyped(key, node, "a number of seconds")),
        };
        if !(0.0..=f64::from(most)).contains(&seconds) {
            let problem = Problem::Bounds { key: key.to_owned(), least: 0, most };
            return Err(self.document.error(node.span(), problem));
        }
        Ok(Some(Duration::from_secs_f64(seconds)))
    }

    pub(crate) fn table(
        &self,
        key: &str,
    ) -> Result<Option<(&'a DeTable<'s>, Span)>, OrganismError> {
        self.get(key).map(|node| as_table(self.document, key, node)).transpose()
    }

    /// A table whose keys are known.
    pub(crate) fn reader(
        &self,
        key: &'static str,
        keys: &[&'static str],
    ) -> Result<Option<Self>, OrganismError> {
        self.table(key)?
            .map(|(table, span)| Self::new(self.document, table, span, key, keys))
            .transpose()
    }

    pub(crate) fn array(&self, key: &str) -> Result<Option<&'a DeArray<'s>>, OrganismError> {
        self.get(key)
            .map(|node| match node.get_ref() {
                DeValue::Array(array) => Ok(array),
                _ => Err(self.mistyped(key, node, "a list")),
            })
            .transpose()
    }
}

/// A value that must be a table.
pub(crate) fn as_table<'a, 's>(
    document: &Document,
    key: &str,
    node: &'a Node<'s>,
) -> Result<(&'a DeTable<'s>, Span), OrganismError> {
    match node.get_ref() {
        DeValue::Table(table) => Ok((table, node.span())),
        _ => Err(mistyped(document, key, node, "a table")),
    }
}

/// A value that must be a string.
pub(crate) fn as_text<'a>(
    document: &Document,
    key: &str,
    node: &'a Node<'_>,
) -> Result<(&'a str, Span), OrganismError> {
    match node.get_ref() {
        DeValue::String(text) => Ok((text.as_ref(), node.span())),
        _ => Err(mistyped(document, key, node, "a string")),
    }
}

fn mistyped(
    document: &Document,
    key: &str,
    node: &Node<'_>,
    wanted: &'static str,
) -> OrganismError {
    let found = match node.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    document.error(node.span(), Problem::Type { key: key.to_owned(), found, wanted })
}
