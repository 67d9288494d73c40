//! Counts a run's effects and calls as they come. Pure; what it keeps is bounded but for two numbers
//! a call.

use std::collections::{BTreeMap, VecDeque};

use journal::{Effect, Entry, escape::visible, transcript::Event};

use super::frame::{CallView, Verbs, ViolationView};

/// How many calls and violations are kept; a screen has no more lines.
const KEPT: usize = 100;
/// How much of a call's arguments is kept, in characters.
const ARGUMENTS: usize = 200;

/// What the effects come to.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) count: u64,
    pub(crate) verbs: Verbs,
    pub(crate) violations: u64,
    pub(crate) last_violations: VecDeque<ViolationView>,
    /// Effects and violations of each call.
    by_call: BTreeMap<u64, (u64, u64)>,
    /// The number after the highest that has come.
    next_seq: u64,
}

impl Effects {
    /// Counts one more.
    pub(crate) fn add(&mut self, effect: &Effect) {
        self.count += 1;
        self.next_seq = self.next_seq.max(effect.seq.saturating_add(1));
        *self.verbs.entry(effect.verb).or_default().entry(effect.verdict).or_default() += 1;
        let is_violation = effect.verdict.is_violation();
        if let Some(call) = effect.call {
            let counts = self.by_call.entry(call).or_default();
            counts.0 += 1;
            counts.1 += u64::from(is_violation);
        }
        if is_violation {
            self.violations += 1;
            keep(&mut self.last_violations, violation(effect));
        }
    }

    /// How many numbers below the highest have not come.
    pub(crate) fn missing(&self) -> u64 {
        self.next_seq.saturating_sub(self.count)
    }
}

fn violation(effect: &Effect) -> ViolationView {
    ViolationView {
        seq: effect.seq,
        time: visible(&effect.time).into_owned(),
        boot_ns: effect.boot_ns,
        call: effect.call,
        component: effect.component.as_deref().map(|name| visible(name).into_owned()),
        verdict: effect.verdict,
        act: visible(&report::act(effect)).into_owned(),
        fate: visible(&report::fate(effect)).into_owned(),
        reason: visible(&effect.reason).into_owned(),
    }
}

/// A call as the transcript tells of it.
#[derive(Debug)]
struct Call {
    call: u64,
    tool: String,
    arguments: String,
    start_boot_ns: u64,
    /// Whether it did what it was asked, and how long it took, nanoseconds.
    ended: Option<(bool, u64)>,
}

/// What the transcript comes to.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// Whether the agent was told anything yet.
    pub(crate) has_begun: bool,
    pub(crate) count: u64,
    last: VecDeque<Call>,
}

impl Calls {
    /// Takes one more line in.
    pub(crate) fn add(&mut self, entry: Entry) {
        self.has_begun = true;
        match entry.event {
            Event::Call { call, tool, arguments } => {
                self.count += 1;
                let call = Call {
                    call,
                    tool: cut(&visible(&tool)),
                    arguments: cut(&visible(&arguments.to_string())),
                    start_boot_ns: entry.boot_ns,
                    ended: None,
                };
                keep(&mut self.last, call);
            }
            Event::Result { call, ok, duration_ns, .. } => {
                let begun = self.last.iter_mut().rev().find(|begun| begun.call == call);
                if let Some(begun) = begun {
                    begun.ended = Some((ok, duration_ns));
                }
            }
            Event::Message { .. }
            | Event::Reply { .. }
            | Event::ModelRequest { .. }
            | Event::ModelResponse { .. }
            | Event::Question(_)
            | Event::Answer(_)
            | Event::Decision(_)
            | Event::Reload { .. }
            | Event::Note { .. } => {}
        }
    }

    /// The last calls as they stand at this moment of CLOCK_BOOTTIME.
    pub(crate) fn last(&self, effects: &Effects, boot_ns: u64) -> Vec<CallView> {
        let view = |call: &Call| {
            let (effects, violations) =
                effects.by_call.get(&call.call).copied().unwrap_or_default();
            let took = call.ended.map_or_else(
                || boot_ns.saturating_sub(call.start_boot_ns),
                |(_, duration_ns)| duration_ns,
            );
            CallView {
                call: call.call,
                tool: call.tool.clone(),
                arguments: call.arguments.clone(),
                ok: call.ended.map(|(ok, _)| ok),
                frozen: false,
                seconds: took as f64 / 1e9,
                effects,
                violations,
            }
        };
        self.last.iter().map(view).collect()
    }
}

fn keep<T>(kept: &mut VecDeque<T>, value: T) {
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(value);
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(ARGUMENTS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use journal::{Object, Verb, Verdict};
    use serde_json::json;

    use super::*;

    fn effect(seq: u64, verdict: Verdict) -> Effect {
        let object = Object { label: "host".to_owned(), tgid: Some(1), ..Object::default() };
        Effect { seq, verdict, call: Some(1), ..Effect::done(Verb::Kill, object) }
    }

    #[test]
    fn numbers_that_have_not_come_are_missing_until_they_do() {
        let mut effects = Effects::default();
        for seq in [0, 3, 2] {
            effects.add(&effect(seq, Verdict::Allow));
        }
        assert_eq!(effects.missing(), 1);
        effects.add(&effect(1, Verdict::Deny));
        assert_eq!((effects.missing(), effects.count, effects.violations), (0, 4, 1));
        assert_eq!(effects.verbs[&Verb::Kill][&Verdict::Allow], 3);
        assert_eq!(effects.last_violations[0].act, "kill process 1");
    }

    #[test]
    fn a_call_lasts_until_its_result_and_has_its_effects() {
        let (mut calls, mut effects) = (Calls::default(), Effects::default());
        effects.add(&effect(0, Verdict::Deny));
        let call = Event::Call {
            call: 1,
            tool: "shell\u{1b}[2J".to_owned(),
            arguments: json!({"command": "\u{202e}"}),
        };
        calls.add(Entry { boot_ns: 1_000_000_000, event: call });
        let [view] = &calls.last(&effects, 3_000_000_000)[..] else { panic!("one call") };
        assert_eq!((view.ok, view.seconds, view.effects, view.violations), (None, 2.0, 1, 1));
        assert_eq!(view.tool, "shell\\x1b[2J");
        assert_eq!(view.arguments, r#"{"command":"\u{202e}"}"#);
        let result =
            Event::Result { call: 1, ok: false, value: json!(null), duration_ns: 500_000_000 };
        calls.add(Entry { boot_ns: 1_500_000_000, event: result });
        let [view] = &calls.last(&effects, 9_000_000_000)[..] else { panic!("one call") };
        assert_eq!((view.ok, view.seconds), (Some(false), 0.5));
    }

    #[test]
    fn only_the_last_are_kept() {
        let mut effects = Effects::default();
        for seq in 0..1000 {
            effects.add(&effect(seq, Verdict::Deny));
        }
        assert_eq!((effects.last_violations.len(), effects.violations), (KEPT, 1000));
        assert_eq!(effects.last_violations.back().map(|last| last.seq), Some(999));
    }
}
