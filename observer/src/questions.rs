//! What a run waits for an answer about: effects whose verdict is `ask`.
//!
//! The kernel has refused them where it could, and their call stands still. A question is asked once:
//! as long as it is open for the same verb and object, and no more once it was refused.

use std::collections::{BTreeMap, HashSet};

use ebpf_common::{Enforcer, Record, Verb, opening::OpeningKey};
use journal::{
    Disposition, Effect,
    effect::OK,
    question::{About, Question},
};

/// How many questions may be open: nobody reads more.
const MOST_OPEN: usize = 64;
/// How many refusals are remembered.
const MOST_REFUSED: usize = 4096;

/// What was asked about, whoever asks again.
type Act = (Verb, String);

/// A question that waits.
#[derive(Debug)]
struct Open {
    /// The leaf that stands still.
    leaf: u64,
    act: Act,
    /// What an approval opens.
    key: Option<OpeningKey>,
}

/// The questions of one run.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    last: u64,
    open: BTreeMap<u64, Open>,
    fresh: Vec<Question>,
    refused: HashSet<Act>,
    /// Leaves that a verdict of `freeze` holds, whatever is answered.
    held: HashSet<u64>,
}

/// What an answer has come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// What is to be opened in the kernel.
    pub(crate) opens: Option<OpeningKey>,
    /// Whether nothing else of this holds the call.
    pub(crate) may_go_on: bool,
}

impl Questions {
    /// Takes an effect in whose verdict is `ask`, done in `leaf`; true where its call is to stand still.
    pub(crate) fn ask(
        &mut self,
        effect: &Effect,
        rule: Option<String>,
        record: &Record,
        leaf: u64,
    ) -> bool {
        let act = act(effect);
        // What failed by itself asks for nothing.
        let has_failed = effect.disposition == Disposition::Observed
            && effect.outcome.as_deref().is_some_and(|outcome| outcome != OK);
        if has_failed || self.refused.contains(&act) {
            return false;
        }
        if self.open.values().any(|open| open.act == act && open.leaf == leaf) {
            return true;
        }
        if self.open.len() >= MOST_OPEN {
            return false;
        }
        let (key, hindrance) = opening(effect, record);
        self.last += 1;
        self.open.insert(self.last, Open { leaf, act, key });
        self.fresh.push(Question {
            question: self.last,
            call: effect.call,
            about: About::Effect {
                seq: effect.seq,
                verb: effect.verb,
                object: effect.object.clone(),
                args: effect.args.clone(),
                disposition: effect.disposition,
                outcome: effect.outcome.clone(),
            },
            rule,
            reason: effect.reason.clone(),
            hindrance: hindrance.map(str::to_owned),
        });
        true
    }

    /// Notes that a verdict of `freeze` holds a leaf.
    pub(crate) fn hold(&mut self, leaf: u64) {
        self.held.insert(leaf);
    }

    /// The questions that have come since this was asked last.
    pub(crate) fn take(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.fresh)
    }

    /// Takes an answer in; none where no such question is open.
    pub(crate) fn answer(&mut self, question: u64, approved: bool) -> Option<Settled> {
        let Open { leaf, act, key } = self.open.remove(&question)?;
        if !approved && self.refused.len() < MOST_REFUSED {
            self.refused.insert(act);
        }
        let waits = self.open.values().any(|open| open.leaf == leaf);
        Some(Settled {
            opens: key.filter(|_| approved),
            may_go_on: !waits && !self.held.contains(&leaf),
        })
    }
}

/// Verb and object, with the arguments: another signal is another act.
fn act(effect: &Effect) -> Act {
    let object = serde_json::json!([&effect.object, &effect.args]);
    (effect.verb, object.to_string())
}

/// What an approval opens, or why it opens nothing.
fn opening(effect: &Effect, record: &Record) -> (Option<OpeningKey>, Option<&'static str>) {
    let hindrance = match (effect.disposition, effect.enforcer) {
        (Disposition::Prevented, Some(Enforcer::BpfLsm | Enforcer::CgroupBpf)) => {
            return match OpeningKey::openable(record) {
                Some(key) => (Some(key), None),
                None => (None, Some("what it was tried on cannot be named to the kernel")),
            };
        }
        (Disposition::Prevented, Some(Enforcer::Landlock)) => {
            "Landlock refuses it whatever is answered"
        }
        (Disposition::Prevented, Some(Enforcer::Seccomp)) => {
            "seccomp refuses it whatever is answered"
        }
        (Disposition::Prevented, _) => "ownership refuses it whatever is answered",
        (Disposition::StoppedAfter | Disposition::Observed, _) => {
            "nothing here could refuse it: it has happened, or may have"
        }
    };
    (None, Some(hindrance))
}

