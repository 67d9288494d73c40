//! What is made of a record: label, verdict, who made it true. The records are made by hand.

use ebpf_common::{
    Label, LabelId, Record, Tier, Verb, Verdict,
    record::{Decoded, record_flags, string},
};
use journal::{Disposition, Effect, Enforcer, Source, clock::Clock, manifest::Mode};
use observer::{
    interpret::{Interpreter, LandlockInForce, Owner},
    mounts::Mounts,
};
use policy::{LabelledRoot, PathLabels, Policy, addresses::words};

const CALL_LEAF: u64 = 7;
const COMPONENT_LEAF: u64 = 8;
const ENOENT: i32 = -2;
const EACCES: i32 = -13;
const EPERM: i32 = -1;

/// At tier 1, with `/usr` labelled `data` and `/opt/watch` labelled `oversight`.
fn interpreter() -> Interpreter {
    let compiled = Policy::shipped()
        .compile(Tier::Introspection, &["backend".to_owned()])
        .expect("the shipped policy compiles");
    let roots = [("/usr", Label::Data), ("/opt/watch", Label::Oversight)];
    let roots = roots.map(|(path, label)| LabelledRoot { path: path.into(), label });
    let mounts = Mounts::read().expect("the test's own mounts can be read");
    let mut interpreter =
        Interpreter::new(compiled, PathLabels::new(roots), Mode::Enforce, Clock::new(0), mounts);
    interpreter.own(CALL_LEAF, Owner::Call(3));
    interpreter.own(COMPONENT_LEAF, Owner::Component("backend".to_owned()));
    interpreter.set_landlock(LandlockInForce { abi: Some(7), scopes_signals: true });
    interpreter
}

fn record(verb: Verb, leaf: u64, flags: u16, outcome: i32) -> Record {
    Record {
        seq: 5,
        boot_ns: 1_000_000_000,
        leaf,
        exec_id: 0,
        args: [9, 42],
        object_id: 0,
        object_number: 42,
        object_extra: 42,
        tgid: 100,
        tid: 100,
        uid: 1000,
        outcome,
        slot: 0,
        flags,
        verb,
        verdict: Verdict::Allow,
        label: 0,
        to_label: 0,
        port: 0,
        approval: 0,
        string_bytes: [0; 4],
        comm: *b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    }
}

fn written(leaf: u64, flags: u16, outcome: i32, path: &[u8], base: &[u8]) -> Effect {
    let record = record(Verb::Unlink, leaf, flags | record_flags::USER_PATH, outcome);
    let mut strings = [&[][..]; 4];
    strings[string::PATH] = path;
    strings[string::BASE] = base;
    interpreter().effect(&Decoded { record, strings })
}

#[test]
fn a_written_path_gets_label_verdict_and_enforcer_in_user_space() {
    let effect = written(CALL_LEAF, 0, EACCES, b"/usr/lib/monday.tar\0", b"");
    assert_eq!((effect.object.label.as_str(), effect.object.source), ("data", Source::UserPath));
    assert_eq!((effect.verdict, effect.disposition), (Verdict::Deny, Disposition::Prevented));
    assert_eq!(effect.enforcer, Some(Enforcer::Landlock));
    assert!(effect.reason.contains("tier 3"), "{}", effect.reason);
}

#[test]
fn what_was_refused_through_a_directory_that_is_gone_is_unknown() {
    let refused = written(CALL_LEAF, 0, EACCES, b"/nowhere/link/file\0", b"");
    assert_eq!((refused.object.label.as_str(), refused.verdict), ("unknown", Verdict::Deny));
    let done = written(CALL_LEAF, 0, 0, b"/nowhere/link/file\0", b"");
    assert_eq!(done.object.label, "system");
}

#[test]
fn a_relative_path_from_a_cut_base_is_unknown_and_says_that_it_is_cut() {
    let flags = record_flags::UNFINISHED_WALK;
    let effect = written(CALL_LEAF, flags, 0, b"file\0", b"deep\0deeper\0");
    assert_eq!((effect.object.label.as_str(), effect.verdict), ("unknown", Verdict::Deny));
    assert!(effect.truncated);
    // An absolute path does not start from there.
    let effect = written(CALL_LEAF, flags, 0, b"/opt/watch/log\0", b"deep\0");
    assert_eq!(effect.object.label, "oversight");
}

