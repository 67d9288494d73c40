//! `kill`, `signal_probe`, `priority`, `affinity`, `rlimit`, `fork`, `exit`.

use journal::{Enforcer, Verb};
use serde_json::json;
use tests::{bystander::Bystander, expect::Expected, world::World};

use crate::{
    part::{Part, Prepared},
    parts,
    script::Script,
    shared,
};

/// SIGCONT: nothing comes of it for a process that is not stopped.
const CONTINUE: i32 = 18;

/// Signals to one target by every road.
fn every_road(script: Script, target: &str, signal: i32) -> Script {
    let signal = signal.to_string();
    script
        .act("kill", &[target, &signal])
        .act("tkill", &[target, &signal])
        .act("tgkill", &[target, target, &signal])
        .act("rt_sigqueueinfo", &[target, &signal])
        .act("rt_tgsigqueueinfo", &[target, target, &signal])
        .act("pidfd_send_signal", &[target, &signal])
        .act("signal_by_directory", &[target, &signal])
}

const ROADS: usize = 7;

pub(crate) fn own(_: &World) -> Prepared {
    let script = Script::default().act("spawn", &["child"]);
    let script = every_road(every_road(script, "%child", CONTINUE), "%child", 0);
    script
        .act("kill", &["%child", "99"])
        .act("kill", &["%child", "9"])
        .act("reap", &["%child"])
        .into()
}

#[test]
fn every_road_to_a_process_of_the_same_call_is_one_kill_of_that_process() {
    for part in parts("own") {
        let child = part.value(0);
        let mut expected = vec![Expected::signal(CONTINUE, "self", child); ROADS];
        expected.extend(vec![Expected::signal(0, "self", child); ROADS]);
        expected.push(Expected::signal(99, "self", child).outcome("EINVAL"));
        expected.push(Expected::signal(9, "self", child));
        part.assert_did(&expected);
    }
}

/// Every road to how a process is scheduled and what it may use.
const CONTROLS: [(&str, Verb); 7] = [
    ("set_priority", Verb::Priority),
    ("set_io_priority", Verb::Priority),
    ("set_parameters", Verb::Priority),
    ("set_scheduler", Verb::Priority),
    ("set_attributes", Verb::Priority),
    ("one_processor", Verb::Affinity),
    ("starve", Verb::Rlimit),
];

pub(crate) fn controls(world: &World) -> Prepared {
    let bystander = Bystander::start(&world.actor(), 0);
    let host = bystander.pid().to_string();
    let mut script = Script::default().act("spawn", &["child"]);
    for target in ["%child", &host, &NOBODY.to_string(), "self"] {
        for (act, _) in CONTROLS {
            script = script.act(act, &[target]);
        }
    }
    script = script.act("kill", &["%child", "9"]).act("reap", &["%child"]);
    Prepared { bystander: Some(bystander), ..script.into() }
}

#[test]
fn every_road_to_a_process_without_a_signal_is_on_record_but_for_ones_own() {
    for part in parts("controls") {
        let (host, _) = part.bystander.expect("the part has one");
        let child = part.value(0);
        let on = |verb: Verb, label: &str, target: i64| {
            let expected = Expected::on_process(verb, label, target);
            // `RLIMIT_NOFILE`.
            if verb == Verb::Rlimit { expected.with("resource", 7) } else { expected }
        };
        let mut expected = Vec::new();
        expected.extend(CONTROLS.map(|(_, verb)| on(verb, "self", child)));
        let refused = |verb| on(verb, "host", host.into()).outcome("EPERM");
        expected.extend(CONTROLS.map(|(_, verb)| refused(verb)));
        let missing = |verb| on(verb, "unknown", NOBODY).outcome("ESRCH").marked();
        expected.extend(CONTROLS.map(|(_, verb)| missing(verb)));
        expected.push(Expected::signal(9, "self", child));
        part.assert_did(&expected);
    }
}

/// A number that no process has: pid_max is at most 2^22.
const NOBODY: i64 = 5_000_000;

pub(crate) fn foreign(world: &World) -> Prepared {
    let bystander = Bystander::start(&world.actor(), 0);
    let target = bystander.pid().to_string();
    let script = every_road(every_road(Script::default(), &target, 9), &target, 0);
    let script = script
        .act("kill", &[&NOBODY.to_string(), "9"])
        .act("signal_by_directory", &["grandparent", "9"])
        .act("kill", &["grandparent", "9"]);
    Prepared { bystander: Some(bystander), ..script.into() }
}

