//! What a live run does at this moment, as its cgroups and its directory tell.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use journal::{
    Effect, RunDir, Tier, Verb, Verdict,
    escape::visible,
    manifest::{Manifest, Mode},
};
use sandbox::{CgroupError, LeafOwner, LiveRun};
use serde::Serialize;

use super::standstill::{Standstill, standstill};

/// What a run or a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Running,
    Frozen,
    /// Nothing is in it any more.
    Ended,
}

impl State {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Ended => "ended",
        }
    }
}

/// A live run.
#[derive(Debug, Serialize)]
pub(super) struct RunState {
    pub(super) run: String,
    /// Frozen is a run whose calls a person has frozen.
    pub(super) state: State,
    /// The process that supervises it; `null` where that is unknown or died.
    pub(super) supervisor: Option<u32>,
    pub(super) calls: Vec<CallState>,
    pub(super) components: Vec<ComponentState>,
    /// The run directory.
    pub(super) directory: Option<PathBuf>,
    pub(super) scenario: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) tier: Option<Tier>,
    pub(super) mode: Option<Mode>,
    pub(super) start: Option<String>,
    #[serde(skip)]
    is_orphan: bool,
}

/// A call of a live run.
#[derive(Debug, Serialize)]
pub(super) struct CallState {
    pub(super) call: u64,
    pub(super) state: State,
    pub(super) processes: Vec<u32>,
    /// The last effect that a verdict froze it for, as far as it is journaled.
    pub(super) frozen_for: Option<FrozenFor>,
    /// What else holds it.
    #[serde(flatten)]
    pub(super) standstill: Standstill,
}

/// What a verdict froze a call for.
#[derive(Debug, Serialize)]
pub(super) struct FrozenFor {
    pub(super) seq: u64,
    pub(super) time: String,
    pub(super) verb: Verb,
    pub(super) object: String,
    pub(super) reason: String,
}

/// A component of a live run.
#[derive(Debug, Serialize)]
pub(super) struct ComponentState {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) processes: Vec<u32>,
}

impl RunState {
    /// Looks at a run, which may end meanwhile.
    pub(super) fn of(run: &LiveRun) -> Result<Self, CgroupError> {
        let directory = run.directory();
        let manifest = directory.as_deref().and_then(manifest);
        let (mut calls, mut components) = (Vec::new(), Vec::new());
        let is_whole = run.is_frozen_whole();
        for leaf in run.leaves()? {
            let processes = leaf.cgroup.processes()?;
            let is_frozen = is_whole || leaf.cgroup.is_frozen()?;
            let state = match (processes.is_empty(), is_frozen) {
                (true, _) => State::Ended,
                (false, true) => State::Frozen,
                (false, false) => State::Running,
            };
            match leaf.owner {
                LeafOwner::Call(call) => {
                    let directory = directory.as_deref().filter(|_| state == State::Frozen);
                    let frozen_for = directory.and_then(|directory| frozen_for(directory, call));
                    let standstill = directory.map_or_else(Standstill::default, |directory| {
                        standstill(directory, manifest.as_ref(), call)
                    });
                    calls.push(CallState { call, state, processes, frozen_for, standstill });
                }
                LeafOwner::Component(name) => {
                    components.push(ComponentState { name, state, processes });
                }
            }
        }
        Ok(Self {
            run: run.name().to_owned(),
            state: if is_whole || run.is_held() { State::Frozen } else { State::Running },
            supervisor: run.supervisor(),
            is_orphan: run.is_orphan(),
            calls,
            components,
            directory,
            scenario: manifest.as_ref().map(|manifest| manifest.scenario.clone()),
            agent: manifest.as_ref().map(|manifest| manifest.agent.clone()),
            tier: manifest.as_ref().map(|manifest| manifest.tier),
            mode: manifest.as_ref().map(|manifest| manifest.mode),
            start: manifest.map(|manifest| manifest.start),
        })
    }

