//! What is measured, and the process that does it.

use std::{
    ffi::{CStr, CString},
    fs::{self, File},
    hint::black_box,
    io::{self, BufRead as _, Read as _, Write as _},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn},
    sys::{
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::{Pid, getpid, getppid, unlink},
};

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Spawn a program that exits at once, and wait for it.
    ForkExec,
    /// Remove a file by its name in the working directory.
    Unlink,
    /// The same by a path of ten directories.
    UnlinkDeep,
    /// The same by a path of forty directories.
    UnlinkDeeper,
    /// Make a file in the working directory, and remove it.
    CreateUnlink,
    /// Send the own process a signal that it ignores.
    Kill,
    /// Open a file, read it and close it: looked at, and no effect.
    Open,
    /// A syscall that is no effect at all.
    Getppid,
    /// Compile two C files and link them. How many effects that is, is the compiler's business: so it
    /// is done for a bystander alone.
    Build,
}

impl Operation {
    const SINGLE: [Self; 8] = [
        Self::ForkExec,
        Self::Unlink,
        Self::UnlinkDeep,
        Self::UnlinkDeeper,
        Self::CreateUnlink,
        Self::Kill,
        Self::Open,
        Self::Getppid,
    ];

    /// Those that are measured: a build takes as long as all others together.
    pub(crate) const fn chosen(build: bool) -> &'static [Self] {
        if build { &[Self::Build] } else { &Self::SINGLE }
    }

    /// Where it is measured: whether in a run.
    pub(crate) const fn places(self) -> &'static [bool] {
        if matches!(self, Self::Build) { &[false] } else { &[true, false] }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ForkExec => "fork+exec",
            Self::Unlink => "unlink",
            Self::UnlinkDeep => "unlink+10",
            Self::UnlinkDeeper => "unlink+40",
            Self::CreateUnlink => "create+unlink",
            Self::Kill => "kill",
            Self::Open => "open+read",
            Self::Getppid => "getppid",
            Self::Build => "build",
        }
    }

    /// How many records one operation of a run leaves.
    pub(crate) const fn records(self) -> u64 {
        match self {
            // The fork, the exec and the exit.
            Self::ForkExec => 3,
            Self::Unlink | Self::UnlinkDeep | Self::UnlinkDeeper | Self::Kill => 1,
            Self::CreateUnlink => 2,
            Self::Open | Self::Getppid | Self::Build => 0,
        }
    }

    /// The same under the floor, which has no program on what makes a file.
    pub(crate) const fn floor_records(self) -> u64 {
        match self {
            Self::CreateUnlink => 1,
            _ => self.records(),
        }
    }

    /// How often it may be done in one block: files are prepared, and no ring buffer may fill up.
    pub(crate) const fn most(self) -> u64 {
        match self {
            Self::Unlink | Self::UnlinkDeep | Self::UnlinkDeeper => 2_000,
            _ => 20_000,
        }
    }

    /// How much longer than the others its blocks are: what waits for another process varies more.
    pub(crate) const fn weight(self) -> u64 {
        match self {
            Self::ForkExec => 5,
            _ => 1,
        }
    }

    /// How far below the working directory it removes a file, if it does.
    const fn levels(self) -> Option<usize> {
        match self {
            Self::Unlink => Some(0),
            Self::UnlinkDeep => Some(10),
            Self::UnlinkDeeper => Some(40),
            _ => None,
        }
    }

    /// Makes what `count` times of it need in the worker's directory. The benchmark's own process does
    /// so: what a worker of a run makes is an effect itself.
    ///
    /// # Errors
    ///
    /// When a file cannot be made.
    pub(crate) fn prepare(self, directory: &Path, count: u64) -> Result<()> {
        if let Some(levels) = self.levels() {
            let directory = directory.join(below(levels));
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
            for path in (0..count).map(|number| directory.join(file_name(number))) {
                File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Does it `count` times in the working directory; gives the nanoseconds of one on
    /// CLOCK_MONOTONIC: the median of [`SLICES`] parts, of which few suffer when something else
    /// takes the processor.
    fn perform(self, count: u64) -> Result<f64> {
        match self {
            Self::ForkExec => {
                let actions = PosixSpawnFileActions::init()?;
                let attributes = PosixSpawnAttr::init()?;
                let program = c"exits";
                sliced(count, |_| {
                    let child =
                        posix_spawn(program, &actions, &attributes, &[program], &[] as &[&CStr])?;
                    if waitpid(child, None)? != WaitStatus::Exited(child, 0) {
                        bail!("the program that exits at once did not");
                    }
                    Ok(())
                })
            }
            Self::Unlink | Self::UnlinkDeep | Self::UnlinkDeeper => {
                let directory = below(self.levels().unwrap_or_default());
                let names = (0..count)
                    .map(|number| {
                        let path = directory.join(file_name(number));
                        Ok(CString::new(path.into_os_string().into_encoded_bytes())?)
                    })
                    .collect::<Result<Vec<_>>>()?;
                sliced(count, |number| Ok(unlink(names[number].as_c_str())?))
            }
            Self::CreateUnlink => sliced(count, |_| {
                drop(File::create_new("made")?);
                Ok(unlink("made")?)
            }),
            Self::Kill => {
                let own = getpid();
                // Ignored unless somebody asks for it.
                sliced(count, |_| Ok(kill(own, Signal::SIGURG)?))
            }
            Self::Open => sliced(count, |_| {
                let mut byte = [0; 1];
                Ok(File::open("exits")?.read_exact(&mut byte)?)
            }),
            Self::Getppid => sliced(count, |_| {
                black_box(getppid());
                Ok(())
            }),
            Self::Build => {
                fs::write("one.c", ONE)?;
                fs::write("two.c", TWO)?;
                sliced(count, |_| {
                    let status = Command::new("sh").arg("-c").arg(BUILD).status()?;
                    if !status.success() {
                        bail!("`{BUILD}` failed, with {status}: is there a C compiler?");
                    }
                    Ok(())
                })
            }
        }
    }
}

/// What a small program is made of, and how it is built.
const ONE: &str = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\
                   int sorted(char **words, int count);\n\
                   int main(int count, char **words) {\n\
                   printf(\"%d %zu\\n\", sorted(words, count), strlen(words[0]));\n\
                   return EXIT_SUCCESS; }\n";
const TWO: &str = "#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n\
                   static int by_text(const void *a, const void *b) {\n\
                   return strcmp(*(char *const *)a, *(char *const *)b); }\n\
                   int sorted(char **words, int count) {\n\
                   qsort(words, count, sizeof *words, by_text); return getpid() > 0; }\n";
const BUILD: &str = "cc -O2 -c one.c && cc -O2 -c two.c && cc one.o two.o -o built";

/// A directory that many levels below.
fn below(levels: usize) -> PathBuf {
    PathBuf::from("d/".repeat(levels))
}

/// A file that is there to be removed.
fn file_name(number: u64) -> String {
    format!("file-{number}")
}

/// Parts of a block that are timed by themselves.
const SLICES: usize = 15;

fn sliced(count: u64, mut once: impl FnMut(usize) -> Result<()>) -> Result<f64> {
    let count = usize::try_from(count)?;
    let mut times = Vec::with_capacity(SLICES);
    for slice in 0..SLICES {
        let (first, end) = (count * slice / SLICES, count * (slice + 1) / SLICES);
        if first == end {
            continue;
        }
        let start = Instant::now();
        for number in first..end {
            once(number)?;
        }
        times.push(start.elapsed().as_nanos() as f64 / (end - first) as f64);
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().context("a block has an operation at least")
}

/// Keeps to the last processor that this process may use. A child that is started elsewhere waits
/// for whoever has that processor, up to milliseconds, and its parent with it.
fn stay_on_one_processor() -> Result<()> {
    let own = Pid::from_raw(0);
    let allowed = sched_getaffinity(own)?;
    let mut last = 0;
    for number in 0..CpuSet::count() {
        if allowed.is_set(number)? {
            last = number;
        }
    }
    let mut one = CpuSet::new();
    one.set(last)?;
    Ok(sched_setaffinity(own, &one)?)
}

/// The worker's process: reads `OPERATION COUNT` a line, answers the nanoseconds of one
/// operation.
///
/// # Errors
///
/// When an operation fails.
pub(crate) fn serve(directory: &Path) -> Result<()> {
    std::env::set_current_dir(directory)
        .with_context(|| format!("cannot enter {}", directory.display()))?;
    stay_on_one_processor().context("cannot choose a processor")?;
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (name, count) =
            line.split_once(' ').context("a request is an operation and a count")?;
        let known = [false, true].into_iter().flat_map(Operation::chosen);
        let operation = *known
            .into_iter()
            .find(|operation| operation.name() == name)
            .with_context(|| format!("there is no operation {name}"))?;
        let nanoseconds = operation.perform(count.parse()?)?;
        writeln!(output, "{nanoseconds}")?;
        output.flush()?;
    }
    Ok(())
}
