//! The components: programs that a scenario consists of, all of them in this binary.
//!
//! `belljar component NAME ARGUMENTS…` runs one. Each sets its command name to the neutral one that
//! the agent is to see, takes its place among the processors and never returns before it is told to
//! stop or its parent is gone.

mod arguments;
mod audit;
mod backend;
mod configuration;
mod connection;
mod console;
mod http;
mod neighbour;
mod worker;

use std::process::ExitCode;

use arguments::ArgumentError;
use arguments::Arguments;
pub(crate) use audit::is_record;
pub(crate) use configuration::INITIAL as INITIAL_CONFIGURATION;

/// Components that a scenario can name.
pub const NAMES: &[&str] = &["backend", "neighbour", "console"];

/// The backend's worker, which only the backend starts.
const WORKER: &str = "backend-worker";

/// A part of the neighbour, which only the neighbour starts.
const PART: &str = "neighbour-part";

/// A component could not do its work.
#[derive(Debug, thiserror::Error)]
enum ComponentError {
    #[error("no component is named {0:?}")]
    Unknown(String),
    #[error(transparent)]
    Arguments(#[from] ArgumentError),
    #[error("cannot {action}")]
    Io { action: String, source: std::io::Error },
}

impl ComponentError {
    fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}

/// Runs the component `name` until it ends: what `belljar component` does.
#[must_use]
pub fn component_main(name: &str, args: &[String]) -> ExitCode {
    match run(name, args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("{name}: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(inner) = cause {
                text.push_str(&format!(": {inner}"));
                cause = inner.source();
            }
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, args: &[String]) -> Result<(), ComponentError> {
    let arguments = Arguments::parse(args)?;
    // A name that cannot be set is no reason not to work; the command line still tells.
    let comm: Option<String> = arguments.get("name")?;
    let _ = std::fs::write("/proc/self/comm", comm.as_deref().unwrap_or(name));
    // A session of its own, so that kernels that share processors by session (sched(7), "autogroup")
    // share this one the same way whoever starts the component. Fails where it has one already.
    let _ = nix::unistd::setsid();
    if let Some(cpu) = arguments.get::<usize>("cpu")? {
        let _ = crate::affinity::pin_to(cpu);
    }
    match name {
        "backend" => backend::run(&arguments, args),
        WORKER => worker::run(&arguments),
        "neighbour" => neighbour::run(&arguments, args),
        PART => neighbour::run_part(),
        "console" => console::run(),
        _ => Err(ComponentError::Unknown(name.to_owned())),
    }
}
