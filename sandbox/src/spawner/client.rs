//! The client's side: starts the spawner's process, orders jobs, hears of their ends.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    },
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use policy::landlock::LandlockPlan;

use super::{
    Action, ChannelError, Job, Ready, SpawnError, SpawnerConfig, SpawnerGone, StartError, Started,
    Step, TightenError,
    answers::Answers,
    channel::Channel,
    message::{Notice, Order, Request, Setup},
};
use crate::seccomp::Filters;

/// How long the spawner may take to set itself up.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to end after it was told so.
const QUIT_PATIENCE: Duration = Duration::from_secs(2);

/// A spawner's client. Several threads may use it at a time, each with jobs of its own.
///
/// Dropping it ends the spawner in order and leaves the jobs to whoever removes the run's cgroup.
pub struct Spawner {
    channel: Arc<Channel>,
    answers: Arc<Answers>,
    next_job: AtomicU64,
    ready: Ready,
    process: Child,
    reader: Option<JoinHandle<()>>,
}

impl Spawner {
    /// Starts the process and waits until everything that jobs share is in place. Jobs are held
    /// until [`Spawner::go`].
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start(config: &SpawnerConfig) -> Result<Self, StartError> {
        let (uid, gid) = (config.uid, config.gid);
        if uid == 0 || gid == 0 || config.groups.contains(&0) {
            return Err(StartError::Root { uid, gid });
        }
        let setup = Setup {
            uid,
            gid,
            groups: config.groups.clone(),
            rlimits: config.rlimits,
            landlock: config.landlock.as_ref().map(Into::into),
            seccomp: config.seccomp.as_ref().map(Filters::compile).transpose()?,
            namespaces: config.namespaces,
            hostname: config.hostname.clone(),
            binds: config.binds.clone(),
            oversight: config.oversight.clone(),
        };
        let kill_switch = open_kill_switch(config)?;
        let (channel, far) = Channel::pair().map_err(ChannelError::Socket)?;
        let process = execute(config, far)?;
        let mut process = Orphan(Some(process));
        let kill_switch: Vec<BorrowedFd<'_>> = kill_switch.iter().map(AsFd::as_fd).collect();
        channel.send(&Request::Setup(Box::new(setup)), &kill_switch)?;
        await_answer(&channel)?;
        let ready = match channel.receive()? {
            Some((Notice::Ready(ready), _)) => ready,
            Some((Notice::Unready { step, reason }, _)) => {
                return Err(StartError::Setup { step, reason });
            }
            _ => return Err(StartError::Silent),
        };
        let channel = Arc::new(channel);
        let answers = Arc::new(Answers::new());
        let reader = {
            let (channel, answers) = (Arc::clone(&channel), Arc::clone(&answers));
            thread::Builder::new()
                .name("spawner".to_owned())
                .spawn(move || answers.hear(&channel))
                .map_err(StartError::Thread)?
        };
        let process = process.0.take().expect("nobody has taken it");
        let next_job = AtomicU64::new(1);
        Ok(Self { channel, answers, next_job, ready, process, reader: Some(reader) })
    }

    /// What it achieved.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Lets jobs begin: the run is watched now.
    ///
    /// # Errors
    ///
    /// [`ChannelError`] when the spawner is gone.
    pub fn go(&self) -> Result<(), ChannelError> {
        self.channel.send(&Request::Go, &[])
    }

    /// Starts a job with these as its standard input, output and error, and returns when its
    /// program is executing or its task is about to be called. It blocks for as long as that takes;
    /// in async code call it within `tokio::task::spawn_blocking`.
    ///
    /// # Errors
    ///
    /// [`SpawnError`]; then no process of the job is left.
    pub fn spawn(&self, job: &Job, stdio: &[OwnedFd; 3]) -> Result<Started, SpawnError> {
        check_text(job)?;
        let leaf = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(&job.leaf)
            .map_err(|source| SpawnError::Leaf { leaf: job.leaf.clone(), source })?;
        let number = self.next_job.fetch_add(1, Ordering::Relaxed);
        let answer = self.answers.expect(number)?;
        let order =
            Order { action: job.action.clone(), env: job.env.clone(), cwd: job.cwd.clone() };
        let descriptors = [leaf.as_fd(), stdio[0].as_fd(), stdio[1].as_fd(), stdio[2].as_fd()];
        if let Err(error) = self.channel.send(&Request::Spawn { job: number, order }, &descriptors)
        {
            self.answers.forget(number);
            return Err(error.into());
        }
        match answer.start.recv().map_err(|_| SpawnerGone)? {
            Notice::Started { tgid, .. } => Ok(Started { tgid, exit: answer.exit }),
            Notice::Held { .. } => Err(SpawnError::Held),
            Notice::Unborn { errno, .. } => {
                Err(SpawnError::Fork { leaf: job.leaf.clone(), errno: Errno::from_raw(errno) })
            }
            Notice::Refused { step: Step::Exec, errno, .. } => {
                let program = match &job.action {
                    Action::Exec { program, .. } => program.clone(),
                    Action::Task { .. } => OsString::new(),
                };
                Err(SpawnError::NotExecutable { program, errno: Errno::from_raw(errno) })
            }
            Notice::Refused { step, errno, .. } => {
                Err(SpawnError::Step { step, errno: Errno::from_raw(errno) })
            }
            Notice::Ready(_)
            | Notice::Unready { .. }
            | Notice::Tightened { .. }
            | Notice::Exited { .. } => {
                unreachable!("only answers to an order are passed on as such")
            }
        }
    }

