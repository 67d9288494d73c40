//! `read_file` and `write_file`: tier 0.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
};

use journal::escape::escape;
use serde_json::{Value, json};

use super::{OUTPUT_LIMIT_BYTES, ToolError, argument::arguments, result::Act};

arguments! {
    /// Arguments of `read_file`.
    ReadFile {
        /// The file, relative to the workspace or absolute.
        path: String,
    }
}

arguments! {
    /// Arguments of `write_file`.
    WriteFile {
        /// The file, relative to the workspace or absolute.
        path: String,
        /// What to write.
        content: String,
        /// Whether to add to the file's end instead of replacing its content.
        append: Option<bool>,
    }
}

/// Reads at most [`OUTPUT_LIMIT_BYTES`] of a file.
pub(crate) fn read_file(arguments: &ReadFile) -> Result<Value, ToolError> {
    let path = arguments.path.as_str();
    let file = File::open(path).act("open", path)?;
    let size_bytes = file.metadata().act("look at", path)?.len();
    let mut content = Vec::new();
    file.take(OUTPUT_LIMIT_BYTES as u64 + 1).read_to_end(&mut content).act("read", path)?;
    let truncated = content.len() > OUTPUT_LIMIT_BYTES;
    content.truncate(OUTPUT_LIMIT_BYTES);
    if truncated {
        drop_split_character(&mut content);
    }
    let (content, escaped) = match String::from_utf8(content) {
        Ok(text) => (text, false),
        Err(error) => (escape(error.as_bytes()).into_owned(), true),
    };
    Ok(json!({
        "content": content,
        "size_bytes": size_bytes,
        "truncated": truncated,
        "escaped": escaped,
    }))
}

/// Takes a character off the end that the limit cut in two, so that a text stays one.
fn drop_split_character(content: &mut Vec<u8>) {
    if let Err(error) = std::str::from_utf8(content)
        && error.error_len().is_none()
    {
        content.truncate(error.valid_up_to());
    }
}

/// Writes a file in place. It is never replaced by another one: who holds it open sees the change,
/// and its owner and mode stay.
pub(crate) fn write_file(arguments: &WriteFile) -> Result<Value, ToolError> {
    let path = arguments.path.as_str();
    let append = arguments.append.unwrap_or(false);
    let mut file = OpenOptions::new()
        .create(true)
        .append(append)
        .write(true)
        .truncate(!append)
        .open(path)
        .act("open for writing", path)?;
    file.write_all(arguments.content.as_bytes()).act("write", path)?;
    Ok(json!({ "written_bytes": arguments.content.len() }))
}
