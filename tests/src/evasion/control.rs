//! Acting on a process without a signal, and leaving one's cgroup.

use ebpf_common::Verb;
use journal::Enforcer;

use super::{Came, Evasion, Group, Victim, power};

const fn refused(
    name: &'static str,
    what: &'static str,
    acts: &'static str,
    verb: Verb,
) -> Evasion {
    power(Group::Control, name, what, acts, Enforcer::Seccomp, verb).after(Victim::Process)
}

/// An act that only a hook prevents.
const fn hooked(name: &'static str, what: &'static str, acts: &'static str, verb: Verb) -> Evasion {
    const WHY: &str = "no hook decides here, and a filter sees numbers and not whose process they \
                       name; other users' processes are safe by ownership";
    refused(name, what, acts, verb)
        .with_lsm(Came::Prevented(Enforcer::BpfLsm, verb, "host"))
        .with_tracepoints(Came::Seen(verb, "host", WHY))
}

/// An act on the victim's cgroup, which is open to everybody.
const fn cgroup(name: &'static str, what: &'static str, acts: &'static str, verb: Verb) -> Evasion {
    refused(name, what, acts, verb)
        .with_lsm(Came::Prevented(Enforcer::BpfLsm, verb, "supervision"))
        .with_tracepoints(Came::Prevented(Enforcer::Landlock, Verb::OpenWrite, "supervision"))
}

pub(super) const ALL: &[Evasion] = &[
    refused(
        "ptrace-attach",
        "PTRACE_ATTACH stops it",
        "raw ptrace 16 {process} 0 0",
        Verb::PtraceAttach,
    ),
    refused(
        "ptrace-seize",
        "PTRACE_SEIZE holds it",
        "raw ptrace 16902 {process} 0 0",
        Verb::PtraceAttach,
    ),
    refused(
        "foreign-memory",
        "process_vm_writev(2) into its memory",
        "raw process_vm_writev {process} 0 1 0 1 0",
        Verb::MemoryAccess,
    ),
    refused(
        "foreign-memory-read",
        "process_vm_readv(2) out of its memory",
        "raw process_vm_readv {process} 0 1 0 1 0",
        Verb::PtraceRead,
    ),
    refused(
        "foreign-descriptor",
        "pidfd_getfd(2) takes a descriptor out of it",
        "steal_descriptor {process}",
        Verb::MemoryAccess,
    ),
    refused(
        "foreign-advice",
        "process_madvise(2) throws its pages out",
        "throw_pages_out {process}",
        Verb::MemoryAccess,
    ),
    refused(
        "foreign-pages",
        "migrate_pages(2)",
        "raw migrate_pages {process} 8 0 0",
        Verb::MemoryAccess,
    ),
    refused(
        "memory-file",
        "/proc/PID/mem opened to write",
        "open /proc/{process}/mem write",
        Verb::OpenWrite,
    )
    .with_lsm(Came::Prevented(Enforcer::BpfLsm, Verb::OpenWrite, "system"))
    .with_tracepoints(Came::Prevented(Enforcer::Landlock, Verb::OpenWrite, "system")),
    refused(
        "oom-score",
        "/proc/PID/oom_score_adj: first to go when memory is short",
        "put /proc/{process}/oom_score_adj 1000",
        Verb::OomAdjust,
    )
    .with_lsm(Came::Prevented(Enforcer::BpfLsm, Verb::OomAdjust, "host"))
    .with_tracepoints(Came::Seen(
        Verb::OomAdjust,
        "host",
        "Landlock lets /proc pass, where a process writes about itself; other users' processes are \
         safe by ownership",
    )),
    hooked(
        "priority",
        "setpriority(2): it hardly runs any more",
        "raw setpriority 0 {process} 19",
        Verb::Priority,
    ),
    hooked(
        "priority-of-a-group",
        "setpriority(2) on its process group",
        "raw setpriority 1 {process} 19",
        Verb::Priority,
    ),
    hooked(
        "io-priority",
        "ioprio_set(2): it waits for its disk",
        "raw ioprio_set 1 {process} 24576",
        Verb::Priority,
    ),
    hooked(
        "affinity",
        "sched_setaffinity(2): it shares one processor",
        "one_processor {process}",
        Verb::Affinity,
    ),
    hooked("limits", "prlimit(2): it may open no more files", "starve {process}", Verb::Rlimit),
    power(
        Group::Control,
        "leave-the-cgroup",
        "one's own process id into the root's cgroup.procs",
        "put {cgroups}/cgroup.procs 0",
        Enforcer::Dac,
        Verb::OpenWrite,
    )
    .with_lsm(Came::Prevented(Enforcer::Dac, Verb::OpenWrite, "supervision"))
    .with_tracepoints(Came::Prevented(Enforcer::Landlock, Verb::OpenWrite, "supervision")),
    power(
        Group::Control,
        "born-elsewhere",
        "clone3(2) with CLONE_INTO_CGROUP",
        "raw clone3 0 0",
        Enforcer::Seccomp,
        Verb::Unshare,
    )
    .without_violation(Enforcer::Seccomp),
    power(
        Group::Control,
        "cgroup-kill",
        "1 into the run's cgroup.kill",
        "put {cgroups}/belljar/{run}/cgroup.kill 1",
        Enforcer::Dac,
        Verb::OpenWrite,
    )
    .with_lsm(Came::Prevented(Enforcer::Dac, Verb::OpenWrite, "oversight"))
    .with_tracepoints(Came::Prevented(Enforcer::Landlock, Verb::OpenWrite, "oversight")),
    power(
        Group::Control,
        "cgroup-of-ones-own",
        "mkdir(2) in the call's cgroup",
        "mkdir {cgroups}/belljar/{run}/mine",
        Enforcer::Dac,
        Verb::Create,
    )
    .with_lsm(Came::Prevented(Enforcer::BpfLsm, Verb::Create, "oversight"))
    .with_tracepoints(Came::Prevented(Enforcer::Landlock, Verb::Create, "oversight")),
    cgroup(
        "cgroup-freeze",
        "its cgroup is frozen",
        "put {group}/cgroup.freeze 1",
        Verb::CgroupWrite,
    ),
    cgroup(
        "cgroup-kill-another",
        "every process of its cgroup is killed",
        "put {group}/cgroup.kill 1",
        Verb::CgroupKill,
    ),
    cgroup(
        "join-another-cgroup",
        "one's own process id into its cgroup.procs",
        "open {group}/cgroup.procs write",
        Verb::CgroupMove,
    )
    .after(Victim::Power),
];
