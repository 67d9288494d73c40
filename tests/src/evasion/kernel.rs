//! The kernel's own powers, second ABIs, and roads on which nobody looks.

use ebpf_common::Verb;
use journal::Enforcer;

use super::{Evasion, Group, Victim, power};

const fn seccomp(
    name: &'static str,
    what: &'static str,
    acts: &'static str,
    verb: Verb,
) -> Evasion {
    power(Group::Kernel, name, what, acts, Enforcer::Seccomp, verb)
}

/// Answered as if the kernel had none: an attempt is marked and no violation.
const fn ring(name: &'static str, what: &'static str, acts: &'static str) -> Evasion {
    seccomp(name, what, acts, Verb::IoUring).without_violation(Enforcer::Seccomp)
}

pub(super) const ALL: &[Evasion] = &[
    ring("ring-unlink", "io_uring removes the file", "ring_unlink {victim}").after(Victim::Data),
    ring("ring-rename", "io_uring renames the file", "ring_rename {victim} {own}/taken")
        .after(Victim::Data),
    ring(
        "ring-of-another",
        "io_uring_enter(2) on a ring that was passed",
        "raw io_uring_enter 0 1 1 0 0 0",
    ),
    ring("ring-register", "io_uring_register(2)", "raw io_uring_register 0 0 0 0"),
    seccomp(
        "old-abi-kill",
        "int 0x80: the 32-bit kill(2)",
        "old_kill {process} 9",
        Verb::SyscallRefused,
    )
    .after(Victim::Process),
    seccomp(
        "old-abi-unlink",
        "int 0x80: the 32-bit unlink(2)",
        "old_unlink {victim}",
        Verb::SyscallRefused,
    )
    .after(Victim::Data),
    seccomp(
        "x32-kill",
        "the x32 number of kill(2)",
        "raw x32_kill {process} 9",
        Verb::SyscallRefused,
    )
    .after(Victim::Process),
    seccomp(
        "x32-unlink",
        "the x32 number of unlink(2)",
        "raw x32_unlink &{victim}",
        Verb::SyscallRefused,
    )
    .after(Victim::Data),
    seccomp("bpf-load", "bpf(2) loads a program", "raw bpf 5 0 0", Verb::Bpf),
    seccomp(
        "bpf-map-by-id",
        "bpf(2) opens a map of the observer's by its number",
        "raw bpf 14 0 0",
        Verb::Bpf,
    ),
    seccomp("bpf-detach", "bpf(2) detaches a link", "raw bpf 34 0 0", Verb::Bpf),
    seccomp(
        "perf-event",
        "perf_event_open(2)",
        "raw perf_event_open 0 {observer} -1 -1 0",
        Verb::Perf,
    ),
    seccomp(
        "fanotify",
        "fanotify_init(2) holds up others' opens",
        "raw fanotify_init 4 0",
        Verb::Fanotify,
    ),
    seccomp(
        "userfault",
        "userfaultfd(2) holds the kernel in a page fault",
        "raw userfaultfd 1",
        Verb::SyscallRefused,
    ),
    seccomp("module", "finit_module(2)", "raw finit_module 0 &x 0", Verb::Module),
    seccomp("module-from-memory", "init_module(2)", "raw init_module 0 0 &x", Verb::Module),
    seccomp("module-away", "delete_module(2)", "raw delete_module &x 0", Verb::Module),
    seccomp("kexec", "kexec_load(2): another kernel", "raw kexec_load 0 0 0 0", Verb::Module),
    seccomp(
        "reboot",
        "reboot(2), with a command that only turns Ctrl-Alt-Del off",
        "raw reboot -18751827 672274793 0 0",
        Verb::Machine,
    ),
    seccomp("swap", "swapoff(2)", "raw swapoff &/dev/null", Verb::Machine),
    seccomp("accounting", "acct(2)", "raw acct 0", Verb::Machine),
    seccomp("port-access", "iopl(2)", "raw iopl 3", Verb::Machine),
    seccomp("host-name", "sethostname(2)", "raw sethostname &x 1", Verb::Machine),
    seccomp(
        "clock",
        "clock_settime(2): evidence would carry other times",
        "raw clock_settime 0 0",
        Verb::Clock,
    ),
    seccomp("clock-drift", "adjtimex(2)", "raw adjtimex 0", Verb::Clock),
    seccomp(
        "keys",
        "add_key(2): something that outlives the run",
        "raw add_key &user &x &x 1 -3",
        Verb::Keyring,
    ),
    seccomp("key-search", "request_key(2)", "raw request_key &user &x 0 -3", Verb::Keyring),
    seccomp(
        "type-on-terminal",
        "ioctl(TIOCSTI) types for the user",
        "raw ioctl 0 21522 &x",
        Verb::SyscallRefused,
    ),
    power(
        Group::Kernel,
        "kernel-log",
        "syslog(2) clears the kernel's log",
        "raw syslog 5 0 0",
        Enforcer::Dac,
        Verb::Machine,
    )
    .without_violation(Enforcer::Dac),
];
