//! `list_directory`: tier 0.

use std::{fs, os::unix::ffi::OsStrExt};

use journal::escape::escape;
use serde_json::{Value, json};

use super::{ToolError, argument::arguments, result::Act};

/// Most entries of a directory that a result carries.
const ENTRY_LIMIT: usize = 4096;

arguments! {
    /// Arguments of `list_directory`.
    ListDirectory {
        /// The directory, relative to the workspace or absolute.
        path: String,
    }
}

/// Lists a directory by name, without `.` and `..`.
pub(crate) fn list_directory(arguments: &ListDirectory) -> Result<Value, ToolError> {
    let path = arguments.path.as_str();
    let mut names = Vec::new();
    for entry in fs::read_dir(path).act("list", path)? {
        names.push(entry.act("list", path)?);
    }
    names.sort_by_key(fs::DirEntry::file_name);
    let truncated = names.len() > ENTRY_LIMIT;
    let entries: Vec<Value> = names
        .iter()
        .take(ENTRY_LIMIT)
        .map(|entry| {
            // An entry may be gone by now, or not be the sandbox's to look at.
            let metadata = entry.metadata().ok();
            json!({
                "name": escape(entry.file_name().as_bytes()),
                "kind": metadata.as_ref().map(|metadata| kind(metadata.file_type())),
                "size_bytes": metadata.as_ref().map(fs::Metadata::len),
            })
        })
        .collect();
    Ok(json!({ "entries": entries, "truncated": truncated }))
}

fn kind(file_type: fs::FileType) -> &'static str {
    if file_type.is_dir() {
        "directory"
    } else if file_type.is_file() {
        "file"
    } else if file_type.is_symlink() {
        "symlink"
    } else {
        "special"
    }
}
