//! `x test`: every layer of tests, each reported as passed, failed or skipped.

mod system;
mod unit;

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    check, generate,
    layers::{self, Row},
    programs, setup,
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
        step("fmt", cargo(&["fmt", "--all", "--check"])),
        step("clippy", clippy()),
        step("check", check::check()),
        match generate::check() {
            Ok(Some(reason)) => Row::skipped("generate", "host", &reason),
            Ok(None) => Row::step("generate", "host", true),
            Err(error) => step("generate", Err(error)),
        },
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

/// With the default features, which the tests have too, and without them.
fn clippy() -> Result<()> {
    cargo(&["clippy", "--quiet", "--all-targets", "--", "--deny", "warnings"])?;
    let without = ["--package", "belljar", "--no-default-features"];
    cargo(&[&["clippy", "--quiet"][..], &without, &["--", "--deny", "warnings"]].concat())
}

fn step(name: &str, result: Result<()>) -> Row {
    let mut row = Row::step(name, "host", result.is_ok());
    if let Err(error) = result {
        let text = format!("{error:#}");
        eprintln!("x: {name}: {text}");
        // The table has room for one line.
        row.notes.extend(text.lines().next().map(str::to_owned));
    }
    row
}

fn cargo(arguments: &[&str]) -> Result<()> {
    eprintln!("x: cargo {}", arguments[0]);
    programs::run(programs::cargo().args(arguments))
}