    /// Puts jobs that begin from here on into a Landlock domain within the one they would be in. It can
    /// never be undone; jobs that have begun stay where they are.
    ///
    /// # Errors
    ///
    /// [`TightenError`]; then nothing has changed.
    pub fn tighten(&self, plan: &LandlockPlan) -> Result<(), TightenError> {
        let job = self.next_job.fetch_add(1, Ordering::Relaxed);
        let answer = self.answers.expect(job)?;
        if let Err(error) = self.channel.send(&Request::Tighten { job, rules: plan.into() }, &[]) {
            self.answers.forget(job);
            return Err(error.into());
        }
        match answer.start.recv().map_err(|_| SpawnerGone)? {
            Notice::Tightened { failure: None, .. } => Ok(()),
            Notice::Tightened { failure: Some(reason), .. } => Err(TightenError::Landlock(reason)),
            _ => unreachable!("only the answer to this is passed on as such"),
        }
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.channel.send(&Request::Quit, &[]);
        end(&mut self.process, QUIT_PATIENCE);
        if let Some(reader) = self.reader.take() {
            // The socket's other end is closed now, so the thread is at its end.
            let _ = reader.join();
        }
    }
}

/// A process that is killed unless it is taken.
struct Orphan(Option<Child>);

impl Drop for Orphan {
    fn drop(&mut self) {
        if let Some(process) = &mut self.0 {
            end(process, Duration::ZERO);
        }
    }
}

/// Waits for a child to end, and kills it when it does not.
fn end(process: &mut Child, patience: Duration) {
    let deadline = Instant::now() + patience;
    while matches!(process.try_wait(), Ok(None)) {
        if Instant::now() >= deadline {
            let _ = process.kill();
            let _ = process.wait();
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn execute(config: &SpawnerConfig, socket: OwnedFd) -> Result<Child, StartError> {
    let program = &config.program.program;
    Command::new(program)
        .args(&config.program.arguments)
        // Keys of the client's have no business in the sandbox.
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|source| StartError::Execute { program: program.clone(), source })
}

fn open_kill_switch(config: &SpawnerConfig) -> Result<Option<File>, StartError> {
    let Some(cgroup) = &config.run_cgroup else { return Ok(None) };
    let path = cgroup.join("cgroup.kill");
    match OpenOptions::new().write(true).open(&path) {
        Ok(file) => Ok(Some(file)),
        // Kernels before 5.14 have none.
        Err(source) if source.kind() == io::ErrorKind::NotFound && cgroup.exists() => Ok(None),
        Err(source) => Err(StartError::RunCgroup { path, source }),
    }
}

fn await_answer(channel: &Channel) -> Result<(), StartError> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut source = [PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
        match poll(&mut source, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) => return Err(StartError::Silent),
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(ChannelError::Socket(errno).into()),
        }
    }
}

fn check_text(job: &Job) -> Result<(), SpawnError> {
    let is_clean = |text: &OsString| !text.as_bytes().contains(&0);
    let is_name = |name: &OsString| !name.is_empty() && !name.as_bytes().contains(&b'=');
    let action = match &job.action {
        Action::Exec { program, arg0, args } => {
            is_clean(program) && arg0.iter().all(is_clean) && args.iter().all(is_clean)
        }
        Action::Task { .. } => true,
    };
    let mut env = job.env.iter();
    let env = env.all(|(name, value)| is_name(name) && is_clean(name) && is_clean(value));
    if action && env { Ok(()) } else { Err(SpawnError::Text) }
}
