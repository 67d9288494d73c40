//! Strings with variables in them, and JSON values made of such strings.

use serde_json::Value;
use toml::de::DeValue;

use super::{
    Variables,
    error::{Document, OrganismError, Problem, Span},
    play::NoValue,
    reader::Node,
};

/// A variable's name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

impl Name {
    /// Takes a name that is one: letters, digits and `_`, a letter first.
    pub(crate) fn new(document: &Document, text: &str, span: Span) -> Result<Self, OrganismError> {
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic());
        if first && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            Ok(Self { text: text.to_owned(), span })
        } else {
            Err(document.error(span, Problem::VariableName(text.to_owned())))
        }
    }
}

/// A string with `{{variables}}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Name),
}

impl Template {
    /// Reads a string that stands at `span`.
    pub(crate) fn parse(
        document: &Document,
        text: &str,
        span: &Span,
    ) -> Result<Self, OrganismError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            literal.push_str(&rest[..open]);
            rest = &rest[open + 2..];
            if let Some(after) = rest.strip_prefix("{{") {
                literal.push_str("{{");
                rest = after;
                continue;
            }
            let close = rest
                .find("}}")
                .ok_or_else(|| document.error(span.clone(), Problem::OpenTemplate))?;
            let place = place(document, span, &rest[..close]);
            let name = Name::new(document, rest[..close].trim(), place)?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Variable(name));
            rest = &rest[close + 2..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// The variables in it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name),
            Part::Text(_) => None,
        })
    }

    /// The value: a variable's own where the string is nothing else, else a string.
    pub(crate) fn value(&self, variables: &Variables) -> Result<Value, NoValue> {
        match self.parts.as_slice() {
            [Part::Variable(name)] => look_up(variables, name).cloned(),
            _ => self.text(variables).map(Value::String),
        }
    }

    /// The string, with values that are none written as JSON.
    pub(crate) fn text(&self, variables: &Variables) -> Result<String, NoValue> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Variable(name) => match look_up(variables, name)? {
                    Value::String(value) => text.push_str(value),
                    value => text.push_str(&value.to_string()),
                },
            }
        }
        Ok(text)
    }
}

fn look_up<'v>(variables: &'v Variables, name: &Name) -> Result<&'v Value, NoValue> {
    variables.get(&name.text).ok_or_else(|| NoValue { variable: name.text.clone() })
}

/// Where a variable stands within a string: exactly, unless the string was written with escapes.
fn place(document: &Document, string: &Span, inner: &str) -> Span {
    let written = document.source().get(string.clone()).unwrap_or_default();
    match written.find(&format!("{{{{{inner}}}}}")) {
        Some(offset) => {
            let start = string.start + offset;
            start..start + inner.len() + 4
        }
        None => string.clone(),
    }
}

/// A JSON value whose strings are templates.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Leaf(Value),
    Text(Template),
    List(Vec<Self>),
    Table(Vec<(String, Self)>),
}

impl Tree {
    /// Reads any TOML value but a date.
    pub(crate) fn parse(document: &Document, node: &Node<'_>) -> Result<Self, OrganismError> {
        let unrepresentable = || document.error(node.span(), Problem::Number);
        Ok(match node.get_ref() {
            DeValue::String(text) => Self::Text(Template::parse(document, text, &node.span())?),
            DeValue::Integer(integer) => {
                let integer = i64::from_str_radix(integer.as_str(), integer.radix())
                    .map_err(|_| unrepresentable())?;
                Self::Leaf(integer.into())
            }
            DeValue::Float(float) => {
                let float: f64 = float.as_str().parse().map_err(|_| unrepresentable())?;
                Self::Leaf(serde_json::Number::from_f64(float).ok_or_else(unrepresentable)?.into())
            }
            DeValue::Boolean(boolean) => Self::Leaf((*boolean).into()),
            DeValue::Datetime(_) => return Err(document.error(node.span(), Problem::Date)),
            DeValue::Array(items) => Self::List(
                items.iter().map(|item| Self::parse(document, item)).collect::<Result<_, _>>()?,
            ),
            DeValue::Table(table) => Self::Table(
                table
                    .iter()
                    .map(|(key, value)| {
                        Ok((key.get_ref().to_string(), Self::parse(document, value)?))
                    })
                    .collect::<Result<_, OrganismError>>()?,
            ),
        })
    }

    /// The variables in it.
    pub(crate) fn names(&self) -> Vec<&Name> {
        match self {
            Self::Leaf(_) => Vec::new(),
            Self::Text(template) => template.names().collect(),
            Self::List(items) => items.iter().flat_map(Self::names).collect(),
            Self::Table(entries) => entries.iter().flat_map(|(_, tree)| tree.names()).collect(),
        }
    }

    /// The value.
    pub(crate) fn value(&self, variables: &Variables) -> Result<Value, NoValue> {
        Ok(match self {
            Self::Leaf(value) => value.clone(),
            Self::Text(template) => template.value(variables)?,
            Self::List(items) => Value::Array(
                items.iter().map(|item| item.value(variables)).collect::<Result<_, _>>()?,
            ),
            Self::Table(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, tree)| Ok((key.clone(), tree.value(variables)?)))
                    .collect::<Result<_, NoValue>>()?,
            ),
        })
    }
}
