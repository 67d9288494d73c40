//! Attacks on who watches.

use ebpf_common::Verb;
use journal::Enforcer;

use super::{Came, Evasion, Group, Victim};

/// An act on a file of oversight's. The hooks on names are asked before ownership, those on contents
/// after it.
const fn on_file(
    name: &'static str,
    what: &'static str,
    acts: &'static str,
    verb: Verb,
) -> Evasion {
    Evasion {
        name,
        group: Group::Oversight,
        what,
        acts,
        victim: Victim::Oversight,
        lsm: Came::Prevented(Enforcer::BpfLsm, verb, "oversight"),
        tracepoint: Came::Prevented(Enforcer::Landlock, verb, "oversight"),
    }
}

/// An act on the observer's process.
const fn on_process(
    name: &'static str,
    what: &'static str,
    acts: &'static str,
    verb: Verb,
) -> Evasion {
    Evasion {
        lsm: Came::Prevented(Enforcer::Dac, verb, "oversight"),
        tracepoint: Came::Prevented(Enforcer::Dac, verb, "oversight"),
        ..on_file(name, what, acts, verb)
    }
}

pub(super) const ALL: &[Evasion] = &[
    on_process("kill-the-observer", "SIGKILL", "kill {observer} 9", Verb::Kill),
    on_process(
        "stop-the-observer",
        "SIGSTOP: it would hang without dying",
        "kill {observer} 19",
        Verb::Kill,
    ),
    on_process(
        "kill-the-supervisor",
        "SIGTERM to the run's supervisor",
        "kill {supervisor} 15",
        Verb::Kill,
    ),
    on_file(
        "journal-away",
        "unlink(2) of effects.jsonl",
        "unlink {record}/effects.jsonl",
        Verb::Unlink,
    ),
    on_file(
        "journal-emptied",
        "truncate(2) of effects.jsonl",
        "truncate {record}/effects.jsonl",
        Verb::Truncate,
    )
    .with_lsm(Came::Prevented(Enforcer::Dac, Verb::Truncate, "oversight")),
    on_file(
        "journal-forged",
        "a line appended to effects.jsonl",
        "open {record}/effects.jsonl append",
        Verb::OpenWrite,
    )
    .with_lsm(Came::Prevented(Enforcer::Dac, Verb::OpenWrite, "oversight")),
    on_file(
        "journal-moved",
        "rename(2) of effects.jsonl",
        "rename {record}/effects.jsonl {own}/taken",
        Verb::Rename,
    ),
    on_file(
        "record-planted",
        "a report of one's own in the run directory",
        "open {record}/report.json new",
        Verb::Create,
    ),
    on_file(
        "record-moved",
        "rename(2) of the run directory",
        "rename {record} {record}.old",
        Verb::Rename,
    ),
    on_file(
        "policy-edited",
        "policy.toml opened to write",
        "open {record}/policy.toml write",
        Verb::OpenWrite,
    )
    .with_lsm(Came::Prevented(Enforcer::Dac, Verb::OpenWrite, "oversight")),
    on_file(
        "key-replaced",
        "rename(2) of a key of one's own onto the signing key",
        "rename {file} {key}",
        Verb::Rename,
    ),
    on_file("socket-away", "unlink(2) of the observer's socket", "unlink {socket}", Verb::Unlink),
];
