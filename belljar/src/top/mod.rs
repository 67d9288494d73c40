//! `belljar top`: what happens now on this host.
//!
//! The source is what the runs themselves write down: [`host`] finds the runs that go on and
//! [`follow`]s their directories, as far as they have grown. A view so shows what the record holds
//! and nothing else, whoever observes the run, and needs no word with an observer. [`tally`] counts,
//! [`frame`] is one look at all of it, [`rows`] puts it in words, [`text`], [`draw`] and JSON show it;
//! [`screen`] is the terminal.

mod draw;
mod follow;
mod frame;
#[cfg(test)]
mod golden;
mod host;
mod rows;
mod screen;
mod tally;
mod text;

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::mpsc,
    time::Duration,
};

use anyhow::{Context as _, anyhow};

use self::{frame::Frame, host::Host};
use crate::{
    cli::TopArgs,
    exit::{Exit, Failure, OrExit as _},
    run::Interrupt,
    stdout::out,
};

/// Shows the runs of this host, until it is told to end or once.
pub(crate) fn top(arguments: &TopArgs) -> Result<(), Failure> {
    sandbox::host::check_privilege().or_exit(Exit::Privilege)?;
    let is_view = !arguments.once && !arguments.json;
    if is_view && !io::stdout().is_terminal() {
        let message = "standard output is no terminal: --once prints one frame, --json one object \
                       for each";
        return Err(Failure::new(Exit::Usage, anyhow!(message)));
    }
    let mount = sandbox::CgroupMount::find().or_exit(Exit::Unavailable)?;
    let mut host = Host::new(sandbox::Belljar::new(mount));
    let interval = Duration::from_secs_f64(arguments.interval);
    if is_view {
        return screen::show(&mut host, interval);
    }
    if arguments.once {
        let frame = host.look_whole().or_exit(Exit::Os)?;
        if arguments.json {
            out!("{}", line(&frame)?);
        } else {
            out!("{}", text::text(&frame));
        }
        return Ok(());
    }
    stream(&mut host, interval)
}

fn line(frame: &Frame) -> Result<String, Failure> {
    Ok(serde_json::to_string(frame).or_exit(Exit::Software)? + "\n")
}

/// An object for each frame, until nobody reads them any more or a signal ends it.
fn stream(host: &mut Host, interval: Duration) -> Result<(), Failure> {
    let interrupt = Interrupt::listen().or_exit(Exit::Os)?;
    let (end, ended) = mpsc::channel();
    interrupt.then(move || {
        // Who waits for it may have ended.
        let _ = end.send(());
    });
    loop {
        let line = line(&host.look_whole().or_exit(Exit::Os)?)?;
        let mut stdout = io::stdout().lock();
        match stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("cannot write to standard output").or_exit(Exit::Io)?,
        }
        if ended.recv_timeout(interval).is_ok() {
            return Ok(());
        }
    }
}