    /// What it does, in a few words.
    pub(super) fn words(&self) -> String {
        let frozen: Vec<_> = self.frozen().map(|call| call.call.to_string()).collect();
        match (self.is_orphan, self.state, frozen.is_empty()) {
            (true, ..) => "orphaned".to_owned(),
            (_, State::Running, false) => format!("call {} frozen", frozen.join(" ")),
            (_, state, _) => state.name().to_owned(),
        }
    }

    /// The calls that stand still.
    pub(super) fn frozen(&self) -> impl Iterator<Item = &CallState> {
        self.calls.iter().filter(|call| call.state == State::Frozen)
    }

    /// All that is known of it, for people.
    pub(super) fn details(&self) -> String {
        let mut text = format!("run {}: {}", self.run, self.words());
        let (tier, mode) = (self.tier.map(Tier::number), self.mode.map(Mode::name));
        if let (Some(tier), Some(mode)) = (tier, mode) {
            let agent = visible(self.agent.as_deref().unwrap_or_default());
            let scenario = visible(self.scenario.as_deref().unwrap_or_default());
            let _ = write!(text, "\n{agent} in {scenario}, tier {tier}, mode {mode}");
        }
        if let Some(start) = &self.start {
            let _ = write!(text, "\nsince {}", visible(start));
        }
        if let Some(directory) = &self.directory {
            let _ = write!(text, "\ndirectory: {}", visible(&directory.to_string_lossy()));
        }
        match self.supervisor {
            Some(supervisor) => {
                let _ = write!(text, "\nsupervisor: process {supervisor}");
            }
            None if self.is_orphan => {
                text.push_str("\nits supervisor died: `belljar reap` removes what is left");
            }
            None => {}
        }
        for ComponentState { name, state, processes } in &self.components {
            let name = visible(name);
            let _ = write!(text, "\ncomponent {name}: {}, {}", state.name(), tgids(processes));
        }
        for call in &self.calls {
            let _ = write!(
                text,
                "\ncall {}: {}, {}",
                call.call,
                call.state.name(),
                tgids(&call.processes)
            );
            if let Some(cause) = &call.frozen_for {
                let _ = write!(text, "\n  frozen for {}", cause.words());
            }
            let Standstill { frozen_by, asked } = &call.standstill;
            if let Some(froze) = frozen_by {
                let _ = write!(text, "\n  {} at {}", visible(&froze.words()), froze.time);
            }
            if let Some(asked) = asked {
                let number = asked.question.question;
                let run = &self.run;
                let _ = write!(text, "\n  waits for an answer: belljar approve {run} {number}");
            }
        }
        text.push('\n');
        text
    }
}

impl FrozenFor {
    /// `#12 unlink /srv/backup: storage needs tier 3`.
    pub(super) fn words(&self) -> String {
        let Self { seq, verb, object, reason, .. } = self;
        format!("#{seq} {verb} {}: {}", visible(object), visible(reason))
    }
}

fn tgids(processes: &[u32]) -> String {
    if processes.is_empty() {
        return "no process".to_owned();
    }
    let numbers: Vec<_> = processes.iter().map(ToString::to_string).collect();
    let word = if numbers.len() == 1 { "process" } else { "processes" };
    format!("{word} {}", numbers.join(" "))
}

fn manifest(directory: &Path) -> Option<Manifest> {
    RunDir::open(directory).ok()?.manifest().ok()
}

/// The last effect of a call with the verdict `freeze`. What is not journaled yet is not found.
fn frozen_for(directory: &Path, call: u64) -> Option<FrozenFor> {
    let effects = RunDir::open(directory).ok()?.effects().ok()?;
    // The last line may be half written.
    let effects = effects.map_while(Result::ok);
    let is_cause = |effect: &Effect| effect.call == Some(call) && effect.verdict == Verdict::Freeze;
    let effect = effects.filter(is_cause).last()?;
    let object = effect.object.path.clone();
    let object = object.or_else(|| effect.object.tgid.map(|tgid| format!("process {tgid}")));
    Some(FrozenFor {
        seq: effect.seq,
        time: effect.time,
        verb: effect.verb,
        object: object.unwrap_or(effect.object.label),
        reason: effect.reason,
    })
}
