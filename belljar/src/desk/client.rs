//! The client's side: a command that speaks to a run's supervisor.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use sandbox::LiveRun;

use super::{Reply, Request};
use crate::exit::{Exit, Failure, OrExit as _};

/// How long a supervisor may take to answer; a call that it kills takes up to ten seconds to be gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// Says something to the supervisor of a run, and gives its answer. Fails where there is none: nobody
/// would keep what was said.
pub(crate) fn say(run: &LiveRun, request: &Request) -> Result<Reply, Failure> {
    let name = run.name();
    let gone = || {
        let message = format!(
            "run {name} has no belljar any more that would carry it on: `belljar runs kill {name}` \
             ends what still acts, `belljar reap` removes what is left"
        );
        Failure::new(Exit::Unavailable, anyhow!(message))
    };
    if run.is_orphan() {
        return Err(gone());
    }
    let stream = match UnixStream::connect(run.socket()) {
        Ok(stream) => stream,
        Err(_) if run.is_orphan() || run.supervisor().is_none() => return Err(gone()),
        Err(error) => {
            let message = format!("cannot speak to the belljar of run {name}: is it ending?");
            return Err(Failure::new(Exit::Os, anyhow::Error::from(error).context(message)));
        }
    };
    exchange(&stream, request)
        .with_context(|| format!("the belljar of run {name} gives no answer"))
        .or_exit(Exit::Os)
}

fn exchange(mut stream: &UnixStream, request: &Request) -> anyhow::Result<Reply> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply)?;
    Ok(serde_json::from_str(&reply)?)
}

/// The same for what is only done or not: what came of it, in words.
pub(crate) fn have_done(run: &LiveRun, request: &Request) -> Result<String, Failure> {
    match say(run, request)? {
        Reply::Done { what } => Ok(what),
        Reply::Refused { why } => Err(Failure::new(Exit::Usage, anyhow!(why))),
        Reply::Questions { .. } => {
            Err(Failure::new(Exit::Software, anyhow!("the belljar answered something else")))
        }
    }
}

/// Who says it, as far as this process knows: root, and for whom.
pub(crate) fn who() -> String {
    let uid = nix::unistd::getuid();
    let name = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    let name = name.unwrap_or_else(|| format!("uid {uid}"));
    match std::env::var("SUDO_USER") {
        Ok(user) if !user.is_empty() && user != name => format!("{name}, by sudo for {user}"),
        _ => name,
    }
}
