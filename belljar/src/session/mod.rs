//! Sessions: a sandbox under observation that another program drives call by call.
//!
//! [`protocol`] is what is said over the socket, one JSON object a line. [`server`] is the run's side,
//! a process in the background; [`open`] starts it, [`client`] speaks with it for the command line.

mod client;
mod open;
mod protocol;
mod server;

use std::{path::PathBuf, process::ExitCode};

use crate::{
    cli::SessionCommand,
    exit::{Exit, Failure, OrExit as _},
    stdout::outln,
};

/// Carries out what the command line asks for.
pub(crate) fn session(command: &SessionCommand) -> Result<ExitCode, Failure> {
    match command {
        SessionCommand::Open(_) => open::open(),
        SessionCommand::Serve(arguments) => server::serve(arguments),
        SessionCommand::Exec(arguments) => client::exec(arguments),
        SessionCommand::Read(arguments) => client::read(arguments),
        SessionCommand::Write(arguments) => client::write(arguments),
        SessionCommand::Close(arguments) => client::close(arguments),
        SessionCommand::Schema => {
            let schema = serde_json::to_string_pretty(&protocol::schema());
            outln!("{}", schema.or_exit(Exit::Software)?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The socket of a run's session.
fn socket(run: &str) -> PathBuf {
    PathBuf::from(format!("/run/belljar/session-{run}.sock"))
}