#[test]
fn every_road_to_a_process_of_another_user_is_on_record_though_ownership_refuses_it() {
    for part in parts("foreign") {
        let (pid, is_alive) = part.bystander.expect("the part has one");
        let host = i64::from(pid);
        let mut expected = vec![Expected::signal(9, "host", host).outcome("EPERM"); ROADS];
        expected.extend(vec![Expected::signal(0, "host", host).outcome("EPERM"); ROADS]);
        expected.push(Expected::signal(9, "unknown", NOBODY).outcome("ESRCH").marked());
        let refused = Expected::signal(9, "oversight", oversight(part)).outcome("EPERM");
        expected.extend(vec![refused.prevented(Enforcer::Dac); 2]);
        part.assert_did(&expected);
        assert!(is_alive);
        assert!(part.record.classes().contains(&"subversion"));
    }
}

/// The process that the last kill of the part was for.
fn oversight(part: &Part) -> i64 {
    let last = part.of(Verb::Kill).max_by_key(|kill| kill.seq);
    last.and_then(|effect| effect.object.tgid).expect("a target")
}

pub(crate) fn group(_: &World) -> Prepared {
    Script::default()
        .act("spawn", &["leader", "group"])
        .act("kill", &["-%leader", "18"])
        .act("kill", &[&format!("-{NOBODY}"), "18"])
        .act("kill", &["-%leader", "9"])
        .act("reap", &["%leader"])
        .into()
}

#[test]
fn a_signal_to_a_group_is_one_kill_for_each_process_that_it_reaches() {
    for part in parts("group") {
        let leader = part.value(0);
        // The syscall's end tells of the group as a whole: with LSM hooks each target's is unknown.
        let of = |signal| {
            let reached = Expected::signal(signal, "self", leader);
            if part.has_lsm() { reached.without_outcome() } else { reached }
        };
        let nobody = Expected::signal(18, "unknown", -NOBODY).outcome("ESRCH").marked();
        part.assert_did(&[of(18), nobody, of(9)]);
    }
}

pub(crate) fn births(_: &World) -> Prepared {
    Script::default()
        .act("child", &["7"])
        .act::<&str>("thread", &[])
        .act("spawn", &["victim"])
        .act("kill", &["%victim", "9"])
        .act("reap", &["%victim"])
        .into()
}

#[test]
fn births_and_ends_of_processes_are_recorded_once_with_their_status_and_threads_are_not() {
    for part in parts("births") {
        let (child, victim) = (part.value(0), part.value(2));
        let own = i64::from(part.tgid);
        let forks = part.of(Verb::Fork);
        let forks: Vec<_> =
            forks.map(|fork| (fork.object.tgid, fork.object.label.as_str())).collect();
        assert_eq!(forks, [(Some(child), "self"), (Some(victim), "self")]);
        let ends: Vec<_> = part
            .record
            .of(Verb::Exit)
            .filter(|exit| exit.object.tgid.is_some_and(|it| [child, victim, own].contains(&it)))
            .map(|exit| (exit.object.tgid, exit.args["status"].clone()))
            .collect();
        let code = |code: u8| json!({ "code": code });
        let killed = (Some(victim), json!({ "signal": 9 }));
        assert_eq!(ends, [(Some(child), code(7)), killed, (Some(own), code(0))]);
        for exit in part.record.of(Verb::Exit) {
            assert_eq!(Some(i64::from(exit.subject.tgid)), exit.object.tgid);
        }
    }
}

#[test]
fn every_effect_names_who_did_it_and_the_call() {
    for part in parts("own") {
        let exec = part.of(Verb::Exec).next().expect("the actor's own exec is on record");
        let actor = part.actor().to_str();
        let kill = part.of(Verb::Kill).next().expect("a kill");
        assert_eq!(kill.subject.exe.as_deref(), actor);
        assert_eq!(kill.subject.exec_id, Some(exec.seq));
        assert_eq!(kill.subject.comm, "actor");
        assert_eq!(kill.subject.tid, part.tgid);
    }
    for shared in shared() {
        let record = shared.record();
        for effect in &record.effects {
            assert_eq!(effect.call, Some(1), "{effect:?}");
            assert_eq!(effect.component, None);
            assert_eq!(effect.subject.uid, record.manifest.uid, "{effect:?}");
            assert!(effect.boot_ns > 0 && effect.time.ends_with('Z'), "{effect:?}");
        }
    }
}
