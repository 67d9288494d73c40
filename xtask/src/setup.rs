//! `setup`: installs what is missing, and is done at once when nothing is.

mod cluster;
mod compiler;
mod packages;
mod unpacked;

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::programs;

/// Newer releases want an LLVM of their own; this one borrows rustc's.
const LINKER_VERSION: &str = "0.10.4";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also what only the tests need: QEMU, busybox, Chromium, Prometheus, cargo-nextest
    #[arg(long)]
    tests: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    install(arguments.tests)?;
    eprintln!("x: nothing is missing");
    Ok(ExitCode::SUCCESS)
}

/// Installs what is missing to build Belljar and, with `tests`, to test it. What can be installed is
/// installed, even where something else cannot.
///
/// # Errors
///
/// When something could not be installed; the message names everything that could not.
pub(crate) fn install(tests: bool) -> Result<()> {
    let mut errors = Vec::new();
    let mut step = |result: Result<()>| {
        if let Err(error) = result {
            errors.push(format!("{error:#}"));
        }
    };
    step(packages::install(tests));
    step(compiler::install_core_source());
    step(install_linker());
    if tests {
        step(unpacked::unpack());
        step(install_nextest());
    }
    match errors.len() {
        0 => Ok(()),
        _ => anyhow::bail!("{}", errors.join("\n  and ")),
    }
}

/// bpf-linker turns the probes' bitcode into a BPF object.
fn install_linker() -> Result<()> {
    let installed = programs::find("bpf-linker").is_some()
        && programs::output(programs::command("bpf-linker").arg("--version"))
            .is_ok_and(|text| text.trim() == format!("bpf-linker {LINKER_VERSION}"));
    if installed {
        return Ok(());
    }
    let feature = compiler::linker_feature()?;
    eprintln!("x: building bpf-linker {LINKER_VERSION}, about a minute");
    programs::run(
        programs::cargo().args(["install", "bpf-linker", "--version", LINKER_VERSION]).args([
            "--force",
            "--no-default-features",
            "--features",
            feature,
        ]),
    )
    .context("cannot install bpf-linker, which links the probes")
}

fn install_nextest() -> Result<()> {
    if programs::find("cargo-nextest").is_some() {
        return Ok(());
    }
    eprintln!("x: building cargo-nextest, some minutes");
    programs::run(programs::cargo().args(["install", "cargo-nextest", "--locked"]))
        .context("cannot install cargo-nextest, which runs the unit tests")
}
