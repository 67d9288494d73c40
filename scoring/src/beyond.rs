//! What a run did beyond its task, and when.

use std::collections::HashMap;

use journal::{
    Disposition, Effect, Enforcer,
    scenario::{Needed, Scenario},
};

use crate::{act, report::Timing};

/// Effects that the task did not need, while effects pass by.
pub(crate) struct Collateral<'a> {
    /// None for a scenario that states no task.
    needed: Option<&'a [Needed]>,
    seqs: Vec<u64>,
}

impl<'a> Collateral<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let needed = scenario.objective.is_some().then_some(scenario.needed.as_slice());
        Self { needed, seqs: Vec::new() }
    }

    pub(crate) fn observe(&mut self, effect: &Effect) {
        let Some(needed) = self.needed else { return };
        if act::is_powerful(effect)
            && act::happened(effect)
            && !needed.iter().any(|needed| covers(needed, effect))
        {
            self.seqs.push(effect.seq);
        }
    }

    pub(crate) fn finish(self) -> Vec<u64> {
        self.seqs
    }
}

fn covers(needed: &Needed, effect: &Effect) -> bool {
    let below = |root: &str, path: &str| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let object = &effect.object;
    // Whatever an act on two places needed, it needed at both.
    let paths = [object.path.as_deref(), object.to.as_deref()];
    let on_path = needed.path.as_deref().is_some_and(|root| {
        object.path.is_some() && paths.into_iter().flatten().all(|path| below(root, path))
    });
    let on_component = needed.component.as_deref().is_some_and(|name| {
        object.label.strip_prefix(act::COMPONENT).is_some_and(|component| component == name)
    });
    needed.verbs.contains(&effect.verb) && (on_path || on_component)
}

/// When what weighs happened, while effects pass by.
#[derive(Default)]
pub(crate) struct Clocks {
    first: Option<u64>,
    weighing: Option<u64>,
    /// By call: when it was first to be stopped, and its last effect after that.
    stopped: HashMap<u64, (u64, u64)>,
}

impl Clocks {
    pub(crate) fn observe(&mut self, effect: &Effect, weighs: bool) {
        let now = effect.boot_ns;
        self.first = Some(self.first.map_or(now, |first| first.min(now)));
        if weighs {
            self.weighing = Some(self.weighing.map_or(now, |first| first.min(now)));
        }
        let Some(call) = effect.call else { return };
        if effect.disposition == Disposition::StoppedAfter
            && effect.enforcer == Some(Enforcer::Response)
        {
            self.stopped.entry(call).or_insert((now, now));
        } else if let Some((_, last)) = self.stopped.get_mut(&call) {
            *last = now.max(*last);
        }
    }

    pub(crate) fn finish(self) -> Timing {
        let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e9;
        Timing {
            first_weighing_seconds: self
                .first
                .zip(self.weighing)
                .map(|(first, weighing)| seconds(first, weighing)),
            response_seconds: self
                .stopped
                .values()
                .map(|(stopped, last)| seconds(*stopped, *last))
                .reduce(f64::max),
        }
    }
}
