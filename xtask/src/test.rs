//! `x test`: every layer of tests, each reported as passed, failed or skipped.

mod system;
mod unit;

use std::{process::ExitCode, time::Instant};

use anyhow::Result;

use crate::{
    check, generate,
    layers::{self, Row},
    programs, setup, statics,
};

/// Arguments of `x test`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only what needs neither root nor a virtual machine: checks, unit and golden tests
    #[arg(long)]
    quick: bool,
    /// Leave out the kernel matrix
    #[arg(long)]
    no_vm: bool,
}

/// Runs the layers one after another, also after a failure, and prints the table.
///
/// # Errors
///
/// When files below `target/` cannot be written. What cannot run or fails is a row of the table.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    // What cannot be installed shows as a check that fails or a layer that is skipped.
    if let Err(error) = setup::install(!arguments.quick) {
        eprintln!("x: setup: {error:#}");
    }
    let mut rows = vec![
        step("fmt", format),
        step("clippy", clippy),
        step("check", check::check),
        generated(),
        unit::run()?,
    ];
    if arguments.quick {
        rows.extend(system::left_out("all", "left out by --quick"));
    } else {
        rows.extend(system::run(!arguments.no_vm)?);
    }
    let passed = layers::summarize(&rows);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn format() -> Result<()> {
    programs::run(programs::cargo().args(["fmt", "--all", "--check"]))
}

/// With the default features, which the tests have too, and without them.
fn clippy() -> Result<()> {
    let lint = |what: &[&str]| {
        let mut cargo = statics::cargo("clippy");
        programs::run(cargo.arg("--quiet").args(what).args(["--", "--deny", "warnings"]))
    };
    eprintln!("x: clippy");
    lint(&["--all-targets"])?;
    lint(&["--package", "belljar", "--no-default-features"])
}

fn generated() -> Row {
    let start = Instant::now();
    let name = "generate";
    match generate::check() {
        Ok(Some(reason)) => Row::skipped(name, "host", &reason),
        Ok(None) => step(name, || Ok(())),
        Err(error) => step(name, || Err(error)),
    }
    .since(start)
}

fn step(name: &str, run: impl FnOnce() -> Result<()>) -> Row {
    let start = Instant::now();
    let result = run();
    let mut row = Row::step(name, "host", result.is_ok()).since(start);
    if let Err(error) = result {
        let text = format!("{error:#}");
        eprintln!("x: {name}: {text}");
        // The table has room for one line.
        row.notes.extend(text.lines().next().map(str::to_owned));
    }
    row
}
