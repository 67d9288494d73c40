//! What is measured, and the process that does it.

use std::{
    ffi::{CStr, CString},
    fs::File,
    hint::black_box,
    io::{self, BufRead as _, Write as _},
    path::Path,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn},
    sys::{
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::{getpid, getppid, unlink},
};

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Spawn a program that exits at once, and wait for it.
    ForkExec,
    /// Remove a file by its name in the working directory.
    Unlink,
    /// Send the own process a signal that it ignores.
    Kill,
    /// A syscall that is no effect at all.
    Getppid,
}

impl Operation {
    pub(crate) const ALL: [Self; 4] = [Self::ForkExec, Self::Unlink, Self::Kill, Self::Getppid];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ForkExec => "fork+exec",
            Self::Unlink => "unlink",
            Self::Kill => "kill",
            Self::Getppid => "getppid",
        }
    }

    /// How many records one operation of a run leaves.
    pub(crate) const fn records(self) -> u64 {
        match self {
            // The fork, the exec and the exit.
            Self::ForkExec => 3,
            Self::Unlink | Self::Kill => 1,
            Self::Getppid => 0,
        }
    }

    /// How often it may be done in one block: files are prepared, and no ring buffer may fill up.
    pub(crate) const fn most(self) -> u64 {
        match self {
            Self::Unlink => 2_000,
            _ => 20_000,
        }
    }

    /// Does it `count` times in the working directory; gives the nanoseconds on CLOCK_MONOTONIC.
    fn perform(self, count: u64) -> Result<u64> {
        let elapsed = match self {
            Self::ForkExec => {
                let actions = PosixSpawnFileActions::init()?;
                let attributes = PosixSpawnAttr::init()?;
                let program = c"exits";
                let start = Instant::now();
                for _ in 0..count {
                    let child = posix_spawn(
                        program,
                        &actions,
                        &attributes,
                        &[program],
                        &[] as &[&CStr],
                    )?;
                    if waitpid(child, None)? != WaitStatus::Exited(child, 0) {
                        bail!("the program that exits at once did not");
                    }
                }
                start.elapsed()
            }
            Self::Unlink => {
                let names = (0..count)
                    .map(|number| {
                        let name = format!("file-{number}");
                        File::create(&name).with_context(|| format!("cannot create {name}"))?;
                        Ok(CString::new(name)?)
                    })
                    .collect::<Result<Vec<_>>>()?;
                let start = Instant::now();
                for name in &names {
                    unlink(name.as_c_str())?;
                }
                start.elapsed()
            }
            Self::Kill => {
                let own = getpid();
                let start = Instant::now();
                for _ in 0..count {
                    // Ignored unless somebody asks for it.
                    kill(own, Signal::SIGURG)?;
                }
                start.elapsed()
            }
            Self::Getppid => {
                let start = Instant::now();
                for _ in 0..count {
                    black_box(getppid());
                }
                start.elapsed()
            }
        };
        Ok(u64::try_from(elapsed.as_nanos())?)
    }
}

/// The worker's process: reads `OPERATION COUNT` a line, answers the nanoseconds of each.
///
/// # Errors
///
/// When an operation fails.
pub(crate) fn serve(directory: &Path) -> Result<()> {
    std::env::set_current_dir(directory)
        .with_context(|| format!("cannot enter {}", directory.display()))?;
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (name, count) = line.split_once(' ').context("a request is an operation and a count")?;
        let operation = Operation::ALL
            .into_iter()
            .find(|operation| operation.name() == name)
            .with_context(|| format!("there is no operation {name}"))?;
        let nanoseconds = operation.perform(count.parse()?)?;
        writeln!(output, "{nanoseconds}")?;
        output.flush()?;
    }
    Ok(())
}
