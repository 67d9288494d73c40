//! A worker as the benchmark's process holds it.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    os::fd::{AsFd as _, BorrowedFd},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::operation::Operation;

/// The argument that makes this program a worker.
pub(crate) const ARGUMENT: &str = "worker";

/// A process in a cgroup that does operations when asked.
pub(crate) struct Worker {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    directory: PathBuf,
}

impl Worker {
    /// Starts a worker and moves it into its cgroup.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub(crate) fn start(cgroup: &Path, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let own = std::env::current_exe().context("cannot find this program")?;
        let start = |command: &mut Command| {
            command
                .arg(ARGUMENT)
                .arg(directory)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
        };
        // In real time, so that it need not wait for what else the machine does: that would be most
        // of what is measured. Where chrt(1) is missing the spreads tell.
        let mut child = match start(Command::new("chrt").args(["--fifo", "1"]).arg(&own)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => start(&mut Command::new(own)),
            started => started,
        }
        .context("cannot start a worker")?;
        let requests = child.stdin.take().context("a worker has a pipe")?;
        let answers = BufReader::new(child.stdout.take().context("a worker has a pipe")?);
        let worker = Self { child, requests, answers, directory: directory.to_owned() };
        fs::write(cgroup.join("cgroup.procs"), worker.child.id().to_string())
            .with_context(|| format!("cannot move a worker into {}", cgroup.display()))?;
        Ok(worker)
    }

    /// Asks for a block.
    ///
    /// # Errors
    ///
    /// When what it needs cannot be made, or the worker is gone.
    pub(crate) fn ask(&mut self, operation: Operation, count: u64) -> Result<()> {
        operation.prepare(&self.directory, count)?;
        writeln!(self.requests, "{} {count}", operation.name()).context("a worker is gone")
    }

    /// What becomes readable when the answer is there.
    pub(crate) fn answer_fd(&self) -> BorrowedFd<'_> {
        self.answers.get_ref().as_fd()
    }

    /// The answer: nanoseconds of one operation.
    ///
    /// # Errors
    ///
    /// When the worker has failed; it has said why on stderr.
    pub(crate) fn answer(&mut self) -> Result<f64> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim().parse().context("a worker failed")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
