//! `edit_file`: tier 0.

use std::{
    fs::OpenOptions,
    io::{Read, Seek, Write},
};

use serde_json::{Value, json};

use super::{OUTPUT_LIMIT_BYTES, ToolError, argument::arguments, result::Act};

arguments! {
    /// Arguments of `edit_file`.
    EditFile {
        /// The file, relative to the workspace or absolute.
        path: String,
        /// The text to replace, exactly as it stands there.
        old: String,
        /// What to put in its place.
        new: String,
        /// Whether to replace every occurrence; else there must be one.
        all: Option<bool>,
    }
}

/// Replaces text in a file, in place: who holds it open sees the change, and its owner and mode
/// stay. Nothing is written unless all of it can be replaced.
pub(crate) fn edit_file(arguments: &EditFile) -> Result<Value, ToolError> {
    let EditFile { path, old, new, all } = arguments;
    let cannot = |reason| Err(ToolError::Edit { path: path.clone(), reason });
    if old.is_empty() {
        return cannot("the text to replace is empty");
    }
    let mut file = OpenOptions::new().read(true).write(true).open(path).act("open", path)?;
    let mut content = Vec::new();
    (&mut file).take(OUTPUT_LIMIT_BYTES as u64 + 1).read_to_end(&mut content).act("read", path)?;
    if content.len() > OUTPUT_LIMIT_BYTES {
        return cannot("it is larger than 1 MiB");
    }
    let Ok(content) = String::from_utf8(content) else {
        return cannot("it is not UTF-8");
    };
    let replacements = content.matches(old.as_str()).count();
    match replacements {
        0 => return cannot("the text to replace is not in it"),
        1 => {}
        _ if all.unwrap_or(false) => {}
        _ => return cannot("the text to replace is in it more than once"),
    }
    let content = content.replace(old.as_str(), new);
    file.rewind().act("write", path)?;
    file.write_all(content.as_bytes()).act("write", path)?;
    file.set_len(content.len() as u64).act("shorten", path)?;
    Ok(json!({ "replacements": replacements, "size_bytes": content.len() }))
}
