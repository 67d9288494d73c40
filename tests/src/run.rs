//! Runs the binary under test, never longer than a deadline.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, PipeReader, PipeWriter, Write as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    deadline::wait_for,
    record::Record,
    resident,
    world::{World, belljar},
};

/// A `belljar` command line.
#[derive(Debug)]
pub struct Invocation {
    command: Command,
    /// Where its streams go.
    streams: PathBuf,
    /// Which of them go to a pipe instead.
    piped: Option<Piped>,
    out: PathBuf,
}

/// Which streams go to a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piped {
    /// Standard output.
    Stdout,
    /// Both, into the same one.
    Both,
    /// Standard output, and the pipe is full from the start.
    Full,
}

/// A `belljar` that was started.
#[derive(Debug)]
pub struct Running {
    child: Child,
    streams: PathBuf,
    pipe: Option<(PipeReader, PipeWriter)>,
    out: PathBuf,
}

/// A `belljar` that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, or none for one that a signal ended.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// The run directory, for `belljar run`.
    pub out: PathBuf,
}

impl Invocation {
    /// Any subcommand. `name` tells its files from those of others in the same world.
    #[must_use]
    pub fn new(world: &World, name: &str, subcommand: &str) -> Self {
        let mut command = Command::new(belljar());
        // The tests say everything on the command line.
        for (variable, _) in std::env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"BELLJAR_") {
                command.env_remove(variable);
            }
        }
        command.arg(subcommand).current_dir(world.path("")).stdin(Stdio::null());
        let streams = world.path("runs").join(format!("{name}.streams"));
        Self { command, streams, piped: None, out: world.path("runs").join(name) }
    }

    /// `belljar run` with a key and a run directory in the world, under the observer that tests share.
    #[must_use]
    pub fn run(world: &World, name: &str) -> Self {
        Self::run_under(world, name, resident::shared().socket.as_os_str())
    }

    /// The same with an observer of its own.
    #[must_use]
    pub fn run_alone(world: &World, name: &str) -> Self {
        Self::run_under(world, name, OsStr::new("own"))
    }

    /// The same under this observer.
    #[must_use]
    pub fn run_under(world: &World, name: &str, observer: &OsStr) -> Self {
        Self::new(world, name, "run").watched(world, observer)
    }

    /// Adds what every run is given: this observer, a key and a run directory in the world.
    #[must_use]
    pub fn watched(mut self, world: &World, observer: &OsStr) -> Self {
        self.command.arg("--observer").arg(observer);
        let (key, out) = (world.path("key/signing.key"), self.out.clone());
        self.command.arg("--key").arg(key).arg("--out").arg(out);
        self
    }

    /// The command itself, for a test that speaks with it, and its run directory.
    #[must_use]
    pub fn into_command(self) -> (Command, PathBuf) {
        (self.command, self.out)
    }

    /// Starts this copy of the binary. Words that were given stay; variables are cleared again.
    #[must_use]
    pub fn binary(mut self, path: &Path) -> Self {
        let mut command = Command::new(path);
        command.args(self.command.get_args()).stdin(Stdio::null());
        for (variable, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        if let Some(directory) = self.command.get_current_dir() {
            command.current_dir(directory);
        }
        self.command = command;
        self
    }

    /// Adds words.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.command.args(words);
        self
    }

    /// Sets an environment variable of the binary's.
    #[must_use]
    pub fn env(mut self, variable: &str, value: &str) -> Self {
        self.command.env(variable, value);
        self
    }

    /// Adds `--tier` and `--mode`.
    #[must_use]
    pub fn tier(self, tier: u8, mode: &str) -> Self {
        self.args(["--tier", &tier.to_string(), "--mode", mode])
    }

    /// Adds a label for a path.
    #[must_use]
    pub fn label(self, label: &str, path: &Path) -> Self {
        let mut word = OsString::from(label);
        word.push("=");
        word.push(path);
        self.args([OsString::from("--label"), word])
    }

    /// Runs it under another user id, without groups or capabilities.
    #[must_use]
    pub fn uid(mut self, uid: u32) -> Self {
        use std::os::unix::process::CommandExt as _;
        self.command.uid(uid).gid(uid);
        self
    }

    /// Sends streams to a pipe, which nobody reads until the test does.
    #[must_use]
    pub fn piped(mut self, piped: Piped) -> Self {
        self.piped = Some(piped);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When there is no such binary, or its streams cannot be kept.
    #[must_use]
    pub fn start(mut self) -> Running {
        fs::create_dir_all(&self.streams).expect("the world is writable");
        let stream = |name| File::create(self.streams.join(name)).expect("the world is writable");
        self.command.stdout(stream("stdout")).stderr(stream("stderr"));
        let pipe = self.piped.map(|piped| {
            let (reader, writer) = io::pipe().expect("there are descriptors left");
            if piped == Piped::Full {
                fill(&writer);
            }
            if piped == Piped::Both {
                self.command.stderr(writer.try_clone().expect("there are descriptors left"));
            }
            self.command.stdout(writer.try_clone().expect("there are descriptors left"));
            (reader, writer)
        });
        let child = self.command.spawn();
        let child =
            child.unwrap_or_else(|error| panic!("cannot start {:?}: {error}", self.command));
        Running { child, streams: self.streams, pipe, out: self.out }
    }

    /// Starts it and waits for its end.
    #[must_use]
    pub fn finish(self) -> Ended {
        self.start().finish()
    }
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("the kernel's process ids are positive")
    }

    /// The run directory.
    #[must_use]
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it is our child and not waited for");
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read(&self.streams.join("stderr"))
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&self.streams.join("stdout"))
    }

    /// The pipe that its streams go to.
    ///
    /// # Panics
    ///
    /// When there is none, or it was given away already.
    #[must_use]
    pub fn pipe(&mut self) -> PipeReader {
        self.pipe.take().expect("its streams go to a pipe").0
    }

    /// Waits until that pipe is full.
    ///
    /// # Panics
    ///
    /// When there is none, or at the deadline.
    pub fn wait_until_full(&self) {
        let (_, writer) = self.pipe.as_ref().expect("its streams go to a pipe");
        wait_for("the pipe to be full", || {
            let mut fds = [PollFd::new(writer.as_fd(), PollFlags::POLLOUT)];
            let ready = poll(&mut fds, PollTimeout::ZERO).expect("a pipe can be polled");
            (ready == 0).then_some(())
        });
    }

    /// Whether it has ended.
    ///
    /// # Panics
    ///
    /// When the kernel does not say.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// At the deadline, after killing it.
    #[must_use]
    pub fn finish(mut self) -> Ended {
        let status = wait_for("the end of belljar", || self.status());
        Ended {
            code: status.code(),
            stdout: read(&self.streams.join("stdout")),
            stderr: read(&self.streams.join("stderr")),
            out: self.out.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only where a test failed: what it was told in order, it does in order.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::SIGTERM);
            let mut ended = || self.child.try_wait().ok().flatten();
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
            while ended().is_none() && std::time::Instant::now() < deadline {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Ended {
    /// Reads what the run left.
    ///
    /// # Panics
    ///
    /// When it left no whole directory, with what was written to standard error.
    #[must_use]
    #[track_caller]
    pub fn record(&self) -> Record {
        let whole = ["effects.jsonl", "report.json"].iter().all(|it| self.out.join(it).exists());
        assert!(whole, "no record in {}; stderr:\n{}", self.out.display(), self.stderr);
        Record::read(&self.out)
    }

    /// Checks the exit code.
    ///
    /// # Panics
    ///
    /// When it is another, with what was written.
    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Checks that standard error holds a text.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn assert_stderr(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "no {text:?} in stderr:\n{}", self.stderr);
        self
    }
}

/// Writes to a pipe as much as it holds.
fn fill(mut pipe: &PipeWriter) {
    let capacity = fcntl(pipe, FcntlArg::F_GETPIPE_SZ).expect("it is a pipe");
    let bytes = vec![b'.'; usize::try_from(capacity).expect("a capacity is positive")];
    pipe.write_all(&bytes).expect("the pipe is empty and its reader lives");
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
