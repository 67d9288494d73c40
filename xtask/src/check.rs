//! `check`: the rules of the house that no compiler knows.

mod dependencies;
mod files;

use std::process::ExitCode;

use anyhow::{Result, bail};

#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode> {
    check()?;
    eprintln!("x: check: ok");
    Ok(ExitCode::SUCCESS)
}

/// Checks dependency direction, docs, file sizes and unsafe code.
///
/// # Errors
///
/// When a rule is broken; the message lists every place.
pub(crate) fn check() -> Result<()> {
    let mut broken = dependencies::check()?;
    broken.extend(files::check()?);
    match broken.len() {
        0 => Ok(()),
        count => bail!("{count} rules broken:\n  {}", broken.join("\n  ")),
    }
}
