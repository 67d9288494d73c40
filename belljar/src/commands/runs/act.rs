//! What a person decides about a live run: freeze, resume, kill.

use anyhow::anyhow;
use journal::escape::visible;
use sandbox::{Leaf, LeafOwner, LiveRun};
use serde::Serialize;

use super::{
    belljar,
    live::{CallState, FrozenFor, RunState, State},
    table,
};
use crate::{
    cli::TargetArgs,
    exit::{Exit, Failure, OrExit as _},
    run::PATIENCE,
    stdout::{out, outln},
};

pub(super) fn freeze(target: &TargetArgs, components: bool) -> Result<(), Failure> {
    let run = find(&target.run)?;
    let name = run.name();
    if let Some(call) = target.call {
        leaf(&run, call)?.cgroup.freeze(PATIENCE).or_exit(Exit::Os)?;
        outln!("call {call} of run {name} is frozen");
    } else {
        run.freeze(components, PATIENCE).or_exit(Exit::Os)?;
        let whole = if components { ", its components as well" } else { "" };
        outln!("run {name} is frozen{whole}; belljar runs resume|kill {name}");
    }
    Ok(())
}

pub(super) fn resume(target: &TargetArgs) -> Result<(), Failure> {
    let run = find(&target.run)?;
    let name = run.name();
    let Some(call) = target.call else {
        run.resume().or_exit(Exit::Os)?;
        outln!("run {name} goes on");
        return Ok(());
    };
    if run.is_frozen_whole() {
        let message = format!("the run is frozen as a whole: belljar runs resume {name}");
        return Err(Failure::new(Exit::Usage, anyhow!(message)));
    }
    leaf(&run, call)?.cgroup.thaw().or_exit(Exit::Os)?;
    outln!("call {call} of run {name} goes on");
    if run.is_held() {
        eprintln!("no other call begins: belljar runs resume {name}");
    }
    Ok(())
}

pub(super) fn kill(target: &TargetArgs) -> Result<(), Failure> {
    let run = find(&target.run)?;
    let name = run.name();
    if let Some(call) = target.call {
        leaf(&run, call)?.cgroup.kill_and_wait(PATIENCE).or_exit(Exit::Os)?;
        outln!("call {call} of run {name} is killed");
        return Ok(());
    }
    let directory = run.directory();
    run.end(PATIENCE).or_exit(Exit::Os)?;
    outln!("run {name} is ended");
    match (run.supervisor(), directory) {
        (Some(_), Some(directory)) => {
            eprintln!("its supervisor finishes {}", visible(&directory.to_string_lossy()));
        }
        (Some(_), None) => {}
        (None, _) => eprintln!("it has no supervisor: `belljar reap` removes what is left"),
    }
    Ok(())
}

/// A call that stands still.
#[derive(Serialize)]
struct Frozen {
    run: String,
    call: u64,
    /// Whether a person has frozen the run.
    by_person: bool,
    processes: Vec<u32>,
    frozen_for: Option<FrozenFor>,
}

pub(super) fn frozen(json: bool) -> Result<(), Failure> {
    let live = belljar()?.live_runs().or_exit(Exit::Os)?;
    let mut frozen = Vec::new();
    for state in live.iter().filter_map(|run| RunState::of(run).ok()) {
        let by_person = state.state == State::Frozen;
        let RunState { run, calls, .. } = state;
        let calls = calls.into_iter().filter(|call| call.state == State::Frozen);
        frozen.extend(calls.map(|CallState { call, processes, frozen_for, .. }| Frozen {
            run: run.clone(),
            call,
            by_person,
            processes,
            frozen_for,
        }));
    }
    if json {
        outln!("{}", serde_json::to_string_pretty(&frozen).or_exit(Exit::Software)?);
        return Ok(());
    }
    if frozen.is_empty() {
        outln!("no call stands still");
        return Ok(());
    }
    let rows = frozen.iter().map(|it| {
        let why = match (&it.frozen_for, it.by_person) {
            (Some(cause), false) => cause.words(),
            (Some(cause), true) => format!("a person froze the run; {}", cause.words()),
            (None, true) => "a person froze the run".to_owned(),
            (None, false) => "no effect with this verdict is journaled".to_owned(),
        };
        let time = it.frozen_for.as_ref().map_or_else(String::new, |cause| short(&cause.time));
        vec![it.run.clone(), it.call.to_string(), time, why]
    });
    out!("{}", table::text(&["RUN", "CALL", "SINCE", "WHY"], rows.collect()));
    Ok(())
}

/// A time to the second.
pub(super) fn short(time: &str) -> String {
    let time = visible(time);
    match time.split_once('.') {
        Some((second, _)) => format!("{second}Z"),
        None => time.into_owned(),
    }
}

fn find(name: &str) -> Result<LiveRun, Failure> {
    let mut live = belljar()?.live_runs().or_exit(Exit::Os)?;
    if let Some(at) = live.iter().position(|run| run.name() == name) {
        return Ok(live.swap_remove(at));
    }
    let shown = visible(name);
    let message = if live.is_empty() {
        format!("there is no live run {shown}: no run is live on this host")
    } else {
        let help = policy::did_you_mean(name, live.iter().map(LiveRun::name));
        format!("there is no live run {shown}: {help}")
    };
    Err(Failure::new(Exit::Usage, anyhow!(message)))
}

fn leaf(run: &LiveRun, call: u64) -> Result<Leaf, Failure> {
    let leaves = run.leaves().or_exit(Exit::Os)?;
    leaves.into_iter().find(|leaf| leaf.owner == LeafOwner::Call(call)).ok_or_else(|| {
        let name = run.name();
        let message = format!("run {name} has no call {call}: see `belljar runs show {name}`");
        Failure::new(Exit::Usage, anyhow!(message))
    })
}
