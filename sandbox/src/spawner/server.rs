//! The spawner's own process: one thread that waits for requests, reports and ends of children.
//!
//! It never waits for a child alone: a process of the run may stop a sibling at any moment, even
//! before that has executed anything.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal, kill},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::{Pid, dup2_stdin},
};

use super::{
    Exit,
    birth::{Newborn, give_birth, read_report},
    channel::{Channel, ChannelError},
    message::{Notice, Order, Request, Setup},
    setup::{Unready, set_up},
};
use crate::{
    landlock,
    sys::{self, Ended},
};

/// What the process exits with when it cannot go on (`EX_SOFTWARE`).
const EXIT_FAILED: i32 = 70;

/// Serves a [`super::Spawner`] over standard input and never returns. `task` is what
/// [`super::Action::Task`] calls, in a child.
///
/// To be called first thing in the hidden subcommand that [`super::SpawnerProgram`] names, before
/// any thread is made.
pub fn serve(task: fn(&str) -> i32) -> ! {
    let code = match run(task) {
        Ok(()) => 0,
        Err(error) => {
            // Standard error is the client's; there is nobody else to tell.
            eprintln!("spawner: {error}");
            EXIT_FAILED
        }
    };
    std::process::exit(code)
}

/// The spawner cannot go on.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("cannot talk to the client: {0}")]
    Channel(#[from] ChannelError),
    #[error("cannot watch its children: {0}")]
    Children(#[from] Errno),
    #[error("cannot leave its standard input: {0}")]
    Input(#[from] io::Error),
}

fn run(task: fn(&str) -> i32) -> Result<(), ServeError> {
    // Children are forked with their own standard input; nobody else may find the socket there.
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    dup2_stdin(File::open("/dev/null")?)?;
    let channel = Channel::from_socket(socket);
    let Some((Request::Setup(setup), mut descriptors)) = channel.receive()? else {
        return Ok(());
    };
    match set_up(&setup) {
        Ok(ready) => channel.send(&Notice::Ready(ready), &[])?,
        Err(Unready { step, reason }) => {
            channel.send(&Notice::Unready { step, reason }, &[])?;
            return Ok(());
        }
    }
    let ended = SigSet::from(Signal::SIGCHLD);
    ended.thread_block()?;
    Server {
        channel,
        setup: *setup,
        task,
        kill_switch: descriptors.pop().map(File::from),
        ended: SignalFd::with_flags(&ended, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?,
        is_released: false,
        starting: Vec::new(),
        running: HashMap::new(),
    }
    .serve()
}

struct Starting {
    job: u64,
    newborn: Newborn,
}

struct Server {
    channel: Channel,
    setup: Setup,
    task: fn(&str) -> i32,
    /// The run's `cgroup.kill`, opened before Landlock would have refused it.
    kill_switch: Option<File>,
    ended: SignalFd,
    is_released: bool,
    starting: Vec<Starting>,
    /// Jobs by thread group.
    running: HashMap<u32, u64>,
}

impl Server {
    fn serve(mut self) -> Result<(), ServeError> {
        let served = self.serve_until_done();
        // In order or not at all: who does not say goodbye has died, and nobody watches the run.
        if !matches!(served, Ok(Done::InOrder)) {
            self.kill_run();
        }
        match served {
            Err(ServeError::Channel(ChannelError::Socket(Errno::EPIPE | Errno::ECONNRESET))) => {
                Ok(())
            }
            served => served.map(drop),
        }
    }

    fn serve_until_done(&mut self) -> Result<Done, ServeError> {
        loop {
            let mut sources = vec![
                PollFd::new(self.channel.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.ended.as_fd(), PollFlags::POLLIN),
            ];
            let reports = self.starting.iter().map(|it| it.newborn.report.as_fd());
            sources.extend(reports.map(|report| PollFd::new(report, PollFlags::POLLIN)));
            match poll(&mut sources, PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            let mut is_ready =
                sources.iter().map(|it| it.revents().is_none_or(|events| !events.is_empty()));
            let (has_request, has_ended) = (is_ready.next(), is_ready.next());
            let has_reported: Vec<bool> = is_ready.collect();
            for index in (0..has_reported.len()).rev().filter(|index| has_reported[*index]) {
                let starting = self.starting.swap_remove(index);
                self.conclude(starting)?;
            }
            if has_ended == Some(true) {
                self.reap()?;
            }
            if has_request == Some(true) {
                match self.channel.receive()? {
                    None => return Ok(Done::Abandoned),
                    Some((Request::Quit, _)) => return Ok(Done::InOrder),
                    Some((Request::Go, _)) => self.is_released = true,
                    Some((Request::Spawn { job, order }, descriptors)) => {
                        self.spawn(job, &order, descriptors)?;
                    }
                    Some((Request::Tighten { job, rules }, _)) => {
                        let failure = landlock::enter(&rules).err().map(|it| it.to_string());
                        self.channel.send(&Notice::Tightened { job, failure }, &[])?;
                    }
                    Some((Request::Setup(_), _)) => return Err(ChannelError::Packet.into()),
                }
            }
        }
    }

    fn spawn(
        &mut self,
        job: u64,
        order: &Order,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), ServeError> {
        if !self.is_released {
            return Ok(self.channel.send(&Notice::Held { job }, &[])?);
        }
        let [leaf, stdin, stdout, stderr] =
            <[OwnedFd; 4]>::try_from(descriptors).map_err(|_| ChannelError::Packet)?;
        let stdio = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        match give_birth(&self.setup, order, leaf.as_fd(), stdio, self.task) {
            Ok(newborn) => self.starting.push(Starting { job, newborn }),
            Err(errno) => {
                self.channel.send(&Notice::Unborn { job, errno: errno as i32 }, &[])?;
            }
        }
        Ok(())
    }

    /// A child has closed its report, or ended.
    fn conclude(&mut self, starting: Starting) -> Result<(), ServeError> {
        let Starting { job, newborn: Newborn { tgid, mut report } } = starting;
        // One read: a report is written whole, and its writer may be stopped before it closes.
        let mut bytes = [0; 16];
        let length = report.read(&mut bytes).unwrap_or(0);
        let notice = match read_report(&bytes[..length]) {
            Some((step, errno)) => Notice::Refused { job, step, errno },
            None => {
                self.running.insert(tgid, job);
                Notice::Started { job, tgid }
            }
        };
        Ok(self.channel.send(&notice, &[])?)
    }

    /// Reaps all children that have ended, adopted ones included.
    fn reap(&mut self) -> Result<(), ServeError> {
        while let Ok(Some(_)) = self.ended.read_signal() {}
        loop {
            let (tgid, exit) = match sys::reap_child() {
                Ok(Some((tgid, Ended::Code(code)))) => (tgid, Exit::Code(code)),
                Ok(Some((tgid, Ended::Signal(signal)))) => (tgid, Exit::Signal(signal)),
                Ok(None) | Err(Errno::ECHILD) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            if let Some(index) = self.starting.iter().position(|it| it.newborn.tgid == tgid) {
                let starting = self.starting.swap_remove(index);
                self.conclude(starting)?;
            }
            if let Some(job) = self.running.remove(&tgid) {
                self.channel.send(&Notice::Exited { job, exit }, &[])?;
            }
        }
    }

    fn kill_run(&mut self) {
        let is_killed = self.kill_switch.as_mut().is_some_and(|it| it.write_all(b"1").is_ok());
        if is_killed {
            return;
        }
        // Without `cgroup.kill` (before Linux 5.14) at least the jobs themselves end.
        let starting = self.starting.iter().map(|it| it.newborn.tgid);
        for tgid in self.running.keys().copied().chain(starting) {
            if let Ok(tgid) = i32::try_from(tgid) {
                let _ = kill(Pid::from_raw(tgid), Signal::SIGKILL);
            }
        }
    }
}

/// Why serving came to an end without an error.
enum Done {
    InOrder,
    Abandoned,
}
