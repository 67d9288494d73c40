//! What an effect costs: in a run that is watched and for a bystander, without probes, under the
//! floor (the same hooks, reduced to capturing the same bytes and submitting them), under the
//! probes, and with the observer at work.
//!
//! All states are measured in one process, in passes: each pass goes through the states, forwards
//! and backwards in turn, and through all operations and places in each. Ratios are those of one
//! pass, so that what changes slowly on the machine cancels out.
#![forbid(unsafe_code)]

mod figures;
mod machine;
mod operation;
mod output;
mod place;
mod program;
mod state;
mod worker;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Parser;
use journal::manifest::ProbeSet;
use nix::unistd::geteuid;
use serde::Serialize;

use crate::{
    figures::{Figure, Pass},
    machine::Machine,
    operation::Operation,
    place::Places,
    state::{Attachments, State},
    worker::Worker,
};

/// sysexits.h: a privilege is missing.
const NEEDS_PRIVILEGE: u8 = 77;
/// Fewer say nothing about a spread.
const LEAST_PASSES: usize = 4;

/// Measures what an effect costs.
#[derive(Parser)]
#[command(name = "effects")]
struct Arguments {
    /// Write JSON in place of tables
    #[arg(long)]
    json: bool,
    /// Probe set: lsm or tracepoint (default: the one that the kernel takes)
    #[arg(long, value_parser = parse_set)]
    probe_set: Option<ProbeSet>,
    /// The clock counts instructions, one a nanosecond
    #[arg(long)]
    instructions: bool,
    /// How long to measure, loading not counted
    #[arg(long, default_value_t = 40)]
    seconds: u64,
    /// How long one block of operations is to take
    #[arg(long, default_value_t = 4)]
    block_milliseconds: u64,
    /// Measure a real build in place of single operations, for a bystander alone
    #[arg(long)]
    build: bool,
    /// Where files are made and removed
    #[arg(long, default_value = "/dev/shm")]
    directory: PathBuf,
    /// Ignored: cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

fn parse_set(name: &str) -> Result<ProbeSet, String> {
    [ProbeSet::Lsm, ProbeSet::Tracepoint]
        .into_iter()
        .find(|set| set.name() == name)
        .ok_or_else(|| "expected lsm or tracepoint".to_owned())
}

/// Everything that was measured.
#[derive(Serialize)]
struct Report {
    machine: Machine,
    probe_set: &'static str,
    reason: Option<String>,
    clock: &'static str,
    passes: usize,
    seconds: f64,
    figures: Vec<Figure>,
}

fn main() -> Result<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == worker::ARGUMENT) {
        let directory = words.next().context("a worker needs a directory")?;
        operation::serve(Path::new(&directory))?;
        return Ok(ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse();
    if !geteuid().is_root() {
        eprintln!("effects: needs root: it loads eBPF programs and makes cgroups");
        return Ok(ExitCode::from(NEEDS_PRIVILEGE));
    }
    let report = measure(&arguments)?;
    let mut stdout = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut stdout, &report)?;
        writeln!(stdout)?;
    } else {
        output::write(&report, &mut stdout)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One operation in one place.
struct Series {
    operation: Operation,
    in_a_run: bool,
    count: u64,
    passes: Vec<Pass>,
}

fn measure(arguments: &Arguments) -> Result<Report> {
    let journal = tempfile::tempdir().context("cannot make a directory")?;
    let files = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&arguments.directory)
        .with_context(|| format!("cannot make a directory in {}", arguments.directory.display()))?;
    let places = Places::make()?;
    let mut workers = [(&*places.bystander, "outside"), (places.subject.path(), "inside")]
        .map(|(cgroup, name)| {
            let directory = files.path().join(name).join("a").join("b");
            let worker = Worker::start(cgroup, &directory)?;
            program::write(&directory).context("cannot write the program that exits at once")?;
            Ok::<_, anyhow::Error>(worker)
        })
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let machine = Machine::of(&files.path().join("inside/a/b"))?;
    let mut attachments = Attachments::load(
        &places,
        arguments.probe_set,
        &files.path().join("inside"),
        &journal.path().join("run"),
    )?;
    let mut series = calibrate(arguments, &mut attachments, &mut workers)?;
    let start = Instant::now();
    let mut passes = 0;
    while passes < LEAST_PASSES || start.elapsed() < Duration::from_secs(arguments.seconds) {
        pass(passes % 2 == 1, &mut attachments, &mut workers, &mut series)?;
        passes += 1;
    }
    let figures = series
        .iter()
        .map(|series| {
            let place = if series.in_a_run { "run" } else { "bystander" };
            Figure::of(series.operation.name(), place, series.count, &series.passes)
        })
        .collect();
    Ok(Report {
        machine,
        probe_set: attachments.set().name(),
        reason: attachments.reason().map(str::to_owned),
        clock: if arguments.instructions {
            "guest instructions, one a nanosecond"
        } else {
            "CLOCK_MONOTONIC"
        },
        passes,
        seconds: start.elapsed().as_secs_f64(),
        figures,
    })
}

/// Finds out how many operations make a block, and warms up what there is to warm up.
fn calibrate(
    arguments: &Arguments,
    attachments: &mut Attachments,
    workers: &mut [Worker],
) -> Result<Vec<Series>> {
    const TRIAL: u64 = 16;
    attachments.enter(State::Off)?;
    let mut series = Vec::new();
    for &operation in Operation::chosen(arguments.build) {
        for &in_a_run in operation.places() {
            let worker = &mut workers[usize::from(in_a_run)];
            let mut count = TRIAL;
            for _ in 0..3 {
                let nanoseconds =
                    attachments.block(State::Off, worker, operation, count, in_a_run)?;
                let due = arguments.block_milliseconds * operation.weight() * 1_000_000;
                count = ((due as f64 / nanoseconds) as u64).clamp(15, operation.most());
            }
            series.push(Series { operation, in_a_run, count, passes: Vec::new() });
        }
    }
    Ok(series)
}

/// Goes through all states once.
fn pass(
    backwards: bool,
    attachments: &mut Attachments,
    workers: &mut [Worker],
    series: &mut [Series],
) -> Result<()> {
    let mut states = State::ALL;
    if backwards {
        states.reverse();
    }
    for series in &mut *series {
        series.passes.push(Pass::default());
    }
    for state in states {
        attachments.enter(state)?;
        for series in &mut *series {
            let worker = &mut workers[usize::from(series.in_a_run)];
            let nanoseconds = attachments.block(
                state,
                worker,
                series.operation,
                series.count,
                series.in_a_run,
            )?;
            let pass = series.passes.last_mut().expect("a pass was begun");
            pass.set(state, nanoseconds);
        }
    }
    Ok(())
}