#[test]
fn the_tier_does_not_bind_a_component() {
    let effect = written(COMPONENT_LEAF, 0, 0, b"/usr/lib/old\0", b"");
    assert_eq!((effect.verdict, effect.component.as_deref()), (Verdict::Allow, Some("backend")));
    assert_eq!(effect.call, None);
    assert_eq!(written(CALL_LEAF, 0, 0, b"/usr/lib/old\0", b"").verdict, Verdict::Deny);
}

#[test]
fn what_was_not_there_is_marked_unless_it_named_oversight() {
    let missing = written(CALL_LEAF, 0, ENOENT, b"/usr/lib/gone\0", b"");
    assert_eq!((missing.object.label.as_str(), missing.verdict), ("data", Verdict::Audit));
    assert_eq!(missing.reason, "there was nothing to act on");
    let watched = written(CALL_LEAF, 0, ENOENT, b"/opt/watch/gone\0", b"");
    assert_eq!((watched.object.label.as_str(), watched.verdict), ("oversight", Verdict::Deny));
    // What a hook had found was there.
    let judged = written(CALL_LEAF, record_flags::JUDGED, ENOENT, b"/usr/lib/gone\0", b"");
    assert_eq!(judged.verdict, Verdict::Deny);
}

#[test]
fn a_rename_is_judged_by_the_labels_that_it_takes_along_and_they_go_with_it() {
    let mut interpreter = interpreter();
    let mut effect = |verb, from: &[u8], to: &[u8]| {
        let record = Record { args: [0; 2], ..record(verb, CALL_LEAF, record_flags::USER_PATH, 0) };
        let mut strings = [&[][..]; 4];
        (strings[string::PATH], strings[string::TO]) = (from, to);
        interpreter.effect(&Decoded { record, strings })
    };
    let moved = effect(Verb::Rename, b"/opt\0", b"/srv/opt\0");
    assert_eq!((moved.object.label.as_str(), moved.verdict), ("oversight", Verdict::Deny));
    assert_eq!(moved.object.to_label.as_deref(), Some("system"));
    assert_eq!(effect(Verb::Unlink, b"/srv/opt/watch/x\0", b"").object.label, "oversight");
    assert_eq!(effect(Verb::Unlink, b"/opt/watch/x\0", b"").object.label, "system");
}

fn signal(label: LabelId, flags: u16, outcome: i32) -> Effect {
    let mut record = record(Verb::Kill, CALL_LEAF, flags, outcome);
    record.label = label.number();
    record.verdict = Verdict::Deny;
    interpreter().effect(&Decoded { record, strings: [&[][..]; 4] })
}

#[test]
fn an_address_reads_as_it_is_written_and_the_program_on_the_cgroup_refused_it() {
    let read = |address: &str| {
        let judged = record_flags::JUDGED | record_flags::ENFORCED;
        let mut record = record(Verb::Connect, CALL_LEAF, judged, EPERM);
        record.args = [6, 0];
        record.set_address(words(address.parse().unwrap()), 5432);
        record.label = Label::Data as u8;
        record.verdict = Verdict::Deny;
        interpreter().effect(&Decoded { record, strings: [&[][..]; 4] })
    };
    let effect = read("10.0.0.1");
    assert_eq!(effect.object.address.as_deref(), Some("10.0.0.1:5432"));
    assert_eq!((effect.object.label.as_str(), effect.object.source), ("data", Source::Kernel));
    assert_eq!(effect.args["protocol"], "tcp");
    assert_eq!(effect.disposition, Disposition::Prevented);
    assert_eq!(effect.enforcer, Some(Enforcer::CgroupBpf));
    assert_eq!(read("2001:db8::1").object.address.as_deref(), Some("[2001:db8::1]:5432"));
    assert_eq!(read("::ffff:10.0.0.1").object.address.as_deref(), Some("10.0.0.1:5432"));
}

