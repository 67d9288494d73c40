//! `belljar key`: the key that signs journals.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use journal::{
    clock::Clock,
    key::{self, KeyError, PublicKey},
};

use crate::{
    cli::{KeyArgs, KeyCommand},
    exit::{Exit, Failure, OrExit as _},
    stdout::outln,
};

/// Makes, shows or rotates a key; only its public half is ever printed.
pub(crate) fn key(command: &KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::New(arguments) => show(arguments, key::new(&arguments.key)),
        KeyCommand::Show(arguments) => show(arguments, key::read(&arguments.key)),
        KeyCommand::Rotate(arguments) => show(arguments, key::rotate(&arguments.key, &now()?)),
    }
}

fn show(arguments: &KeyArgs, key: Result<key::SigningKey, KeyError>) -> Result<(), Failure> {
    let public = key.map_err(failure)?.public();
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&public).or_exit(Exit::Software)?);
        return Ok(());
    }
    let PublicKey { public_key, rotations } = &public;
    outln!("{public_key}");
    for rotation in rotations.iter().rev() {
        outln!("since {} in the place of {}", rotation.time(), rotation.old());
    }
    Ok(())
}

fn failure(error: KeyError) -> Failure {
    let exit = match &error {
        error if error.is_permission() => Exit::Privilege,
        KeyError::Exists { .. } | KeyError::Os { .. } => Exit::CannotCreate,
        KeyError::Busy { .. } => Exit::Os,
        KeyError::Missing { .. }
        | KeyError::OpenToOthers { .. }
        | KeyError::NotAFile { .. }
        | KeyError::Length { .. }
        | KeyError::Record { .. } => Exit::Configuration,
    };
    Failure::new(exit, error)
}

fn now() -> Result<String, Failure> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")
        .or_exit(Exit::Os)?;
    let unix_ns = i128::try_from(since.as_nanos()).or_exit(Exit::Os)?;
    Ok(Clock::new(unix_ns).rfc3339(0))
}
