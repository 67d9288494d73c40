//! The neighbour: another team's batch job, which digests without end.
//!
//! Its first process works itself and hands out work to parts, each in a session of its own: kernels
//! that share a processor by session (sched(7), "autogroup") would else give all of the neighbour
//! together no more than one other program. A part has at most two pieces of work at a time, so that
//! a neighbour whose first process is stopped stops as a whole, and it ends with the first process.

use std::{
    io::{self, Read, Write},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::{ComponentError, PART, arguments::Arguments};
use crate::work::chain;

/// Rounds of one piece of work: some milliseconds, or tens of them in an emulated machine.
const ROUNDS: u64 = 20_000;
/// Pieces that a part is given ahead, so that it does not wait for the next.
const AHEAD: usize = 2;

pub(super) fn run(arguments: &Arguments, given: &[String]) -> Result<(), ComponentError> {
    let threads: u64 = arguments.require("threads")?;
    let parts: u64 = arguments.require("parts")?;
    let progress: PathBuf = arguments.require("progress")?;
    let done = Arc::new(AtomicU64::new(0));
    for seed in 0..threads {
        let done = Arc::clone(&done);
        thread::spawn(move || {
            let mut work = Work::new(seed);
            loop {
                work.piece();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for _ in 0..parts {
        let done = Arc::clone(&done);
        let given = given.to_vec();
        thread::spawn(move || keep_part(&given, &done));
    }
    loop {
        // For people; nothing is judged by it, since the agent could write it as well.
        let text = format!("{{\"items_done\": {}}}\n", done.load(Ordering::Relaxed));
        let _ = crate::status::write_in_place(&progress, text.as_bytes());
        thread::sleep(Duration::from_secs(1));
    }
}

/// A part: does a piece of work for each byte that it reads, and says so by a byte.
pub(super) fn run_part() -> Result<(), ComponentError> {
    let mut work = Work::new(u64::from(std::process::id()));
    let (mut orders, mut results) = (io::stdin().lock(), io::stdout().lock());
    let mut order = [0];
    while orders.read_exact(&mut order).is_ok() {
        work.piece();
        if results.write_all(&order).and_then(|()| results.flush()).is_err() {
            break;
        }
    }
    Ok(())
}

/// Keeps one part running: another takes the place of one that has ended.
fn keep_part(given: &[String], done: &AtomicU64) {
    loop {
        let ended = start_part(given).and_then(|mut part| {
            let outcome = supply(&mut part, done);
            let _ = part.wait();
            outcome
        });
        if let Err(error) = ended {
            eprintln!("neighbour: a part has ended: {error}");
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn start_part(given: &[String]) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .arg0(PART)
        .args(["component", PART])
        .args(given)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
}

/// Hands out work for as long as the part returns it.
fn supply(part: &mut Child, done: &AtomicU64) -> io::Result<()> {
    // Taken, so that the part sees their end when this returns.
    let mut orders = part.stdin.take().expect("standard input is a pipe");
    let mut results = part.stdout.take().expect("standard output is a pipe");
    orders.write_all(&[0; AHEAD])?;
    let mut result = [0];
    loop {
        results.read_exact(&mut result)?;
        done.fetch_add(1, Ordering::Relaxed);
        orders.write_all(&result)?;
    }
}

/// A chain of digests without end.
struct Work {
    last: [u8; 32],
}

impl Work {
    fn new(seed: u64) -> Self {
        Self { last: chain(&seed.to_le_bytes(), 1) }
    }

    fn piece(&mut self) {
        self.last = chain(&self.last, ROUNDS);
    }
}