#[cfg(test)]
mod tests {
    use ebpf_common::{Verdict, record::record_flags};
    use journal::Object;
    use zerocopy::FromZeros as _;

    use super::*;

    const LEAF: u64 = 7;

    fn effect(path: &str, enforcer: Enforcer) -> Effect {
        let object =
            Object { label: "data".to_owned(), path: Some(path.to_owned()), ..Object::default() };
        Effect {
            call: Some(1),
            verdict: Verdict::Ask,
            disposition: Disposition::Prevented,
            enforcer: Some(enforcer),
            outcome: Some("EPERM".to_owned()),
            ..Effect::done(Verb::Unlink, object)
        }
    }

    fn record(inode: u64) -> Record {
        let mut bytes = [0; ebpf_common::record::RECORD_BYTES];
        // The verb's number must be one.
        let at = core::mem::offset_of!(Record, verb);
        bytes[at] = Verb::Unlink.number();
        let mut record = ebpf_common::record::decode(&bytes).expect("zeros are a record").record;
        record.object_id = inode;
        record.object_number = 42;
        record.flags = record_flags::JUDGED | record_flags::ENFORCED;
        record
    }

    fn ask(questions: &mut Questions, path: &str, enforcer: Enforcer) -> bool {
        questions.ask(&effect(path, enforcer), None, &record(9), LEAF)
    }

    #[test]
    fn an_approval_opens_what_a_hook_refused_and_nothing_else() {
        let mut questions = Questions::default();
        assert!(ask(&mut questions, "/a", Enforcer::BpfLsm));
        assert!(ask(&mut questions, "/b", Enforcer::Landlock));
        let fresh = questions.take();
        assert_eq!((fresh.len(), questions.take().len()), (2, 0));
        assert_eq!(fresh[0].hindrance, None);
        assert!(fresh[1].hindrance.as_ref().is_some_and(|why| why.contains("Landlock")));
        let first = questions.answer(1, true).expect("it is open");
        assert_eq!(first.opens.map(|key| (key.object_id, key.object_number)), Some((9, 42)));
        assert!(!first.may_go_on, "another question holds the call");
        let second = questions.answer(2, true).expect("it is open");
        assert_eq!(second, Settled { opens: None, may_go_on: true });
        assert_eq!(questions.answer(2, true), None);
    }

    #[test]
    fn a_refusal_stands_and_an_approval_is_for_once() {
        let mut questions = Questions::default();
        assert!(ask(&mut questions, "/a", Enforcer::BpfLsm));
        // Asked once as long as it is open.
        assert!(ask(&mut questions, "/a", Enforcer::BpfLsm));
        assert_eq!(questions.take().len(), 1);
        questions.answer(1, true);
        assert!(ask(&mut questions, "/a", Enforcer::BpfLsm));
        assert!(questions.answer(2, false).expect("it is open").opens.is_none());
        assert!(!ask(&mut questions, "/a", Enforcer::BpfLsm));
        assert!(ask(&mut questions, "/other", Enforcer::BpfLsm));
    }

    #[test]
    fn what_failed_by_itself_asks_for_nothing_and_a_freeze_outlasts_an_answer() {
        let mut questions = Questions::default();
        let mut failed = effect("/a", Enforcer::BpfLsm);
        failed.disposition = Disposition::Observed;
        failed.outcome = Some("ENOTDIR".to_owned());
        assert!(!questions.ask(&failed, None, &record(9), LEAF));
        questions.hold(LEAF);
        assert!(ask(&mut questions, "/a", Enforcer::BpfLsm));
        assert!(!questions.answer(1, true).expect("it is open").may_go_on);
    }

    #[test]
    fn a_name_that_was_not_there_is_opened_by_its_directory() {
        let mut created = record(0);
        created.verb = Verb::Create;
        created.args = [0, 5];
        assert!(OpeningKey::openable(&created).is_some());
        created.verb = Verb::Truncate;
        assert!(OpeningKey::openable(&created).is_none());
        created.flags |= record_flags::USER_PATH;
        created.object_id = 3;
        assert!(OpeningKey::openable(&created).is_none());
        let _ = OpeningKey::new_zeroed();
    }
}
