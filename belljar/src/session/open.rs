//! Starts a session in the background.

use std::{
    env,
    io::{self, BufRead as _, BufReader},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, ExitCode, Stdio},
    thread,
};

use anyhow::Context as _;

use super::protocol::Session;
use crate::{
    exit::{Exit, Failure, OrExit as _},
    stdout::outln,
};

/// Starts the process that holds the session, and waits until it is open. The words behind `open` are
/// that process's own.
pub(super) fn open() -> Result<ExitCode, Failure> {
    let (here, there) = UnixStream::pair().or_exit(Exit::Os)?;
    let mut serving = Command::new("/proc/self/exe")
        .args(["session", "serve"])
        .args(env::args_os().skip(3))
        .stdin(Stdio::from(OwnedFd::from(there)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the session")
        .or_exit(Exit::Os)?;
    let mut stderr = serving.stderr.take().expect("it is piped");
    let passing = thread::Builder::new()
        .name("stderr".to_owned())
        .spawn(move || {
            // What is lost where this fails are words for a person who does not read them.
            let _ = io::copy(&mut stderr, &mut io::stderr());
        })
        .or_exit(Exit::Os)?;
    let mut line = String::new();
    BufReader::new(here).read_line(&mut line).or_exit(Exit::Io)?;
    if let Ok(session) = serde_json::from_str::<Session>(&line) {
        outln!("{}", serde_json::to_string_pretty(&session).or_exit(Exit::Software)?);
        return Ok(ExitCode::SUCCESS);
    }
    // It has ended and has said why.
    let status = serving.wait().or_exit(Exit::Os)?;
    let _ = passing.join();
    let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0);
    Ok(ExitCode::from(code.unwrap_or(Exit::Software as u8)))
}
