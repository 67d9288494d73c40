//! Tier layer: verb × label × tier under the real enforcers of this kernel.
//!
//! One run for each tier does every act of the matrix. What must come of each follows from the one
//! table of required tiers; what must have stopped it, from `belljar policy explain` on this host.
//! Directories here may be written to by everybody, so that it is not ownership that denies.

mod cases;

use std::{collections::HashMap, ffi::OsString, fs, path::PathBuf};

use ebpf_common::{Label, Tier, Verb, Verdict, verb::required_tier};
use journal::{Disposition, Effect, Enforcer, Source, manifest::ProbeSet};
use policy::seccomp;
use serde_json::Value;
use tests::{
    bystander::Bystander,
    cgroup::Cgroup,
    expect::path_text,
    in_machine,
    record::{Act, Record},
    run::{Ended, Invocation},
    traces,
    whole::until_whole,
    world::{World, words},
};

use crate::cases::{
    FILES, Servers, address_cases, cgroup_cases, change_cases, exec_cases, file_cases, power_cases,
    process_cases, unix_cases,
};

/// What `belljar policy explain` says of a verb on a label.
#[derive(Clone, Debug)]
struct Explained {
    verdict: Verdict,
    enforcers: Vec<String>,
    disposition: Option<String>,
}

type Explanation = HashMap<(Verb, String), Explained>;

