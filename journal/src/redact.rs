//! Keeping secrets out of the run directory.
//!
//! What is written is searched for the secrets that a policy names, before it is chained and signed.
//! Each is found as it is, as JSON spells it within a text, and as [`crate::escape`] spells it; in
//! its place stands how many bytes were there. Where a text ends within a secret (it was cut), the
//! part is taken out as well if it is long enough to tell.

use std::{
    borrow::Cow,
    fmt,
    io::{self, Read, Write},
    ops::Range,
};

use aho_corasick::AhoCorasick;
use regex::bytes::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::escape::escape;

/// The shortest secret: shorter ones would be found in everything.
pub const SHORTEST_BYTES: usize = 6;
/// How much of a secret must be there to tell that a text ends within it.
const PART_BYTES: usize = 8;
/// A line of output that is longer than this is searched in parts.
const LINE_BYTES: usize = 64 * 1024;

/// What is to be taken out, as one process tells another.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Redaction {
    /// The secrets themselves.
    pub secrets: Vec<String>,
    /// What secrets look like: regular expressions.
    pub patterns: Vec<String>,
}

impl fmt::Debug for Redaction {
    /// Only how many there are: this may reach a log.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} secrets, {} patterns", self.secrets.len(), self.patterns.len())
    }
}

/// A [`Redaction`] cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// A pattern is no regular expression.
    #[error("a pattern of what is to be redacted is no regular expression")]
    Pattern(#[from] Box<regex::Error>),
    /// There are too many secrets, or too long ones.
    #[error("what is to be redacted cannot be searched for")]
    Search(#[from] aho_corasick::BuildError),
}

/// Takes secrets out of what is written.
pub struct Redactor {
    /// Every spelling of every secret.
    spellings: Vec<String>,
    search: AhoCorasick,
    /// The beginnings of all spellings, as JSON spells them in a line.
    hints: AhoCorasick,
    patterns: Vec<Regex>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} spellings, {} patterns", self.spellings.len(), self.patterns.len())
    }
}

impl Redactor {
    /// Gets ready; none where there is nothing to take out.
    ///
    /// # Errors
    ///
    /// When a pattern is none, or there is more than can be searched for.
    pub fn new(redaction: &Redaction) -> Result<Option<Self>, RedactError> {
        let secrets = redaction.secrets.iter().filter(|secret| !secret.is_empty());
        let mut spellings: Vec<String> = secrets
            .flat_map(|secret| [secret.clone(), json(secret), escape(secret.as_bytes()).into()])
            .collect();
        spellings.sort();
        spellings.dedup();
        let patterns = redaction.patterns.iter().map(|pattern| Regex::new(pattern));
        let patterns = patterns.collect::<Result<Vec<_>, _>>().map_err(Box::new)?;
        if spellings.is_empty() && patterns.is_empty() {
            return Ok(None);
        }
        let hints = spellings.iter().map(|spelling| json(beginning(spelling, PART_BYTES)));
        Ok(Some(Self {
            search: AhoCorasick::new(&spellings)?,
            hints: AhoCorasick::new(hints)?,
            spellings,
            patterns,
        }))
    }

