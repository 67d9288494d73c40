//! What a person decides about a live run: freeze, resume, kill.

use anyhow::anyhow;
use journal::{escape::visible, question::Decided};
use sandbox::{Cgroup, LiveRun};
use serde::Serialize;

use super::{
    belljar,
    live::{CallState, FrozenFor, RunState, State},
    standstill::Standstill,
    table,
};
use crate::{
    cli::TargetArgs,
    desk::{Request, client, words},
    exit::{Exit, Failure, OrExit as _},
    run::PATIENCE,
    stdout::{out, outln},
};

pub(super) fn freeze(target: &TargetArgs, components: bool) -> Result<(), Failure> {
    let run = find(&target.run)?;
    let name = run.name();
    let leaf = target.call.map(|call| leaf(&run, call)).transpose()?;
    // It stands still also where nobody is there to keep that in mind.
    let noted = note(&run, Decided::Freeze, target.call, components);
    if let (Some(call), Some(leaf)) = (target.call, leaf) {
        leaf.freeze(PATIENCE).or_exit(Exit::Os)?;
        noted?;
        outln!("call {call} of run {name} is frozen");
    } else {
        run.freeze(components, PATIENCE).or_exit(Exit::Os)?;
        noted?;
        let whole = if components { ", its components as well" } else { "" };
        outln!("run {name} is frozen{whole}; belljar runs resume|kill {name}");
    }
    Ok(())
}

/// Has the run's supervisor put on record what is about to be done.
fn note(
    run: &LiveRun,
    decision: Decided,
    call: Option<u64>,
    components: bool,
) -> Result<(), Failure> {
    let request = Request::Decided { decision, call, components, who: client::who() };
    client::have_done(run, &request).map(drop)
}

pub(super) fn resume(target: &TargetArgs) -> Result<(), Failure> {
    let run = find(&target.run)?;
    let name = run.name();
    let Some(call) = target.call else {
        // Whoever goes on is to be looked after.
        note(&run, Decided::Resume, None, false)?;
        run.resume().or_exit(Exit::Os)?;
        outln!("run {name} goes on");
        return Ok(());
    };
    if run.is_frozen_whole() {
        let message = format!("the run is frozen as a whole: belljar runs resume {name}");
        return Err(Failure::new(Exit::Usage, anyhow!(message)));
    }
    let leaf = leaf(&run, call)?;
    note(&run, Decided::Resume, Some(call), false)?;
    leaf.thaw().or_exit(Exit::Os)?;
    outln!("call {call} of run {name} goes on");
    if run.is_held() {
        eprintln!("no other call begins: belljar runs resume {name}");
    }
    Ok(())
}

pub(super) fn kill(target: &TargetArgs) -> Result<(), Failure> {
    let run = find(&target.run)?;
    let name = run.name();
    let leaf = target.call.map(|call| leaf(&run, call)).transpose()?;
    // What is to be gone goes, whoever is left to note it.
    if let Err(failure) = note(&run, Decided::Kill, target.call, false) {
        eprintln!("{}", visible(&failure.message()));
    }
    if let (Some(call), Some(leaf)) = (target.call, leaf) {
        leaf.kill_and_wait(PATIENCE).or_exit(Exit::Os)?;
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
    /// Whether a person has frozen the run, or the call.
    by_person: bool,
    processes: Vec<u32>,
    frozen_for: Option<FrozenFor>,
    #[serde(flatten)]
    standstill: Standstill,
}

impl Frozen {
    /// Since when, where that is known, and why.
    fn why(&self) -> (Option<&str>, String) {
        let cause = self.frozen_for.as_ref();
        let Standstill { frozen_by, asked } = &self.standstill;
        match (frozen_by, asked) {
            (Some(froze), _) => {
                let more = cause.map_or_else(String::new, |cause| format!("; {}", cause.words()));
                (Some(&froze.time), format!("{}{more}", froze.words()))
            }
            (None, Some(asked)) => {
                let number = asked.question.question;
                let what = words(&asked.question);
                let how = format!("belljar approve {} {number}", self.run);
                (Some(&asked.time), format!("{what} waits for an answer: {how}"))
            }
            (None, None) => {
                let time = cause.map(|cause| cause.time.as_str());
                match (cause, self.by_person) {
                    (Some(cause), false) => (time, cause.words()),
                    (Some(cause), true) => {
                        (time, format!("a person froze the run; {}", cause.words()))
                    }
                    (None, true) => (time, "a person froze the run".to_owned()),
                    (None, false) => (time, "no effect with this verdict is journaled".to_owned()),
                }
            }
        }
    }
}

pub(super) fn frozen(json: bool) -> Result<(), Failure> {
    let live = belljar()?.live_runs().or_exit(Exit::Os)?;
    let mut frozen = Vec::new();
    for state in live.iter().filter_map(|run| RunState::of(run).ok()) {
        let is_frozen = state.state == State::Frozen;
        let RunState { run, calls, .. } = state;
        let calls = calls.into_iter().filter(|call| call.state == State::Frozen);
        frozen.extend(calls.map(
            |CallState { call, processes, frozen_for, standstill, .. }| {
                let by_person = is_frozen || standstill.frozen_by.is_some();
                Frozen { run: run.clone(), call, by_person, processes, frozen_for, standstill }
            },
        ));
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
        let (since, why) = it.why();
        vec![it.run.clone(), it.call.to_string(), since.map_or_else(String::new, short), why]
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

pub(in crate::commands) fn find(name: &str) -> Result<LiveRun, Failure> {
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

fn leaf(run: &LiveRun, call: u64) -> Result<Cgroup, Failure> {
    run.call(call).or_exit(Exit::Os)?.ok_or_else(|| {
        let name = run.name();
        let message = format!("run {name} has no call {call}: see `belljar runs show {name}`");
        Failure::new(Exit::Usage, anyhow!(message))
    })
}
