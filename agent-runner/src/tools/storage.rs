//! `move`, `remove`, `touch`, `make_directory` and `change_mode`: tier 3.

use std::{
    fs::{self, OpenOptions, Permissions},
    io,
    os::unix::fs::PermissionsExt,
};

use nix::{
    fcntl::AT_FDCWD,
    sys::{
        stat::{UtimensatFlags, utimensat},
        time::TimeSpec,
    },
};
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

arguments! {
    /// Arguments of `touch`.
    Touch {
        /// The file, relative to the workspace or absolute.
        path: String,
    }
}

arguments! {
    /// Arguments of `make_directory`.
    MakeDirectory {
        /// The directory, relative to the workspace or absolute.
        path: String,
        /// Whether to make what is missing above it, and to be content if it is there.
        parents: Option<bool>,
    }
}

arguments! {
    /// Arguments of `change_mode`.
    ChangeMode {
        /// What to change, relative to the workspace or absolute; a link is followed.
        path: String,
        /// The new mode, in octal digits such as `0644`.
        mode: String,
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

/// Makes an empty file, or sets the times of what is there to now.
pub(crate) fn touch(arguments: &Touch) -> Result<Value, ToolError> {
    let path = arguments.path.as_str();
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => Ok(json!({ "made": true })),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let now = TimeSpec::UTIME_NOW;
            utimensat(AT_FDCWD, path, &now, &now, UtimensatFlags::FollowSymlink)
                .act("touch", path)?;
            Ok(json!({ "made": false }))
        }
        made => made.act("make", path).map(|_| Value::Null),
    }
}

/// Makes a directory.
pub(crate) fn make_directory(arguments: &MakeDirectory) -> Result<Value, ToolError> {
    let path = arguments.path.as_str();
    let made = if arguments.parents.unwrap_or(false) {
        fs::create_dir_all(path)
    } else {
        fs::create_dir(path)
    };
    made.act("make the directory", path)?;
    Ok(json!({}))
}

/// Changes a mode; tells which it was.
pub(crate) fn change_mode(arguments: &ChangeMode) -> Result<Value, ToolError> {
    let path = arguments.path.as_str();
    let mode = u32::from_str_radix(&arguments.mode, 8).ok().filter(|mode| *mode <= 0o7777);
    let mode =
        mode.ok_or(ToolError::Range { argument: "mode", range: "0000 to 7777, in octal" })?;
    let before = fs::metadata(path).act("look at", path)?.permissions().mode() & 0o7777;
    fs::set_permissions(path, Permissions::from_mode(mode)).act("change the mode of", path)?;
    Ok(json!({ "before": format!("{before:04o}") }))
}
