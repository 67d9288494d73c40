//! `bench`: what an effect costs, on this kernel and on those of the matrix; and what a call costs.

use std::{
    fmt::Write as _,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    build, programs, setup, statics,
    vm::{self, Job, Kernel, Time},
};

/// What misses a privilege exits with.
const NEEDS_PRIVILEGE: u8 = 77;
/// How long a machine may take beyond the measuring: it boots, verifies the probes twice, and loads an empty
/// program for each.
const BEYOND: u64 = 480;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Measure in a machine with this kernel in place of the host; may be repeated. Its processor is
    /// emulated and its clock counts instructions: what is measured are guest instructions
    #[arg(long, value_enum)]
    kernel: Vec<Kernel>,
    /// Measure on the host what a tool call costs, in place of what an effect costs
    #[arg(long, conflicts_with_all = ["kernel", "probe_set", "seconds"])]
    calls: bool,
    /// Write JSON in place of tables
    #[arg(long)]
    json: bool,
    /// Probe set to measure (default: the one that the kernel takes)
    #[arg(long, value_parser = ["lsm", "tracepoint"])]
    probe_set: Option<String>,
    /// How long to measure
    #[arg(long, default_value_t = 40)]
    seconds: u64,
    /// Measure a real build in place of single operations, for a bystander alone. Needs `cc`; give it
    /// some minutes
    #[arg(long, conflicts_with = "kernel")]
    build: bool,
}

impl Arguments {
    /// What the benchmark itself is told.
    fn words(&self) -> Vec<String> {
        let mut words = vec!["--seconds".to_owned(), self.seconds.to_string()];
        if self.build {
            words.push("--build".to_owned());
        }
        if self.json {
            words.push("--json".to_owned());
        }
        if let Some(set) = &self.probe_set {
            words.extend(["--probe-set".to_owned(), set.clone()]);
        }
        words
    }
}

/// # Errors
///
/// When the benchmark does not build, or a machine is not to be had.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.kernel.is_empty() && !programs::is_root() {
        eprintln!(
            "x: the benchmark needs root: it loads eBPF programs and makes cgroups.\n\
             x: what works without: `./x bench --kernel 7.3`, in a machine with an emulated processor."
        );
        return Ok(ExitCode::from(NEEDS_PRIVILEGE));
    }
    setup::install(!arguments.kernel.is_empty())?;
    if arguments.calls {
        return calls(arguments.json);
    }
    let program = statics::bench()?;
    if arguments.kernel.is_empty() {
        let status = Command::new(program)
            .args(arguments.words())
            .status()
            .context("cannot start the benchmark")?;
        return Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1).into());
    }
    let mut command = "/effects --instructions".to_owned();
    for word in arguments.words() {
        write!(command, " {word}").context("a string takes everything")?;
    }
    let mut job = Job::shell(&command);
    job.time = Time::Instructions;
    job.files.push((program, "/effects".to_owned()));
    let deadline = Duration::from_secs(arguments.seconds + BEYOND);
    let mut code = ExitCode::SUCCESS;
    for &kernel in &arguments.kernel {
        let ended = vm::boot(kernel, &job, deadline)?;
        print!("{}", ended.output("shell"));
        if let Some(failure) = ended.failure("shell") {
            eprintln!("x: {kernel}: {failure}; console in {}", ended.log().display());
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// What a call costs, with the binary that is shipped.
fn calls(json: bool) -> Result<ExitCode> {
    let belljar = build::belljar(true)?;
    let mut cargo = programs::cargo();
    cargo.args(["bench", "--package", "tests", "--bench", "calls"]).env("BELLJAR_BIN", belljar);
    if json {
        cargo.args(["--", "--json"]);
    }
    programs::run(&mut cargo)?;
    Ok(ExitCode::SUCCESS)
}
