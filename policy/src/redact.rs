//! Reading `[redact]`: where the secrets are that are kept out of the run directory.

use std::{collections::HashMap, ops::Range, path::PathBuf};

use toml::de::DeTable;

use crate::{
    mistake::{Mistake, MistakeKind},
    read::Reader,
    rule::Redact,
};

const REDACT: &str = "[redact]";
const ENVIRONMENT: &str = "environment";
const FILES: &str = "files";
const PATTERNS: &str = "patterns";

impl Reader {
    pub(crate) fn redact(&mut self, table: &DeTable<'_>) -> Redact {
        let Some(value) = table.get("redact") else { return Redact::default() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(value, "redact", "a table");
            return Redact::default();
        };
        self.refuse_unknown_keys(table, &[ENVIRONMENT, FILES, PATTERNS], REDACT);
        let environment = self.texts(table, ENVIRONMENT, "variable", |name| {
            if name.contains('=') {
                return Err(MistakeKind::VariableName { name: name.escape_debug().to_string() });
            }
            Ok(())
        });
        let files = self.texts(table, FILES, "file", |path| {
            if !path.starts_with('/') {
                return Err(MistakeKind::RelativePath { path: path.escape_debug().to_string() });
            }
            Ok(())
        });
        let patterns = self.texts(table, PATTERNS, "pattern", |pattern| {
            match regex::bytes::Regex::new(pattern) {
                Ok(pattern) if pattern.is_match(b"") => Err(MistakeKind::EmptyPattern),
                Ok(_) => Ok(()),
                Err(error) => {
                    // The rest draws what this crate draws itself.
                    let text = error.to_string();
                    let last = text.lines().last().unwrap_or_default();
                    let message = last.trim_start_matches("error: ").to_owned();
                    Err(MistakeKind::Pattern { message })
                }
            }
        });
        Redact { environment, files: files.into_iter().map(PathBuf::from).collect(), patterns }
    }

    /// A list of texts, each once, which `check` has nothing against.
    fn texts(
        &mut self,
        table: &DeTable<'_>,
        key: &'static str,
        what: &'static str,
        check: impl Fn(&str) -> Result<(), MistakeKind>,
    ) -> Vec<String> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(value, key, "a list of texts");
            return Vec::new();
        };
        let mut seen: HashMap<String, Range<usize>> = HashMap::new();
        let mut texts = Vec::new();
        for value in array {
            let Some(text) = self.text(value, key) else { continue };
            self.refuse_twice(&mut seen, what, text.clone(), value.span());
            match check(&text) {
                Ok(()) => texts.push(text),
                Err(kind) => self.push(Mistake::new(kind, value.span())),
            }
        }
        texts
    }
}
