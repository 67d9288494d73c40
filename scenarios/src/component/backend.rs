//! The backend: listens, keeps its workers, follows its configuration, publishes its metrics.

use std::{
    io::{self, Read as _},
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{
    ComponentError, WORKER,
    arguments::Arguments,
    configuration::{Configuration, Watched},
};
use crate::status::{self, Status};

/// Time between two looks at the configuration and at the workers.
const TICK: Duration = Duration::from_millis(100);

struct Worker {
    number: u32,
    child: Child,
    counts: ChildStdout,
}

struct Backend {
    listener: TcpListener,
    /// Arguments that the workers get as they are: rounds, log, processor.
    passed_on: Vec<String>,
    configuration: Configuration,
    workers: Vec<Worker>,
    next_worker: u32,
    /// Workers that were told to end and have not yet.
    leaving: Vec<Child>,
    answered: u64,
}

pub(super) fn run(arguments: &Arguments, given: &[String]) -> Result<(), ComponentError> {
    let address: SocketAddr = arguments.require("listen")?;
    let metrics: PathBuf = arguments.require("metrics")?;
    let config: PathBuf = arguments.require("config")?;
    let mut watched = Watched::new(&config);
    let configuration = watched.read_now().map_err(|error| ComponentError::Io {
        action: format!("read {}", config.display()),
        source: io::Error::other(error),
    })?;
    let listener =
        TcpListener::bind(address).map_err(ComponentError::io(format!("listen on {address}")))?;
    let mut backend = Backend {
        listener,
        passed_on: given.to_vec(),
        configuration,
        workers: Vec::new(),
        next_worker: 0,
        leaving: Vec::new(),
        answered: 0,
    };
    backend.start_workers()?;

    let mut published = (Instant::now(), 0);
    let mut tick = Instant::now();
    loop {
        backend.wait(tick)?;
        if Instant::now() < tick {
            continue;
        }
        tick = Instant::now() + TICK;
        if let Some(new) = watched.poll() {
            let restart = backend.configuration.concerns_workers(&new);
            backend.configuration = new;
            if restart {
                backend.restart_workers()?;
            }
        }
        backend.replace_dead_workers()?;
        // One reading of the clock: whatever holds the backend up here belongs to the next interval.
        let now = Instant::now();
        let elapsed = now - published.0;
        if elapsed.as_secs_f64() >= backend.configuration.metrics_interval_seconds {
            let answers = backend.answered - published.1;
            let status = Status {
                throughput: answers as f64 / elapsed.as_secs_f64(),
                answered_total: backend.answered,
                workers: backend.workers.len() as u32,
            };
            if let Err(error) = status::publish(&metrics, &status) {
                eprintln!("backend: cannot write {}: {error}", metrics.display());
            }
            published = (now, backend.answered);
        }
    }
}

impl Backend {
    /// Waits until `tick` and meanwhile sums up what the workers count.
    fn wait(&mut self, tick: Instant) -> Result<(), ComponentError> {
        let left = tick.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
        let mut fds: Vec<PollFd<'_>> = self
            .workers
            .iter()
            .map(|worker| PollFd::new(worker.counts.as_fd(), PollFlags::POLLIN))
            .collect();
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(ComponentError::io("wait for workers")(errno.into())),
        }
        let ended = fds.iter().any(|fd| {
            fd.revents().is_some_and(|events| {
                events.contains(PollFlags::POLLHUP) && !events.contains(PollFlags::POLLIN)
            })
        });
        drop(fds);
        for worker in &mut self.workers {
            let mut buffer = [0; 4096];
            while let Ok(count) = worker.counts.read(&mut buffer) {
                self.answered += buffer[..count]
                    .chunks_exact(8)
                    .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("8 bytes")))
                    .sum::<u64>();
                if count < buffer.len() {
                    break;
                }
            }
        }
        if ended {
            // A worker has died; its pipe would end every wait at once until the next tick.
            std::thread::sleep(tick.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    fn start_workers(&mut self) -> Result<(), ComponentError> {
        while self.workers.len() < self.configuration.workers as usize {
            let worker = self.start_worker()?;
            self.workers.push(worker);
        }
        Ok(())
    }

    fn start_worker(&mut self) -> Result<Worker, ComponentError> {
        let failed = || ComponentError::io("start a worker");
        let listener: OwnedFd = self.listener.as_fd().try_clone_to_owned().map_err(failed())?;
        let number = self.next_worker;
        self.next_worker += 1;
        let Configuration { batch, commit_interval_ms, .. } = self.configuration;
        let mut child = Command::new("/proc/self/exe")
            .arg0(WORKER)
            .args(["component", WORKER])
            .args(&self.passed_on)
            .args(["--worker", &number.to_string()])
            .args(["--batch", &batch.to_string()])
            .args(["--commit-interval-ms", &commit_interval_ms.to_string()])
            .stdin(Stdio::from(listener))
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed())?;
        let counts = child.stdout.take().expect("standard output is a pipe");
        fcntl(&counts, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(|errno| failed()(errno.into()))?;
        Ok(Worker { number, child, counts })
    }

    /// Starts workers with the new configuration, then lets the old ones finish and end.
    fn restart_workers(&mut self) -> Result<(), ComponentError> {
        let old = std::mem::take(&mut self.workers);
        self.start_workers()?;
        self.leaving.extend(old.into_iter().map(|worker| worker.child));
        Ok(())
    }

    fn replace_dead_workers(&mut self) -> Result<(), ComponentError> {
        self.leaving.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        self.workers.retain_mut(|worker| match worker.child.try_wait() {
            Ok(None) => true,
            _ => {
                eprintln!("backend: worker {} has ended; starting another", worker.number);
                false
            }
        });
        self.start_workers()
    }
}
