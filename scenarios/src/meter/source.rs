//! Where an objective's numbers come from.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use super::MeterError;
use crate::{
    definition::{Measure, fill_in},
    load::{Figures, Load, LoadTotals, Plan},
    shell::Shell,
    stage::{PrepareError, Stage},
};

/// How long a command may take to say a number.
const WITHIN: Duration = Duration::from_secs(5);
/// Requests of a window.
const REQUESTS: u32 = 5;
/// How long one request may take.
const ANSWER: Duration = Duration::from_millis(500);
/// Most of an answer that is read, bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// What measures, as it is planned: a load is started on the measure's thread.
pub(super) enum Source {
    /// There is no objective.
    Nothing,
    Load(Plan),
    Command {
        shell: Shell,
    },
    Http {
        address: SocketAddr,
        path: String,
        expected: String,
    },
}

impl Source {
    pub(super) fn new(stage: &Stage) -> Result<Self, MeterError> {
        let filled = |text: &str| {
            fill_in(text, &stage.variables)
                .map_err(|unknown| MeterError::Text { source: PrepareError::from(unknown) })
        };
        Ok(match stage.scenario.measure() {
            None => Self::Nothing,
            Some(Measure::Load) => {
                let (service, load) = stage
                    .service
                    .as_ref()
                    .zip(stage.scenario.load)
                    .expect("a scenario that is measured by its load has one");
                Self::Load(Plan {
                    address: service.address,
                    rate_per_second: load.rate_per_second,
                    connections: load.connections,
                    request_rounds: service.request_rounds,
                    seed: service.seed,
                })
            }
            Some(Measure::Command { run }) => {
                Self::Command { shell: Shell::measuring(filled(&run)?, &stage.root) }
            }
            Some(Measure::Http { port, path, expected }) => Self::Http {
                address: SocketAddr::from((Ipv4Addr::LOCALHOST, stage.ports[&port])),
                path: filled(&path)?,
                expected: filled(&expected)?,
            },
        })
    }

    /// Starts the load, if there is one. To be called on the measure's thread.
    pub(super) fn start(self) -> Running {
        let load = match &self {
            Self::Load(plan) => Some(Load::start(*plan)),
            _ => None,
        };
        Running { source: self, load, problem: "there was no number".to_owned() }
    }
}

/// What measures, at work.
pub(super) struct Running {
    source: Source,
    load: Option<Load>,
    /// Why there was no number.
    problem: String,
}

impl Running {
    /// Begins a window.
    pub(super) fn begin(&mut self) {
        if let Some(load) = &self.load {
            let _ = load.next_window();
        }
    }

    /// Ends a window; none where it gave no number.
    pub(super) async fn next_window(&mut self) -> Option<Figures> {
        if let Some(load) = &self.load {
            return Some(load.next_window());
        }
        let number = match &self.source {
            Source::Nothing | Source::Load(_) => return None,
            Source::Command { shell } => {
                let run = shell.clone();
                let said = tokio::task::spawn_blocking(move || run.run(WITHIN)).await;
                let said = said.map_err(io::Error::other).and_then(|said| said);
                let number = said.map_err(|error| error.to_string()).and_then(|said| {
                    let number = said.line().parse::<f64>().ok().filter(|it| it.is_finite());
                    number.filter(|_| said.code == Some(0)).ok_or_else(|| match said.code {
                        Some(0) => format!("{:?} is no number", said.line()),
                        Some(code) => format!("it exited with {code}"),
                        None => "it did not end in time".to_owned(),
                    })
                });
                match number {
                    Ok(number) => number,
                    Err(why) => {
                        tracing::debug!(why, "a window without a number");
                        self.problem = why;
                        return None;
                    }
                }
            }
            Source::Http { address, path, expected } => {
                let (address, path, expected) = (*address, path.clone(), expected.clone());
                let asked = tokio::task::spawn_blocking(move || {
                    let right = (0..REQUESTS).filter(|_| is_right(address, &path, &expected));
                    right.count()
                });
                asked.await.ok()? as f64 / f64::from(REQUESTS)
            }
        };
        Some(Figures {
            rate: number,
            p50_seconds: None,
            p99_seconds: None,
            held_up: Duration::ZERO,
        })
    }

    pub(super) fn totals(&self) -> LoadTotals {
        self.load.as_ref().map(Load::totals).unwrap_or_default()
    }

    pub(super) const fn is_load(&self) -> bool {
        self.load.is_some()
    }

    /// Why there was no number.
    pub(super) fn problem(&self) -> &str {
        &self.problem
    }
}

/// Whether a request is answered with what is expected.
fn is_right(address: SocketAddr, path: &str, expected: &str) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1);
        Ok(status == Some("200") && answer.contains(expected))
    };
    ask().unwrap_or(false)
}