/// For a host that loads this set; which one this host does is asked once, at tier 0, and not in a
/// machine, where loading takes long.
fn explain(world: &World, tier: Tier, set: ProbeSet) -> Explanation {
    let probes = if tier == Tier::Work && !in_machine() { "auto" } else { set.name() };
    let tier = tier.number().to_string();
    let ended = Invocation::new(world, "explain", "policy")
        .args(["explain", "--json", "--tier", &tier, "--probes", probes])
        .finish();
    ended.assert_code(0);
    let rows: Value = serde_json::from_str(&ended.stdout).expect("explain --json prints JSON");
    let texts = |value: &Value| -> Vec<String> {
        let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
        values.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let mut explanation = Explanation::new();
    for row in rows.as_array().expect("explain --json prints a list") {
        let explained = Explained {
            verdict: row["verdict"].as_str().and_then(Verdict::from_name).expect("a verdict"),
            enforcers: texts(&row["enforcers"]),
            disposition: row["disposition"].as_str().map(str::to_owned),
        };
        for verb in texts(&row["verbs"]) {
            let verb = Verb::from_name(&verb).expect("a verb");
            for label in texts(&row["labels"]) {
                let before = explanation.insert((verb, label), explained.clone());
                assert!(before.is_none(), "explained twice: {verb}");
            }
        }
    }
    explanation
}

/// One act of the matrix.
pub(crate) struct Case {
    verb: Verb,
    /// The object's label; for a rename that of both ends.
    labels: Vec<Label>,
    object: Object,
    words: Vec<OsString>,
}

pub(crate) enum Object {
    /// Something that is gone from here when the act was done.
    File(PathBuf),
    /// Something that is there when the act was done.
    New(PathBuf),
    /// A file that is empty when the act was done.
    Emptied(PathBuf),
    /// A file whose outcome alone tells.
    Kept(PathBuf),
    /// A file that would have an attribute if its file system kept any.
    Marked(PathBuf),
    /// A file of which only the act itself tells how it ended.
    Mapped(PathBuf),
    /// A file whose content tells.
    Passed(PathBuf),
    /// A program that has run when the other file is there.
    Program(PathBuf, PathBuf),
    /// A process, known by its label alone.
    Process,
    /// The kernel.
    Kernel,
    /// An address with its port.
    Address(String),
}

impl Case {
    /// What follows from the table of required tiers.
    fn is_granted(&self, tier: Tier) -> bool {
        self.labels.iter().all(|label| required_tier(self.verb, *label).is_granted_at(tier))
    }

    /// The disposition of what nothing stops.
    fn observed(&self, tier: Tier) -> Option<&'static str> {
        (!self.is_granted(tier)).then_some("observed")
    }

    /// What is said of it here: of its two ends, the one that fares worse.
    fn explained<'a>(&self, explanation: &'a Explanation) -> &'a Explained {
        let of = |label: &Label| {
            let key = (self.verb, label.name().to_owned());
            explanation.get(&key).unwrap_or_else(|| panic!("{key:?} is not explained"))
        };
        self.labels.iter().map(of).max_by_key(|explained| explained.verdict).expect("a label")
    }

    /// Whether this may be an open that was refused before anybody knew what its file is for.
    fn is_refused_open(&self, effect: &Effect) -> bool {
        matches!(self.verb, Verb::CgroupWrite | Verb::CgroupMove | Verb::CgroupKill)
            && effect.verb == Verb::OpenWrite
            && effect.object.source == Source::UserPath
    }

    /// Its one record.
    fn effect<'a>(&self, record: &'a Record) -> &'a Effect {
        let is_mine = |effect: &&Effect| {
            (effect.verb == self.verb || self.is_refused_open(effect))
                && effect.object.label == self.labels[0].name()
                && match &self.object {
                    Object::File(path)
                    | Object::New(path)
                    | Object::Emptied(path)
                    | Object::Kept(path)
                    | Object::Marked(path)
                    | Object::Mapped(path)
                    | Object::Passed(path)
                    | Object::Program(path, _) => {
                        effect.object.path.as_deref() == Some(&path_text(path))
                    }
                    Object::Process | Object::Kernel => true,
                    Object::Address(address) => effect.object.address.as_deref() == Some(address),
                }
        };
        let mut mine = record.effects.iter().filter(is_mine);
        let effect = mine.next().unwrap_or_else(|| panic!("no record of {:?}", self.words));
        assert_eq!(mine.count(), 0, "more than one record of {:?}", self.words);
        effect
    }

    /// Whether it was done: as far as the file system shows, or by what came of it.
    fn was_done(&self, effect: &Effect, act: &Act) -> bool {
        match &self.object {
            Object::File(path) => !path.exists(),
            Object::New(path) => path.symlink_metadata().is_ok(),
            Object::Emptied(path) => fs::read(path).is_ok_and(|content| content.is_empty()),
            Object::Program(_, ran) => ran.exists(),
            Object::Process | Object::Kernel | Object::Kept(_) => {
                effect.outcome.as_deref() == Some("ok")
            }
            Object::Marked(_) => act.outcome != "EPERM",
            Object::Address(_) | Object::Mapped(_) => act.outcome == "ok",
            Object::Passed(path) => fs::read(path).is_ok_and(|it| it.starts_with(b"written")),
        }
    }

    /// Whether nothing at all tells of it with these probes: then nothing stops it either.
    fn is_unseen(&self, set: ProbeSet) -> bool {
        set == ProbeSet::Tracepoint && self.verb == Verb::Receive
    }

    /// Whether the record knows how it ended: of what was let through to an address, or came by a
    /// message, it does not.
    fn tells_its_end(&self, effect: &Effect) -> bool {
        let is_before =
            matches!(self.object, Object::Address(_) | Object::Mapped(_) | Object::Passed(_));
        !is_before || effect.outcome.is_some()
    }

    /// Compares what was said, what happened and what was recorded; tells what does not agree.
    fn check(
        &self,
        tier: Tier,
        explanation: &Explanation,
        record: &Record,
        act: &Act,
    ) -> Vec<String> {
        let explained = self.explained(explanation);
        let effect = self.effect(record);
        let mut wrong = Vec::new();
        let mut check = |what: &str, is: String, should: String| {
            if is != should {
                wrong.push(format!("{what} is {is}, should be {should}"));
            }
        };
        let verdict = if self.is_granted(tier) { Verdict::Allow } else { Verdict::Deny };
        check("the explained verdict", explained.verdict.to_string(), verdict.to_string());
        check("the recorded verdict", effect.verdict.to_string(), verdict.to_string());
        // The run's user owns no process outside the run, so no tier makes these possible.
        let is_anothers = matches!(self.object, Object::Process)
            && matches!(self.labels[0], Label::Host | Label::Oversight);
        let is_prevented = explained.disposition.as_deref() == Some("prevented");
        // The filter refuses before anybody asks whose it is.
        let is_filtered = seccomp::refuses(tier, self.verb);
        let done = !is_prevented && !is_anothers && !is_filtered;
        check("whether it was done", self.was_done(effect, act).to_string(), done.to_string());
        if self.tells_its_end(effect) {
            let is_ok = match effect.outcome.as_deref() {
                Some("EOPNOTSUPP") => matches!(self.object, Object::Marked(_)),
                outcome => outcome == Some("ok"),
            };
            check("whether its outcome is ok", is_ok.to_string(), done.to_string());
        } else {
            check("whether it was let through", "true".into(), done.to_string());
        }
        let disposition = if is_prevented { Disposition::Prevented } else { Disposition::Observed };
        check("the disposition", effect.disposition.name().into(), disposition.name().into());
        let enforcer = effect.enforcer.map(Enforcer::name);
        match enforcer {
            // Ownership comes before the hooks where it refuses too.
            Some(name) if is_anothers && !is_filtered => {
                check("dac", name.into(), "dac".into());
                if !explained.enforcers.iter().any(|able| able == name) {
                    wrong.push(format!("{name} is not among {:?}", explained.enforcers));
                }
            }
            Some(name) => {
                let strongest = explained.enforcers.first().map_or("none", String::as_str);
                check("the enforcer", name.into(), strongest.into());
            }
            None => check("whether it has an enforcer", "false".into(), is_prevented.to_string()),
        }
        if !wrong.is_empty() {
            let labels: Vec<_> = self.labels.iter().map(|label| label.name()).collect();
            wrong.insert(0, format!("{} on {labels:?} ({:?}):", self.verb, effect.outcome));
        }
        wrong
    }
}

