//! The command line. It wires the crates and decides nothing.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod consult;
mod desk;
mod exit;
mod monitor;
#[cfg(feature = "otlp")]
mod otlp;
mod reference;
mod replay;
mod run;
mod session;
mod stderr;
mod stdout;
mod sweep;
mod top;

use std::process::ExitCode;

fn main() -> ExitCode {
    // The spawner must be alone in its process: it becomes one before anything else starts.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "spawner") {
        sandbox::spawner::serve(agent_runner::tools::perform_task);
    }
    match cli::parse().and_then(commands::dispatch) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