#[test]
fn a_refused_signal_names_who_refused_it() {
    let host = LabelId::of(Label::Host);
    let judged = record_flags::JUDGED | record_flags::ENFORCED;
    let by = |effect: Effect| (effect.disposition, effect.enforcer);
    let prevented = |enforcer| (Disposition::Prevented, Some(enforcer));
    assert_eq!(by(signal(host, judged, EPERM)), prevented(Enforcer::BpfLsm));
    // Judged in mode `observe` and refused all the same: not by the hook.
    assert_eq!(by(signal(host, record_flags::JUDGED, EPERM)), prevented(Enforcer::Dac));
    assert_eq!(by(signal(host, 0, EPERM)), prevented(Enforcer::Dac));
    // A component has the agent's own user: ownership did not refuse it.
    let component = LabelId::FIRST_COMPONENT;
    let component = LabelId::from_number(component);
    assert_eq!(by(signal(component, 0, EPERM)), prevented(Enforcer::Landlock));
    // What merely failed, or went through, was prevented by nobody.
    assert_eq!(by(signal(host, 0, -3)), (Disposition::Observed, None));
    assert_eq!(by(signal(host, 0, 0)), (Disposition::Observed, None));
}

#[test]
fn a_group_is_named_by_its_negative_number_and_the_call_by_its_leaf() {
    let effect = signal(LabelId::of(Label::Host), record_flags::GROUP, EPERM);
    assert_eq!((effect.object.tgid, effect.call), (Some(-42), Some(3)));
    assert_eq!(effect.args["signal"], 9);
    assert_eq!((effect.subject.comm.as_str(), effect.subject.exe), ("sh", None));
}

#[test]
fn arguments_that_were_cut_are_told_by_how_many_there_were() {
    let mut record = record(Verb::Exec, CALL_LEAF, 0, 0);
    record.args = [4000, 0];
    let mut strings = [&[][..]; 4];
    strings[string::PATH] = b"sh\0bin\0";
    strings[string::ARGV] = b"sh\0-c\0\0\xffec";
    let effect = interpreter().effect(&Decoded { record, strings });
    assert_eq!(effect.args["argv"], serde_json::json!(["sh", "-c", "", "\\xffec"]));
    assert_eq!(effect.args["argv_bytes"], 4000);
    strings[string::ARGV] = b"";
    let effect = interpreter().effect(&Decoded { record, strings });
    assert!(effect.args.is_empty(), "{:?}", effect.args);
}

#[test]
fn each_effect_is_told_by_the_policy_that_judged_it() {
    let mut interpreter = interpreter();
    let text = "version = 1\nname = \"other\"\n[[rule]]\nverbs = [\"kill\"]\nlabels = [\"host\"]\n\
                verdict = \"freeze\"\nreason = \"nobody is signalled\"\n";
    let other = policy::parse(text, "other.toml").expect("it is a policy");
    let other =
        other.compile(Tier::Introspection, &["backend".to_owned()]).expect("the policy compiles");
    interpreter.reload(other, 2_000_000_000);
    let mut effect = |boot_ns, verdict| {
        let mut record = record(Verb::Kill, CALL_LEAF, record_flags::JUDGED, EPERM);
        (record.boot_ns, record.verdict) = (boot_ns, verdict);
        record.label = LabelId::of(Label::Host).number();
        let effect = interpreter.effect(&Decoded { record, strings: [&[][..]; 4] });
        (effect.policy, effect.reason)
    };
    let (policy, reason) = effect(1_000_000_000, Verdict::Deny);
    assert_eq!((policy, reason.contains("tier 2")), (0, true), "{reason}");
    assert_eq!(effect(3_000_000_000, Verdict::Freeze), (1, "nobody is signalled".to_owned()));
    // Begun before the one took the other's place and judged after it, or the other way round.
    assert_eq!(effect(1_999_999_999, Verdict::Freeze).0, 1);
    assert_eq!(effect(2_000_000_001, Verdict::Deny).0, 0);
}
