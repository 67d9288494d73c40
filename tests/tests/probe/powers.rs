//! Powers over the kernel, and holds on other processes: each system call of the catalogue.

use ebpf_common::syscall::{POWERS, Power};
use journal::{Enforcer, Verb};
use tests::{bystander::Bystander, expect::Expected, world::World};

use crate::{part::Prepared, parts, script::Script};

/// What a call needs to be refused, where zeros do not do.
fn arguments(name: &str) -> &'static [&'static str] {
    match name {
        // `CLONE_NEWUSER`, with the signal that clone(2) wants besides.
        "unshare" => &["268435456"],
        "clone" => &["268435473"],
        // `TIOCSTI`.
        "ioctl" => &["0", "21522", "&x"],
        _ => &[],
    }
}

/// Calls that name no process.
fn over_the_kernel() -> impl Iterator<Item = &'static Power> {
    POWERS.iter().filter(|power| power.verb.fixed_label().is_some() && power.name != "capset")
}

pub(crate) fn every(_: &World) -> Prepared {
    let call = |script: Script, power: &Power| {
        let mut words = vec![power.name];
        words.extend(arguments(power.name));
        script.act("raw", &words)
    };
    over_the_kernel().fold(Script::default(), call).act::<&str>("raise_capabilities", &[]).into()
}

/// The record of a power that was refused.
fn refused(power: &Power) -> Expected {
    let label = power.verb.fixed_label().expect("it is a power").name();
    let expected = Expected::on_kernel(power.verb, label).with("syscall", power.name);
    let expected = match power.verb {
        Verb::Bpf => expected.with("command", 0),
        Verb::Unshare if power.name == "clone" => expected.with("flags", "0x10000011"),
        Verb::Unshare => expected.with("flags", "0x10000000"),
        _ => expected,
    };
    match power.verb {
        Verb::IoUring => expected.outcome("ENOSYS"),
        Verb::Setuid | Verb::Capset => expected.outcome("EPERM").prevented(Enforcer::Dac),
        _ => expected.outcome("EPERM").prevented(Enforcer::Seccomp),
    }
}

#[test]
fn every_power_over_the_kernel_is_on_record_though_it_is_refused_before_any_hook() {
    for part in parts("powers") {
        let mut expected: Vec<_> = over_the_kernel().map(refused).collect();
        let capset = POWERS.iter().find(|power| power.name == "capset").expect("it is listed");
        expected.push(refused(capset));
        part.assert_did(&expected);
    }
}

/// Holds on a process of the same call; what comes of each is said by the test.
pub(crate) fn holds(world: &World) -> Prepared {
    let bystander = Bystander::start(&world.actor(), 0);
    let host = bystander.pid().to_string();
    let mut script = Script::default().act("spawn", &["child"]);
    for target in ["%child", &host] {
        script = script
            .act("read_memory", &[target])
            .act("steal_descriptor", &[target])
            .act("attach", &[target]);
    }
    script = script.act("kill", &["%child", "9"]).act("reap", &["%child"]);
    Prepared { bystander: Some(bystander), ..script.into() }
}

#[test]
fn holds_on_other_processes_are_on_record_and_reads_of_ones_own_are_not() {
    for part in parts("holds") {
        let (host, _) = part.bystander.expect("the part has one");
        let child = part.value(0);
        let on = |verb: Verb, label: &str, target: i64, call: &str| {
            Expected::on_process(verb, label, target).with("syscall", call)
        };
        let attach = |label: &str, target: i64| {
            on(Verb::PtraceAttach, label, target, "ptrace").with("request", 16)
        };
        let host = i64::from(host);
        part.assert_did(&[
            on(Verb::MemoryAccess, "self", child, "pidfd_getfd"),
            attach("self", child),
            on(Verb::PtraceRead, "host", host, "process_vm_readv").outcome("EPERM"),
            on(Verb::MemoryAccess, "host", host, "pidfd_getfd").outcome("EPERM"),
            attach("host", host).outcome("EPERM"),
            Expected::signal(9, "self", child),
        ]);
    }
}