    /// A text without secrets.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// Any bytes without secrets.
    #[must_use]
    pub fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let mut spans = self.spans(bytes);
        spans.extend(self.cut_off(bytes));
        let spans = merged(spans);
        if spans.is_empty() { Cow::Borrowed(bytes) } else { Cow::Owned(without(bytes, &spans)) }
    }

    /// Takes secrets out of all texts in a value, names of members among them.
    pub fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(redacted) = self.text(text) {
                    *text = redacted;
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(members) => {
                let old = std::mem::take(members);
                members.extend(old.into_iter().map(|(name, mut value)| {
                    self.value(&mut value);
                    (self.text(&name).into_owned(), value)
                }));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Takes secrets out of a value that is written as JSON: compact, or else indented. A value
    /// without any is left as it was written.
    ///
    /// # Errors
    ///
    /// When it is no JSON.
    pub(crate) fn json(&self, bytes: &mut Vec<u8>, compact: bool) -> serde_json::Result<()> {
        if self.patterns.is_empty() && !self.hints.is_match(bytes.as_slice()) {
            return Ok(());
        }
        let mut value: Value = serde_json::from_slice(bytes)?;
        let before = value.clone();
        self.value(&mut value);
        if value != before {
            let redacted = if compact {
                serde_json::to_vec(&value)
            } else {
                serde_json::to_vec_pretty(&value)
            };
            *bytes = redacted?;
        }
        Ok(())
    }

    /// Copies to the end, without secrets, line by line.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written; what was read by then may be lost.
    pub fn copy(&self, mut from: impl Read, mut to: impl Write) -> io::Result<()> {
        let mut held = Vec::new();
        let mut chunk = [0; 8192];
        loop {
            let count = match from.read(&mut chunk) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if count == 0 {
                return to.write_all(&self.bytes(&held));
            }
            held.extend_from_slice(&chunk[..count]);
            // A line that has not ended is kept until it does, unless it is too long for that.
            if !chunk[..count].contains(&b'\n') && held.len() <= self.longest_held() {
                continue;
            }
            let spans = merged(self.spans(&held));
            let end = self.settled(&held, &spans);
            let settled: Vec<_> = spans.into_iter().filter(|span| span.end <= end).collect();
            to.write_all(&without(&held[..end], &settled))?;
            held.drain(..end);
        }
    }

    fn longest_held(&self) -> usize {
        LINE_BYTES + self.longest()
    }

    fn longest(&self) -> usize {
        self.spellings.iter().map(String::len).max().unwrap_or(0)
    }

    /// How much of what was read can be written: whole lines, or where a line does not end, all but
    /// what a secret may still be going on in.
    fn settled(&self, held: &[u8], spans: &[Range<usize>]) -> usize {
        let line = held.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let end = match held.len() {
            length if line == 0 && length > self.longest_held() => length - self.longest(),
            _ => line,
        };
        let across = spans.iter().find(|span| span.start < end && end < span.end);
        across.map_or(end, |span| span.end)
    }

    fn spans(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let found = self.search.find_overlapping_iter(bytes).map(|found| found.range());
        let looks = self.patterns.iter().flat_map(|pattern| pattern.find_iter(bytes));
        found.chain(looks.map(|found| found.range())).filter(|span| !span.is_empty()).collect()
    }

    /// The part of a secret at which the bytes end.
    fn cut_off(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let parts = self.spellings.iter().filter_map(|spelling| {
            let longest = bytes.len().min(spelling.len().saturating_sub(1));
            (PART_BYTES..=longest).rev().find(|&part| bytes.ends_with(&spelling.as_bytes()[..part]))
        });
        parts.max().map(|part| bytes.len() - part..bytes.len())
    }
}

/// The inside of a text as JSON spells it.
fn json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The first bytes of a text, whole characters.
fn beginning(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}

/// Spans in order, those that touch or overlap as one.
fn merged(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_by_key(|span| span.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

fn without(bytes: &[u8], spans: &[Range<usize>]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for span in spans {
        kept.extend_from_slice(&bytes[at..span.start]);
        kept.extend_from_slice(format!("[redacted {} bytes]", span.len()).as_bytes());
        at = span.end;
    }
    kept.extend_from_slice(&bytes[at..]);
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SECRET: &str = "hunter2-\"quoted\"\n\\end";

    fn redactor(secrets: &[&str], patterns: &[&str]) -> Redactor {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let redaction = Redaction { secrets: owned(secrets), patterns: owned(patterns) };
        Redactor::new(&redaction).unwrap().unwrap()
    }

    #[test]
    fn a_secret_is_replaced_by_its_length_in_each_spelling() {
        let redactor = redactor(&[SECRET], &[]);
        let length = SECRET.len();
        assert_eq!(
            redactor.text(&format!("a {SECRET} b")),
            format!("a [redacted {length} bytes] b")
        );
        for spelling in [json(SECRET), escape(SECRET.as_bytes()).into_owned()] {
            let length = spelling.len();
            assert_eq!(redactor.text(&spelling), format!("[redacted {length} bytes]"));
        }
        assert!(matches!(redactor.text("nothing of it"), Cow::Borrowed(_)));
    }

    #[test]
    fn secrets_that_overlap_leave_no_rest() {
        let redactor = redactor(&["abcdefgh", "efghijkl"], &[]);
        assert_eq!(redactor.text("xabcdefghijkly"), "x[redacted 12 bytes]y");
        assert_eq!(redactor.text("abcdefghabcdefgh"), "[redacted 16 bytes]");
    }

    #[test]
    fn what_looks_like_a_secret_is_one() {
        let redactor = redactor(&[], &["sk-[a-z0-9]{8,}"]);
        assert_eq!(redactor.text("key=sk-abcdef123456;"), "key=[redacted 15 bytes];");
    }

    #[test]
    fn a_text_that_was_cut_within_a_secret_ends_without_it() {
        let redactor = redactor(&["correct-horse-battery"], &[]);
        assert_eq!(redactor.text("x correct-horse"), "x [redacted 13 bytes]");
        assert_eq!(redactor.text("x correct"), "x correct", "too little to tell");
    }

    #[test]
    fn names_and_values_at_any_depth_are_searched() {
        let redactor = redactor(&["hunter2!"], &[]);
        let mut value = json!({ "a": [1, { "hunter2!": "is hunter2!" }], "b": null });
        redactor.value(&mut value);
        let marked = "[redacted 8 bytes]";
        assert_eq!(value, json!({ "a": [1, { marked: format!("is {marked}") }], "b": null }));
    }

    #[test]
    fn a_line_without_a_secret_stays_byte_for_byte() {
        let redactor = redactor(&[SECRET], &[]);
        let mut line = br#"{"z":1,"a":"hunter"}"#.to_vec();
        redactor.json(&mut line, true).unwrap();
        assert_eq!(line, br#"{"z":1,"a":"hunter"}"#);
        let mut line = serde_json::to_vec(&json!({ "a": SECRET })).unwrap();
        redactor.json(&mut line, true).unwrap();
        assert_eq!(line, format!("{{\"a\":\"[redacted {} bytes]\"}}", SECRET.len()).into_bytes());
    }

    /// Gives bytes in pieces of these sizes, again and again.
    struct Pieces<'a>(&'a [u8], Vec<usize>, usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let wanted = self.1[self.2 % self.1.len()];
            self.2 += 1;
            let count = wanted.min(into.len()).min(self.0.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn a_line_longer_than_is_held_is_searched_across_its_parts() {
        let redactor = redactor(&["hunter2!"], &[]);
        let text = format!("{}hunter2!{}", "x".repeat(LINE_BYTES + 3), "y".repeat(LINE_BYTES));
        for size in [1, 7, 8000] {
            let mut out = Vec::new();
            redactor.copy(Pieces(text.as_bytes(), vec![size], 0), &mut out).unwrap();
            let expected = text.replace("hunter2!", "[redacted 8 bytes]");
            assert!(out == expected.as_bytes(), "pieces of {size}");
        }
    }

    proptest! {
        #[test]
        fn no_secret_passes_whatever_is_around_it_and_however_it_comes(
            before in "[a-h\n\\\\\"]{0,40}",
            after in "[a-h\n]{0,40}",
            secret in "[a-h]{6,12}",
            sizes in proptest::collection::vec(1_usize..9, 1..5),
        ) {
            let redactor = redactor(&[&secret], &[]);
            let text = format!("{before}{secret}{after}");
            prop_assert!(!redactor.text(&text).contains(&secret));
            let mut out = Vec::new();
            redactor.copy(Pieces(text.as_bytes(), sizes, 0), &mut out).unwrap();
            prop_assert!(!String::from_utf8_lossy(&out).contains(&secret));
            let mut line = serde_json::to_vec(&json!({ "text": text })).unwrap();
            redactor.json(&mut line, true).unwrap();
            let value: Value = serde_json::from_slice(&line).unwrap();
            prop_assert!(!value["text"].as_str().unwrap().contains(&secret));
        }
    }
}
