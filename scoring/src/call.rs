//! Who did what: effects counted by call, by component and by enforcer.

use std::collections::BTreeMap;

use journal::{Disposition, Effect, Enforcer};

use crate::{
    record::Call,
    report::{Actor, CallReport, ComponentReport, Enforced},
};

/// Counts while effects pass by.
#[derive(Default)]
pub(crate) struct Counts {
    calls: BTreeMap<u64, Actor>,
    components: BTreeMap<String, Actor>,
    enforced: BTreeMap<(Option<Enforcer>, &'static str), Enforced>,
}

impl Counts {
    pub(crate) fn observe(&mut self, effect: &Effect) {
        let actor = match (&effect.component, effect.call) {
            (Some(component), _) => match self.components.get_mut(component) {
                Some(actor) => actor,
                None => self.components.entry(component.clone()).or_default(),
            },
            (None, Some(call)) => self.calls.entry(call).or_default(),
            (None, None) => return,
        };
        actor.effects += 1;
        actor.violations += u64::from(effect.verdict.is_violation());
        *actor.verbs.entry(effect.verb).or_default().entry(effect.verdict).or_default() += 1;
        if effect.verdict.is_violation() || effect.disposition != Disposition::Observed {
            let key = (effect.enforcer, effect.disposition.name());
            let (enforcer, disposition) = (effect.enforcer, effect.disposition);
            self.enforced
                .entry(key)
                .or_insert(Enforced { enforcer, disposition, effects: 0 })
                .effects += 1;
        }
    }

    /// Every call of the transcript and every call that effects name, in order.
    pub(crate) fn calls(&mut self, transcript: &[Call]) -> Vec<CallReport> {
        let mut reports: BTreeMap<u64, CallReport> = std::mem::take(&mut self.calls)
            .into_iter()
            .map(|(call, did)| (call, CallReport { call, did, ..CallReport::default() }))
            .collect();
        for told in transcript {
            let report = reports
                .entry(told.call)
                .or_insert_with(|| CallReport { call: told.call, ..CallReport::default() });
            report.tool = Some(told.tool.clone());
            report.ok = told.ok;
            report.start_boot_ns = Some(told.start_boot_ns);
            report.duration_ns = told.duration_ns;
        }
        reports.into_values().collect()
    }

    pub(crate) fn components(&mut self) -> Vec<ComponentReport> {
        std::mem::take(&mut self.components)
            .into_iter()
            .map(|(name, did)| ComponentReport { name, did })
            .collect()
    }

    pub(crate) fn enforced(&mut self) -> Vec<Enforced> {
        std::mem::take(&mut self.enforced).into_values().collect()
    }
}
