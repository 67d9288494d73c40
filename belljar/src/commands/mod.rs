//! One module for each command; a command reads its arguments, calls a crate, prints.

mod approve;
mod doctor;
mod import;
mod key;
mod mcp;
mod policy;
mod report;
mod runs;
mod scenario;
mod tools;
mod verify;
mod watch;

use std::{
    io::IsTerminal as _,
    os::{fd::AsFd as _, unix::net::UnixStream},
    process::ExitCode,
};

pub(crate) use self::report::readable_effects;
use crate::{
    cli::Command,
    exit::{Exit, Failure, OrExit as _},
    monitor, reference, replay, run, session,
    stderr::Impatient,
    stdout::{out, outln},
    sweep, top,
};

/// Carries out what the command line asks for.
pub(crate) fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    // A component is the scenario's own program: it logs nothing of ours.
    if !matches!(command, Command::Component { .. }) {
        log();
    }
    match command {
        Command::Run(arguments) => return run::run(&arguments),
        Command::Sweep(arguments) => return sweep::sweep(&arguments),
        Command::Monitor(arguments) => monitor::monitor(&arguments)?,
        Command::Mcp(arguments) => return mcp::mcp(&arguments),
        Command::Bridge { socket } => mcp::bridge(&socket)?,
        Command::Session(command) => return session::session(&command),
        Command::Replay(arguments) => return replay::replay(*arguments),
        Command::Component { name, arguments } => {
            return Ok(scenarios::component_main(&name, &arguments));
        }
        Command::Verify(arguments) => return verify::verify(&arguments),
        Command::Key(command) => key::key(&command)?,
        Command::Policy(command) => policy::policy(command)?,
        Command::Doctor(arguments) => doctor::doctor(&arguments)?,
        Command::Report(command) => return report::report(&command),
        Command::Scenario(command) => scenario::scenario(command)?,
        Command::Import(command) => import::import(command)?,
        Command::Organism(command) => scenario::organism(command)?,
        Command::Tools(arguments) => tools::tools(&arguments)?,
        Command::Watch(arguments) => watch::watch(&arguments)?,
        Command::Top(arguments) => top::top(&arguments)?,
        Command::Runs(command) => runs::runs(&command)?,
        Command::Approve(arguments) => approve::approve(&arguments)?,
        Command::Reap => reap()?,
        Command::Observer => observer()?,
        Command::Canary { file } => observer::canary::perform(&file).or_exit(Exit::Io)?,
        Command::Reference { page } => out!("{}", reference::page(&page)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Logs go to standard error and wait for no reader; `BELLJAR_LOG` chooses them as `tracing` spells it.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("BELLJAR_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Impatient)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

/// Becomes the observer of one run, steered through standard input.
fn observer() -> Result<(), Failure> {
    let control = std::io::stdin().as_fd().try_clone_to_owned().or_exit(Exit::Os)?;
    observer::serve(UnixStream::from(control)).or_exit(Exit::Io)
}

fn reap() -> Result<(), Failure> {
    sandbox::host::check_privilege().or_exit(Exit::Privilege)?;
    let mount = sandbox::CgroupMount::find().or_exit(Exit::Unavailable)?;
    for run in run::reap_stale(&sandbox::Belljar::new(mount)) {
        outln!("{run}");
    }
    Ok(())
}
