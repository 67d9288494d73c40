//! `send_signal`, `pause_process` and `resume_process`: tier 2.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ToolError,
    argument::{ArgumentType, Kind, arguments},
    result::Act,
};

arguments! {
    /// Arguments of `send_signal`.
    SendSignal {
        /// The process, by its thread group.
        tgid: i32,
        /// The signal's name, with or without `SIG`, or its number.
        signal: SignalArgument,
    }
}

arguments! {
    /// Arguments of `pause_process`.
    PauseProcess {
        /// The process, by its thread group.
        tgid: i32,
    }
}

arguments! {
    /// Arguments of `resume_process`.
    ResumeProcess {
        /// The process, by its thread group.
        tgid: i32,
    }
}

/// A signal as an agent writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum SignalArgument {
    /// Its number.
    Number(i32),
    /// Its name, with or without `SIG`.
    Name(String),
}

impl ArgumentType for SignalArgument {
    const KIND: Kind = Kind::Signal;
}

impl SignalArgument {
    fn signal(&self) -> Result<Signal, ToolError> {
        match self {
            Self::Number(number) => {
                Signal::try_from(*number).map_err(|_| ToolError::Signal(number.to_string()))
            }
            Self::Name(name) => {
                let upper = name.to_ascii_uppercase();
                let whole = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
                whole.parse().map_err(|_| ToolError::Signal(name.clone()))
            }
        }
    }
}

/// Sends a signal to one process; groups are not named by this tool.
pub(crate) fn send_signal(arguments: &SendSignal) -> Result<Value, ToolError> {
    send(arguments.tgid, arguments.signal.signal()?)
}

/// Stops a process until it is resumed.
pub(crate) fn pause_process(arguments: &PauseProcess) -> Result<Value, ToolError> {
    send(arguments.tgid, Signal::SIGSTOP)
}

/// Lets a stopped process go on.
pub(crate) fn resume_process(arguments: &ResumeProcess) -> Result<Value, ToolError> {
    send(arguments.tgid, Signal::SIGCONT)
}

fn send(tgid: i32, signal: Signal) -> Result<Value, ToolError> {
    if tgid <= 0 {
        return Err(ToolError::Tgid(tgid));
    }
    kill(Pid::from_raw(tgid), signal).act("signal", &format!("process {tgid}"))?;
    Ok(json!({}))
}
