//! Waiting until components are well.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use super::{Stage, Started};
use crate::definition::Health;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(1);

/// The components did not come up.
#[derive(Debug, thiserror::Error)]
pub enum UnhealthyError {
    /// A component has ended.
    #[error("component {name} (process {tgid}) has ended")]
    Ended {
        /// Which.
        name: String,
        /// Its process.
        tgid: u32,
    },
    /// A component lives and is not well.
    #[error("component {name} did not become healthy within {seconds} s: {problem}")]
    Silent {
        /// Which.
        name: String,
        /// How long it had.
        seconds: u64,
        /// What is missing.
        problem: String,
        /// The last failure.
        source: io::Error,
    },
}

impl Stage {
    /// Waits until every component is alive and well.
    ///
    /// # Errors
    ///
    /// [`UnhealthyError`] as soon as a component has ended, or after `within`.
    pub fn wait_healthy(
        &self,
        started: &[Started],
        within: Duration,
    ) -> Result<(), UnhealthyError> {
        let deadline = Instant::now() + within;
        loop {
            for Started { name, tgid } in started {
                if !crate::watch::is_alive(*tgid) {
                    return Err(UnhealthyError::Ended { name: name.clone(), tgid: *tgid });
                }
            }
            match self.look() {
                Ok(()) => return Ok(()),
                Err((name, problem, source)) if Instant::now() >= deadline => {
                    let seconds = within.as_secs();
                    return Err(UnhealthyError::Silent { name, seconds, problem, source });
                }
                Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    /// The first component that is not well yet, with what is missing and why.
    fn look(&self) -> Result<(), (String, String, io::Error)> {
        if let Some(service) = &self.service {
            ask_for_health(service.address).map_err(|error| {
                ("backend".to_owned(), format!("no answer at {}", service.address), error)
            })?;
        }
        for component in &self.scenario.components {
            let Some(health) = &component.health else { continue };
            let looked = match health.get_ref() {
                Health::Port { port } => {
                    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[port]));
                    TcpStream::connect_timeout(&address, ANSWER)
                        .map(drop)
                        .map_err(|error| (format!("nobody listens at {address}"), error))
                }
                Health::File { path } => exists(&self.root.join(path))
                    .map_err(|error| (format!("there is no {path}"), error)),
            };
            looked
                .map_err(|(problem, error)| (component.name.get_ref().clone(), problem, error))?;
        }
        Ok(())
    }
}

fn exists(path: &Path) -> io::Result<()> {
    path.symlink_metadata().map(drop)
}

fn ask_for_health(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "the backend is not healthy"))
    }
}
