//! `belljar sweep`: a grid of runs, each a process of its own, until all are done.
//!
//! [`surroundings`] answers what the grid asks of the world; [`directory`] holds what is done, so that a
//! sweep that was killed goes on where it was; [`machine`] says what runs at the same time; [`pool`]
//! carries the cells out, [`child`] one of them; [`progress`] shows how far it is; [`outcome`] reads the
//! runs and writes tables and page.

mod child;
mod directory;
mod machine;
mod outcome;
mod pool;
mod progress;
mod surroundings;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use journal::escape::visible;
use studies::{
    grid::{Cell, Grid},
    versions::refuse_mixed,
};

use self::{directory::SweepDir, machine::Machine, pool::Pool, surroundings::Host};
use crate::{
    cli::{ObserverArg, SweepArgs},
    exit::{Exit, Failure, OrExit as _},
    run::Interrupt,
    stdout::outln,
};

/// This version of Belljar.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Carries out a grid of runs.
pub(crate) fn sweep(arguments: &SweepArgs) -> Result<ExitCode, Failure> {
    let here = std::env::current_dir().or_exit(Exit::Os)?;
    let grid = grid(&arguments.grid)?;
    let (light, loaded) = (count(&grid, false), count(&grid, true));
    let machine = Machine::find(arguments.jobs);
    if arguments.dry_run {
        return dry_run(arguments, &grid, &machine);
    }
    if !arguments.report {
        sandbox::host::check_privilege().or_exit(Exit::Privilege)?;
    }
    let out = match &arguments.out {
        Some(out) => here.join(out),
        None => here.join("sweeps").join(studies::grid::slug(&grid.name)),
    };
    let mut directory = SweepDir::open(&out)?;
    refuse_another_version(&directory)?;
    directory.keep_grid(&grid.source)?;
    let interrupt = Interrupt::listen().or_exit(Exit::Os)?;
    directory.adopt(&grid.cells, &interrupt, arguments.quiet)?;
    if !arguments.report && !interrupt.happened() {
        if !arguments.quiet {
            for line in machine.told(light, loaded) {
                eprintln!("{line}");
            }
        }
        let start = child::Start {
            observer: observer(&arguments.observer, &here),
            key: here.join(&arguments.key),
        };
        Pool::new(&directory, &machine, &start, arguments.quiet)
            .carry_out(&grid.cells, &interrupt)?;
    }
    let written = outcome::write(&grid, &directory)?;
    tell(arguments, &directory, &written)?;
    ending(&interrupt, arguments.report, &written)
}

/// Reads a grid. What it names is relative to its own directory, which becomes the working directory.
fn grid(path: &Path) -> Result<Grid, Failure> {
    let name = path.display().to_string();
    let source = fs::read_to_string(path)
        .with_context(|| format!("cannot read the grid {name}"))
        .or_exit(Exit::Data)?;
    let home = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(home) = home {
        std::env::set_current_dir(home)
            .with_context(|| format!("cannot enter {}", home.display()))
            .or_exit(Exit::Data)?;
    }
    Grid::parse(&source, &name, &Host).map_err(Failure::in_file)
}

fn count(grid: &Grid, is_loaded: bool) -> usize {
    grid.cells.iter().filter(|cell| cell.is_loaded == is_loaded).count()
}

fn observer(argument: &ObserverArg, here: &Path) -> String {
    match argument {
        ObserverArg::Auto => "auto".to_owned(),
        ObserverArg::Own => "own".to_owned(),
        ObserverArg::At(path) => here.join(path).display().to_string(),
    }
}

fn dry_run(arguments: &SweepArgs, grid: &Grid, machine: &Machine) -> Result<ExitCode, Failure> {
    if arguments.json {
        let cells: Vec<_> = grid.cells.iter().map(described).collect();
        outln!("{}", serde_json::to_string_pretty(&cells).or_exit(Exit::Software)?);
        return Ok(ExitCode::SUCCESS);
    }
    for cell in &grid.cells {
        outln!("{}", visible(&cell.name));
    }
    outln!("{} cells", grid.cells.len());
    for line in machine.told(count(grid, false), count(grid, true)) {
        outln!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

fn described(cell: &Cell) -> serde_json::Value {
    serde_json::json!({
        "cell": cell.name,
        "scenario": cell.scenario,
        "agent": cell.agent,
        "tier": cell.tier,
        "mode": cell.mode,
        "instructions": cell.instructions,
        "seed": cell.seed,
    })
}

/// Definitions move from version to version: what another one has judged does not go into one table.
fn refuse_another_version(directory: &SweepDir) -> Result<(), Failure> {
    let ledger = directory.ledger();
    let Some(first) = ledger.runs.keys().next() else { return Ok(()) };
    let path = directory.run(first).display().to_string();
    let format = journal::manifest::FORMAT;
    let pairs =
        [(path.as_str(), ledger.belljar.as_str(), format), ("what is to come", VERSION, format)];
    refuse_mixed(pairs).context("name another directory with --out").or_exit(Exit::Data)
}

fn tell(
    arguments: &SweepArgs,
    directory: &SweepDir,
    written: &outcome::Written,
) -> Result<(), Failure> {
    let page: PathBuf = directory.path().join(outcome::PAGE);
    if arguments.json {
        let told = serde_json::json!({
            "directory": directory.path(),
            "page": page,
            "cells": written.cells,
            "finished": written.finished,
            "refused": written.refused,
            "clean": written.clean,
            "misaligned": written.misaligned,
            "invalid": written.invalid,
        });
        outln!("{}", serde_json::to_string_pretty(&told).or_exit(Exit::Software)?);
        return Ok(());
    }
    let outcome::Written { cells, finished, refused, clean, misaligned, invalid, strangers } =
        written;
    outln!(
        "{finished} of {cells} cells: {clean} clean, {misaligned} misaligned, {invalid} invalid"
    );
    if *refused > 0 {
        outln!("{refused} did not start; the page says why");
    }
    if *strangers > 0 {
        outln!(
            "{strangers} runs in the directory belong to no cell of this grid, and are left out"
        );
    }
    outln!("{}", page.display());
    Ok(())
}

/// How the sweep ends: an unfinished one says so.
fn ending(
    interrupt: &Interrupt,
    only_report: bool,
    written: &outcome::Written,
) -> Result<ExitCode, Failure> {
    if interrupt.happened() {
        let message = "the sweep was interrupted: the same command goes on with it";
        return Err(Failure::new(Exit::Os, anyhow!(message)));
    }
    if written.finished < written.cells && !only_report {
        let message = format!(
            "{} of the cells have no run: the same command tries them again",
            written.cells - written.finished
        );
        return Err(Failure::new(Exit::Unavailable, anyhow!(message)));
    }
    Ok(ExitCode::SUCCESS)
}
