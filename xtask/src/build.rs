//! `build`: the binary `belljar`. The build script of crate `observer` builds the probes.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;

use crate::{programs, project, setup};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Optimise
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    setup::install(false)?;
    let path = belljar(arguments.release)?;
    eprintln!("x: built {}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds the binary and returns its path.
///
/// # Errors
///
/// When it does not build.
pub(crate) fn belljar(release: bool) -> Result<PathBuf> {
    let mut cargo = programs::cargo();
    cargo.args(["build", "--package", "belljar"]);
    if release {
        cargo.arg("--release");
    }
    programs::run(&mut cargo)?;
    let profile = if release { "release" } else { "debug" };
    Ok(project::target().join(profile).join("belljar"))
}
