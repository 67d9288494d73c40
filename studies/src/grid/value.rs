//! Values of the file, each with the mistake that a wrong one is.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Placed,
    mistake::{Mistake, MistakeKind},
};

pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// Reads values and collects what is wrong with them.
pub(super) struct Reader<'m> {
    pub(super) mistakes: &'m mut Vec<Mistake>,
}

impl Reader<'_> {
    pub(super) fn push(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    pub(super) fn refuse_unknown_keys(
        &mut self,
        table: &DeTable<'_>,
        known: &[&str],
        place: &'static str,
    ) {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let kind = MistakeKind::UnknownKey { key: name.to_owned(), place };
                let help = nearest(name, known);
                self.push(Mistake::new(kind, key.span()).help(help));
            }
        }
    }

    pub(super) fn required<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        key: &'static str,
        place: &'static str,
        span: Range<usize>,
    ) -> Option<&'t Value<'i>> {
        let value = table.get(key);
        if value.is_none() {
            self.push(Mistake::new(MistakeKind::MissingKey { key, place }, span));
        }
        value
    }

    pub(super) fn wrong_type(
        &mut self,
        value: &Value<'_>,
        key: &'static str,
        expected: &'static str,
    ) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.push(Mistake::new(MistakeKind::WrongType { key, found, expected }, value.span()));
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, value: &Value<'_>, key: &'static str) -> Option<String> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(value, key, "a text");
            return None;
        };
        if text.trim().is_empty() {
            self.push(Mistake::new(MistakeKind::Empty { key }, value.span()));
            return None;
        }
        Some(text.to_owned())
    }

    /// A list that is not empty.
    pub(super) fn list<'t, 'i>(
        &mut self,
        value: &'t Value<'i>,
        key: &'static str,
        expected: &'static str,
    ) -> Option<Vec<&'t Value<'i>>> {
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(value, key, expected);
            return None;
        };
        if array.is_empty() {
            self.push(Mistake::new(MistakeKind::Empty { key }, value.span()));
            return None;
        }
        Some(array.iter().collect())
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, value: &Value<'_>, key: &'static str) -> Vec<Placed<String>> {
        let values = self.list(value, key, "a list of texts").unwrap_or_default();
        let texts = values.into_iter().filter_map(|value| {
            let text = self.text(value, key)?;
            Some(Placed { value: text, span: value.span() })
        });
        texts.collect()
    }

    /// The same, of which none may stand twice.
    pub(super) fn axis(&mut self, value: &Value<'_>, key: &'static str) -> Vec<Placed<String>> {
        let texts = self.texts(value, key);
        let mut axis: Vec<Placed<String>> = Vec::new();
        for text in texts {
            match axis.iter().find(|other| other.value == text.value) {
                Some(first) => {
                    let kind = MistakeKind::Duplicate { key, value: text.value };
                    self.push(Mistake::new(kind, text.span).other(first.span.clone()));
                }
                None => axis.push(text),
            }
        }
        axis
    }

    /// An integer as it stands there, without separators.
    pub(super) fn integer(&mut self, value: &Value<'_>, key: &'static str) -> Option<i128> {
        let number = value.get_ref().as_integer().and_then(|number| {
            i128::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
        });
        if number.is_none() {
            self.wrong_type(value, key, "a whole number");
        }
        number
    }
}

/// What to tell somebody who wrote `name` where one of `known` belongs.
pub(super) fn nearest(name: &str, known: &[&str]) -> String {
    let tolerated = (name.chars().count() / 3).max(1);
    let close = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    match close.filter(|(distance, _)| *distance <= tolerated).min_by_key(|it| it.0) {
        Some((_, known)) => format!("did you mean `{known}`?"),
        None => {
            let all: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
            format!("one of {}", all.join(", "))
        }
    }
}
