//! Lossless text for bytes that others chose: paths, command names, arguments.
//!
//! Printable UTF-8 stays as it is. A backslash becomes `\\`. A byte that is not part of valid UTF-8,
//! and an ASCII control character, becomes `\xNN`. Any other character that could deceive a reader
//! or a terminal (C1 controls, bidirectional controls, invisible ones, line separators) becomes
//! `\u{…}`. Every sequence of bytes has one escaped form, and [`unescape`] gives it back.

use std::{borrow::Cow, fmt::Write};

/// Why a text is not the escaped form of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no escape begins at byte {at}: `\\\\`, `\\xNN` and `\\u{{…}}` are known")]
pub struct UnescapeError {
    /// Where the backslash is, in bytes.
    pub at: usize,
}

/// The escaped form of any bytes.
#[must_use]
pub fn escape(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains(needs_escape)
    {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push(&mut escaped, character);
        }
        for byte in chunk.invalid() {
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    Cow::Owned(escaped)
}

/// The escaped form of text: for a terminal, of strings that were never escaped.
#[must_use]
pub fn escape_text(text: &str) -> Cow<'_, str> {
    escape(text.as_bytes())
}

/// Text for a terminal or a page, with what could deceive escaped but backslashes left alone: for
/// strings that are escaped already or need not be reversible.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if character == '\\' {
            escaped.push(character);
        } else {
            push(&mut escaped, character);
        }
    }
    Cow::Owned(escaped)
}

/// The bytes that a text is the escaped form of.
///
/// # Errors
///
/// When a backslash begins no known escape.
pub fn unescape(text: &str) -> Result<Vec<u8>, UnescapeError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let error = UnescapeError { at: text.len() - rest.len() + at };
        let escape = &rest[at + 1..];
        rest = if let Some(after) = escape.strip_prefix('\\') {
            bytes.push(b'\\');
            after
        } else if let Some(digits) = escape.strip_prefix('x') {
            let pair = digits.get(..2).ok_or(error)?;
            let mut byte = [0];
            hex::decode_to_slice(pair, &mut byte).map_err(|_| error)?;
            bytes.push(byte[0]);
            &digits[2..]
        } else {
            let digits = escape.strip_prefix("u{").ok_or(error)?;
            let (digits, after) = digits.split_once('}').ok_or(error)?;
            let number = u32::from_str_radix(digits, 16).map_err(|_| error)?;
            let character = char::from_u32(number).ok_or(error)?;
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            after
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

fn push(escaped: &mut String, character: char) {
    let number = u32::from(character);
    if character == '\\' {
        escaped.push_str("\\\\");
    } else if !is_deceptive(character) {
        escaped.push(character);
    } else if number < 0x80 {
        let _ = write!(escaped, "\\x{number:02x}");
    } else {
        let _ = write!(escaped, "\\u{{{number:x}}}");
    }
}

fn needs_escape(character: char) -> bool {
    character == '\\' || is_deceptive(character)
}

/// Whether a character moves a cursor, reorders or hides text, or starts a line.
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Soft hyphen, Arabic letter mark, Hangul fillers, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{ffa0}'
            // Zero-width characters, bidirectional marks, line and paragraph separators, embeddings.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, bidirectional isolates, deprecated controls.
            | '\u{2060}'..='\u{206f}'
            // Byte order mark, interlinear annotations, tags.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn printable_text_stays_and_is_not_copied() {
        assert!(matches!(escape("/srv/Zürich/日本 x".as_bytes()), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_not_printable_is_spelled_out() {
        assert_eq!(escape(b"a\\b"), "a\\\\b");
        assert_eq!(escape(b"\x1b[31m\n\x7f"), "\\x1b[31m\\x0a\\x7f");
        assert_eq!(escape(b"\xff/\xc3"), "\\xff/\\xc3");
        assert_eq!(escape("\u{85}\u{202e}\u{feff}".as_bytes()), "\\u{85}\\u{202e}\\u{feff}");
    }

    #[test]
    fn text_that_looks_escaped_is_told_apart_from_what_it_looks_like() {
        assert_ne!(escape(b"\\xff"), escape(b"\xff"));
        assert_eq!(unescape(&escape(b"\\xff")).unwrap(), b"\\xff");
    }

    #[test]
    fn unknown_escapes_are_refused_where_they_begin() {
        for text in ["ab\\", "ab\\x", "ab\\x1", "ab\\xzz", "ab\\u{}", "ab\\u{d800}", "ab\\n"] {
            assert_eq!(unescape(text), Err(UnescapeError { at: 2 }), "{text}");
        }
    }

    #[test]
    fn visible_leaves_backslashes_and_shows_the_rest() {
        assert_eq!(visible("a\\x1b\u{1b}\u{202e}"), "a\\x1b\\x1b\\u{202e}");
    }

    proptest! {
        #[test]
        fn every_sequence_of_bytes_comes_back(bytes: Vec<u8>) {
            prop_assert_eq!(unescape(&escape(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn every_text_comes_back_and_is_printable(text: String) {
            let escaped = escape(text.as_bytes());
            prop_assert!(!escaped.contains(is_deceptive));
            prop_assert_eq!(unescape(&escaped).unwrap(), text.as_bytes());
        }

        #[test]
        fn unescape_never_panics(text: String) {
            let _ = unescape(&text);
        }
    }
}
