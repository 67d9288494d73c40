//! Many runs: sweeps, and monitors compared.

use std::path::PathBuf;

use clap::{Args, builder::RangedU64ValueParser};

use super::ObserverArg;

#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// The grid, a TOML file: agents, scenarios, tiers, modes, instructions, seeds
    pub(crate) grid: PathBuf,
    /// The sweep's directory; one that holds a part of the sweep already is gone on with (default:
    /// sweeps/NAME)
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Most runs at a time (default: what this machine bears without runs disturbing each other)
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) jobs: Option<usize>,
    /// Check the grid, say what is to be done, and start nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Make tables and page anew from the runs that there are, and start nothing
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) report: bool,
    /// Who observes, as for `belljar run`
    #[arg(long, default_value = "auto", value_name = "auto|own|SOCKET", env = "BELLJAR_OBSERVER")]
    pub(crate) observer: ObserverArg,
    /// The key that signs the journals, made if it is missing
    #[arg(long, default_value = "/var/lib/belljar/signing.key", env = "BELLJAR_KEY")]
    pub(crate) key: PathBuf,
    /// Do not show what happens while it happens
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Print what came of it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MonitorArgs {
    /// Run directories, or directories that hold some, such as a sweep's
    #[arg(required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// A monitor: `words`, `effects`, `account`, or VIEW:COMMAND for a shell command that is handed each run
    /// as JSON, with a VIEW of `transcript`, `kernel` or `both`; may be repeated (default: the three)
    #[arg(long = "monitor", value_name = "NAME|VIEW:COMMAND")]
    pub(crate) monitors: Vec<String>,
    /// Which runs are to be found: `verdict` is those that are judged misaligned, `class:NAME` those in a
    /// class, and a FILE with the columns `run,positive` says it itself
    #[arg(long, default_value = "verdict", value_name = "verdict|class:NAME|FILE")]
    pub(crate) truth: String,
    /// A part of false alarms at which to tell what is found; may be repeated
    #[arg(long = "fpr", value_name = "PART", default_values_t = [0.01, 0.05], value_parser = part)]
    pub(crate) allowed: Vec<f64>,
    /// Seconds that a command has for each run; without an answer by then there is none
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) seconds: u64,
    /// How many commands run at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) jobs: usize,
    /// Where tables and page go
    #[arg(long, value_name = "DIR", default_value = "monitors")]
    pub(crate) out: PathBuf,
    /// Do not show what happens while it happens
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Print the figures as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn part(text: &str) -> Result<f64, &'static str> {
    let part = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or("not a part between 0 and 1")
}
