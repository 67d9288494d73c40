//! `send_signal`: tier 2.

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
    if arguments.tgid <= 0 {
        return Err(ToolError::Tgid(arguments.tgid));
    }
    let signal = arguments.signal.signal()?;
    kill(Pid::from_raw(arguments.tgid), signal)
        .act("signal", &format!("process {}", arguments.tgid))?;
    Ok(json!({}))
}
