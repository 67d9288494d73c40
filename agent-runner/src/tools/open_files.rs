//! `open_files`: tier 1.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::{Value, json};

use super::{
    OUTPUT_LIMIT_BYTES, ToolError,
    argument::arguments,
    processes::{ITEM_WEIGHT_BYTES, Process},
    result::Act,
};

arguments! {
    /// Arguments of `open_files`.
    OpenFiles {
        /// The process, by its thread group.
        tgid: i32,
    }
}

/// Lists a process's file descriptors by number, with what each is open on.
pub(crate) fn open_files(arguments: &OpenFiles) -> Result<Value, ToolError> {
    let process = Process::existing(arguments.tgid)?;
    let (action, object) = ("list the open files of", process.object());
    let mut numbers = Vec::new();
    for entry in fs::read_dir(process.directory.join("fd")).act(action, &object)? {
        let name = entry.act(action, &object)?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    numbers.sort_unstable();

    let mut files = Vec::new();
    let mut truncated = false;
    let mut weight_bytes = 0;
    for number in numbers {
        let name = format!("fd/{number}");
        // It may be closed by now.
        let Some(target) = process.link(&name) else { continue };
        weight_bytes += target.len() + ITEM_WEIGHT_BYTES;
        if weight_bytes > OUTPUT_LIMIT_BYTES {
            truncated = true;
            break;
        }
        // The link's own mode tells for what it was opened: see proc_pid_fd(5).
        let mode = fs::symlink_metadata(process.directory.join(&name))
            .ok()
            .map(|metadata| metadata.permissions().mode());
        files.push(json!({
            "fd": number,
            "target": target,
            "readable": mode.map(|mode| mode & 0o400 != 0),
            "writable": mode.map(|mode| mode & 0o200 != 0),
        }));
    }
    Ok(json!({ "files": files, "truncated": truncated }))
}