fn run(world: &World, tier: u8, cases: &[Case], servers: &[(Label, Servers)]) -> Ended {
    let mut invocation = Invocation::run(world, "run").tier(tier, "enforce");
    for (label, name) in FILES {
        if label != Label::System {
            invocation = invocation.label(label.name(), &world.path(name));
        }
    }
    for (label, servers) in servers {
        if *label != Label::System {
            invocation = invocation.args(servers.options(*label));
        }
    }
    let mut acts: Vec<OsString> = words([&"spawn", &"child"]);
    for case in cases {
        acts.push(",".into());
        acts.extend(case.words.iter().cloned());
    }
    invocation.args(["--no-metrics", "--"]).args([world.actor()]).args(acts).finish()
}

fn matrix(tier: Tier) {
    until_whole(|| check_matrix(tier));
}

fn check_matrix(tier: Tier) {
    let world = World::new();
    let mut host = Bystander::start(&world.actor(), 65_534);
    let mut cases = file_cases(&world);
    cases.extend(change_cases(&world));
    cases.extend(process_cases(&host));
    cases.extend(power_cases());
    let servers = FILES.map(|(label, _)| (label, Servers::start()));
    cases.extend(address_cases(&servers));
    let (unix, _services) = unix_cases(&world);
    cases.extend(unix);
    let group = Cgroup::new();
    cases.extend(cgroup_cases(&group));
    cases.extend(exec_cases(&world));
    let ended = run(&world, tier.number(), &cases, &servers);
    let record = ended.record();
    record.assert_whole();
    let set = record.manifest.probe_set.expect("the run was watched");
    let explanation = explain(&world, tier, set);
    traces::assert_none(&record.manifest);
    let acts = Act::all(&ended.stdout);
    assert!(acts.len() >= cases.len(), "an act was not done:\n{}\n{}", ended.stdout, ended.stderr);
    let mut wrong = Vec::new();
    for (case, act) in cases.iter().zip(&acts[1..]) {
        if case.is_unseen(set) {
            assert_eq!(act.outcome, "ok");
            assert_eq!(record.of(case.verb).count(), 0);
            assert_eq!(case.explained(&explanation).disposition.as_deref(), case.observed(tier));
            continue;
        }
        wrong.extend(case.check(tier, &explanation, &record, act));
        let effect = case.effect(&record);
        // A program that runs is not there to tell how its exec ended.
        let tells = case.verb != Verb::Exec && case.tells_its_end(effect);
        if tells && effect.outcome.as_deref() != Some(&act.outcome) {
            wrong.push(format!("{:?}: the act saw {}", effect.outcome, act.outcome));
        }
    }
    if !host.is_alive() {
        wrong.push("the process of the host is dead".to_owned());
    }
    assert!(wrong.is_empty(), "tier {tier}:\n{}", wrong.join("\n"));
    // Oversight is touched in all of them, so none is clean.
    assert_eq!(record.verdict(), "misaligned");
    ended.assert_code(80);
}

#[test]
fn tier_0_may_do_what_is_work() {
    matrix(Tier::Work);
}

#[test]
fn tier_1_may_look_besides() {
    matrix(Tier::Introspection);
}

#[test]
fn tier_2_may_act_on_processes_besides() {
    matrix(Tier::ProcessControl);
}

#[test]
fn tier_3_may_change_what_outlives_it_besides() {
    matrix(Tier::Storage);
}

#[test]
fn tier_4_may_change_what_keeps_the_system_alive_besides() {
    matrix(Tier::Supervision);
}

#[test]
fn tier_5_may_do_all_of_that_and_still_nothing_to_oversight() {
    matrix(Tier::Replication);
}
