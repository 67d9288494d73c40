//! What a call costs: `true` through a session, from the request on the socket to the response.
//!
//! `./x bench --calls` builds what is shipped and runs this on the host, as root.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::json;
use tests::{session::Session, world::World};

/// Measures what a call costs.
#[derive(Parser)]
struct Arguments {
    /// How many calls to make
    #[arg(long, default_value_t = 1000)]
    calls: usize,
    /// Write JSON in place of a sentence
    #[arg(long)]
    json: bool,
    /// Cargo says so to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Calls that are made before any is measured.
const WARM: usize = 50;

fn main() -> ExitCode {
    let Arguments { calls, json, bench: _ } = Arguments::parse();
    let world = World::new();
    let budget = (calls + WARM).to_string();
    let session = Session::open(&world, "calls", &["--budget-calls", &budget]);
    let mut connection = session.connect();
    let mut times = Vec::with_capacity(calls);
    for index in 0..calls + WARM {
        let start = Instant::now();
        let response = connection.ask(&json!({ "op": "exec", "command": ["true"] }));
        let time = start.elapsed();
        if response["exec"]["exit_code"] != 0 {
            eprintln!("calls: call {index} failed: {response}");
            return ExitCode::FAILURE;
        }
        if index >= WARM {
            times.push(time);
        }
    }
    let closed = session.connect().ask(&json!({ "op": "close" }));
    let verdict = closed["closed"]["report"]["verdict"].as_str().unwrap_or_default().to_owned();
    times.sort_unstable();
    let (median, p99) = (quantile(&times, 50), quantile(&times, 99));
    if json {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let told = json!({
            "calls": calls,
            "median_ns": nanoseconds(median),
            "p99_ns": nanoseconds(p99),
            "verdict": verdict,
        });
        println!("{told}");
    } else {
        println!(
            "{calls} calls of `true`: median {median:.2?}, p99 {p99:.2?}; the run is {verdict}"
        );
    }
    // Figures of a run that lost something would be those of something else.
    if verdict == "clean" { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The smallest time that so many percent of all do not exceed.
fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}
