//! `belljar runs`: what a person sees of live and recorded runs, and decides.

mod act;
mod collect;
mod live;
mod recorded;
mod standstill;
pub(super) mod table;

use std::time::Duration;

use sandbox::{Belljar, CgroupMount, LiveRun};

pub(super) use self::act::find;

use crate::{
    cli::RunsCommand,
    exit::{Exit, Failure, OrExit as _},
};

/// Carries out one of the commands.
pub(crate) fn runs(command: &RunsCommand) -> Result<(), Failure> {
    match command {
        RunsCommand::List(arguments) => recorded::list(arguments),
        RunsCommand::Show { run, output, json } => recorded::show(run, output, *json),
        RunsCommand::Query { sql, output, json, csv, seconds } => {
            recorded::query(sql, output, Duration::from_secs(*seconds), *json, *csv)
        }
        RunsCommand::Gc(arguments) => collect::collect(arguments),
        RunsCommand::Frozen { json } => act::frozen(*json),
        RunsCommand::Freeze { target, components } => act::freeze(target, *components),
        RunsCommand::Resume(target) => act::resume(target),
        RunsCommand::Kill(target) => act::kill(target),
    }
}

/// Belljar's part of the cgroup hierarchy, for who may act on runs.
fn belljar() -> Result<Belljar, Failure> {
    sandbox::host::check_privilege().or_exit(Exit::Privilege)?;
    Ok(Belljar::new(CgroupMount::find().or_exit(Exit::Unavailable)?))
}

/// The live runs, for who may act on them.
pub(super) fn live_runs() -> Result<Vec<LiveRun>, Failure> {
    belljar()?.live_runs().or_exit(Exit::Os)
}

/// The same for who only looks; none where no run can be live.
fn belljar_if_any() -> Option<Belljar> {
    CgroupMount::find().ok().map(Belljar::new)
}
