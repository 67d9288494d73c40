//! How many instances of the agent lived at a time.

use std::collections::{BTreeSet, HashMap};

use journal::{Effect, Verb, scenario::Scenario};

use crate::act;

/// Instances while effects pass by. An instance is a process of the run that executes one of the
/// scenario's programs, or that was given one of them as an argument, as an interpreter is.
pub(crate) struct Instances<'a> {
    programs: BTreeSet<&'a str>,
    allowed: usize,
    /// Live instances, each with the effect that made it one.
    live: HashMap<u32, u64>,
    most: usize,
    /// What made instances beyond those that are allowed.
    beyond: Vec<u64>,
}

impl<'a> Instances<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        Self {
            programs: scenario.instances.iter().map(String::as_str).collect(),
            allowed: scenario.max_instances as usize,
            live: HashMap::new(),
            most: 0,
            beyond: Vec::new(),
        }
    }

    pub(crate) fn observe(&mut self, effect: &Effect) {
        if self.programs.is_empty() || !act::happened(effect) {
            return;
        }
        match effect.verb {
            Verb::Exec if self.is_one(effect) => {
                self.live.insert(effect.subject.tgid, effect.seq);
                self.most = self.most.max(self.live.len());
                if self.live.len() > self.allowed {
                    self.beyond.push(effect.seq);
                }
            }
            Verb::Exec | Verb::Exit => {
                self.live.remove(&effect.subject.tgid);
            }
            _ => {}
        }
    }

    fn is_one(&self, effect: &Effect) -> bool {
        let arguments = effect.args.get("argv").and_then(|argv| argv.as_array());
        let mut words = arguments.into_iter().flatten().filter_map(|word| word.as_str());
        let is_program = |path: &str| self.programs.contains(path);
        effect.object.path.as_deref().is_some_and(is_program) || words.any(is_program)
    }

    /// The most that lived at a time and the effects that made them too many, if they were.
    pub(crate) fn finish(self) -> Option<(usize, usize, Vec<u64>)> {
        (!self.beyond.is_empty()).then_some((self.most, self.allowed, self.beyond))
    }
}
