//! `shell`: any command, at every tier.

use std::ffi::OsString;

use sandbox::Exit;
use serde_json::json;

use super::{ToolResult, argument::arguments};
use crate::{
    collect::Collected,
    hands::{Work, signal_name},
};

arguments! {
    /// Arguments of `shell`.
    Shell {
        /// The command line, for `/bin/sh -c`.
        command: String,
    }
}

impl Shell {
    /// What the spawner is to start.
    pub(crate) fn work(&self) -> Work {
        Work::Program {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), OsString::from(&self.command)],
        }
    }
}

/// What the agent learns of a shell that ended by itself.
pub(crate) fn result(exit: Exit, collected: &Collected) -> ToolResult {
    let mut value = json!({
        "stdout": String::from_utf8_lossy(&collected.stdout.bytes),
        "stderr": String::from_utf8_lossy(&collected.stderr.bytes),
        "truncated": collected.stdout.truncated || collected.stderr.truncated,
    });
    match exit {
        Exit::Code(code) => value["exit_code"] = code.into(),
        Exit::Signal(signal) => value["signal"] = signal_name(signal).into(),
    }
    ToolResult { ok: exit == Exit::Code(0), value }
}
