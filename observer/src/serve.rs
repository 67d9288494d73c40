//! The observer's process: one run, from the first request to the account of its evidence.

use std::{
    io::{self, BufReader},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{
    http,
    interpret::LandlockInForce,
    protocol::{self, Answer, Request, Watch},
    watching::{WatchError, Watching},
};

/// How long the ring buffers may rest. Violations wake the observer at once.
const POLL: Duration = Duration::from_millis(10);
const HEARTBEAT: Duration = Duration::from_millis(250);

/// Why the observer ended before its run did.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The other side is gone or does not speak the protocol.
    #[error("cannot talk to the process that started the observer")]
    Control(#[from] io::Error),
    /// The journal cannot be written.
    #[error("cannot write the journal")]
    Journal(#[from] journal::writer::WriteError),
    /// The kernel's maps refuse.
    #[error("cannot reach the probes")]
    Maps(#[from] crate::kernel_run::MapsError),
}

/// Watches one run. `control` is the observer's end of the socket pair.
///
/// When the other end closes before the run is finished, the supervisor has died: the observer
/// drains, gives no account, and leaves the directory without a report, so that it reads as invalid.
///
/// # Errors
///
/// When the evidence can no longer be kept.
pub fn serve(control: UnixStream) -> Result<(), ServeError> {
    let mut writer = control.try_clone()?;
    let mut reader = BufReader::new(control);
    let Some(Request::Watch(request)) = protocol::receive(&mut reader)? else {
        return Ok(());
    };
    let mut watching = match Watching::start(&request) {
        Ok(watching) => watching,
        Err(error) => return Ok(protocol::send(&mut writer, &refusal(&error))?),
    };
    let metrics = match serve_metrics(&request, &watching) {
        Ok(metrics) => metrics,
        Err(error) => return Ok(protocol::send(&mut writer, &refusal(&error))?),
    };
    let watching_now = Answer::Watching {
        probe_set: watching.probes.set,
        reason: watching.probes.reason.clone(),
        metrics,
    };
    protocol::send(&mut writer, &watching_now)?;
    let mut beat = Instant::now();
    let mut rest = POLL;
    loop {
        let asked = wait(reader.get_ref(), &watching, rest)?;
        // What was just read may not have been all.
        rest = if watching.read()? > 0 { Duration::ZERO } else { POLL };
        if beat.elapsed() >= HEARTBEAT {
            beat = Instant::now();
            watching.heartbeat()?;
            watching.count_drops()?;
            watching.flush()?;
        }
        if !asked && reader.buffer().is_empty() {
            continue;
        }
        let Some(request) = protocol::receive(&mut reader)? else {
            watching.finish()?;
            return Ok(());
        };
        let (answer, last) = answer(&mut watching, request)?;
        protocol::send(&mut writer, &answer)?;
        if last {
            return Ok(());
        }
    }
}

/// Waits for a request or a violation, at most as long as `rest`; true when there is a request.
fn wait(control: &UnixStream, watching: &Watching, rest: Duration) -> io::Result<bool> {
    let violations = watching.kernel.violations.as_fd();
    let effects = watching.kernel.effects.as_fd();
    let control: BorrowedFd<'_> = control.as_fd();
    let mut ready = [
        PollFd::new(control, PollFlags::POLLIN),
        PollFd::new(violations, PollFlags::POLLIN),
        PollFd::new(effects, PollFlags::POLLIN),
    ];
    let timeout = PollTimeout::try_from(rest).expect("a few milliseconds");
    match poll(&mut ready, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(ready[0].revents().is_some_and(|events| !events.is_empty()))
}

fn serve_metrics(
    request: &Watch,
    watching: &Watching,
) -> Result<Option<std::net::SocketAddr>, WatchError> {
    let Some(address) = request.metrics else { return Ok(None) };
    http::serve(address, Arc::clone(&watching.metrics))
        .map(Some)
        .map_err(|source| WatchError::Metrics { address, source })
}

fn answer(watching: &mut Watching, request: Request) -> Result<(Answer, bool), ServeError> {
    let done = match request {
        Request::Watch(_) => Err(WatchError::Request("a run is watched already".to_owned())),
        Request::Call { call, leaf, path } => watching.call(call, leaf, path).map_err(Into::into),
        Request::Component { name, leaf } => watching.component(name, leaf),
        Request::Landlock { abi, scopes_signals } => {
            watching.landlock(LandlockInForce { abi, scopes_signals });
            Ok(())
        }
        Request::Objective { proxy, measured } => {
            watching.metrics.objective(proxy, measured);
            Ok(())
        }
        Request::Finish => {
            let evidence = watching.finish()?;
            return Ok((Answer::Finished { evidence, metrics: watching.metrics.text() }, true));
        }
    };
    Ok((done.map_or_else(|error| refusal(&error), |()| Answer::Done), false))
}

fn refusal(error: &WatchError) -> Answer {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        // The verifier's log can be thousands of lines; its end says what was wrong.
        let tail: Vec<&str> = text.lines().rev().take(8).collect();
        for line in tail.into_iter().rev() {
            reason.push_str(": ");
            reason.push_str(line);
        }
        cause = error.source();
    }
    Answer::Refused { reason, kernel: matches!(error, WatchError::Load(_) | WatchError::Maps(_)) }
}
