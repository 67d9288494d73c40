//! `move` and `remove`: tier 3.

use std::fs;

use serde_json::{Value, json};

use super::{ToolError, argument::arguments, result::Act};

arguments! {
    /// Arguments of `move`.
    Move {
        /// What to move, relative to the workspace or absolute.
        from: String,
        /// Its new name; a file of that name is replaced.
        to: String,
    }
}

arguments! {
    /// Arguments of `remove`.
    Remove {
        /// What to remove, relative to the workspace or absolute.
        path: String,
        /// Whether a directory goes with all that is in it; else it must be empty.
        recursive: Option<bool>,
    }
}

/// One rename(2): it does not cross file systems.
pub(crate) fn move_path(arguments: &Move) -> Result<Value, ToolError> {
    fs::rename(&arguments.from, &arguments.to)
        .act("move", &format!("{} to {}", arguments.from, arguments.to))?;
    Ok(json!({}))
}

/// Removes a file, a link (not what it points to), or a directory.
pub(crate) fn remove(arguments: &Remove) -> Result<Value, ToolError> {
    let path = arguments.path.as_str();
    let is_directory = fs::symlink_metadata(path).act("look at", path)?.is_dir();
    let removed = match (is_directory, arguments.recursive.unwrap_or(false)) {
        (false, _) => fs::remove_file(path),
        (true, false) => fs::remove_dir(path),
        (true, true) => fs::remove_dir_all(path),
    };
    removed.act("remove", path)?;
    Ok(json!({}))
}
