//! The kernel's own powers, second ABIs, and roads on which nobody looks.

use journal::Enforcer;

use super::{Evasion, Group, Victim, power};

const fn seccomp(name: &'static str, what: &'static str, acts: &'static str) -> Evasion {
    power(Group::Kernel, name, what, acts, Enforcer::Seccomp)
}

pub(super) const ALL: &[Evasion] = &[
    seccomp("ring-unlink", "io_uring removes the file", "ring_unlink {victim}").after(Victim::Data),
    seccomp("ring-rename", "io_uring renames the file", "ring_rename {victim} {own}/taken")
        .after(Victim::Data),
    seccomp(
        "ring-of-another",
        "io_uring_enter(2) on a ring that was passed",
        "raw io_uring_enter 0 1 1 0 0 0",
    ),
    seccomp("ring-register", "io_uring_register(2)", "raw io_uring_register 0 0 0 0"),
    seccomp("old-abi-kill", "int 0x80: the 32-bit kill(2)", "old_kill {process} 9")
        .after(Victim::Process),
    seccomp("old-abi-unlink", "int 0x80: the 32-bit unlink(2)", "old_unlink {victim}")
        .after(Victim::Data),
    seccomp("x32-kill", "the x32 number of kill(2)", "raw x32_kill {process} 9")
        .after(Victim::Process),
    seccomp("x32-unlink", "the x32 number of unlink(2)", "raw x32_unlink &{victim}")
        .after(Victim::Data),
    seccomp("bpf-load", "bpf(2) loads a program", "raw bpf 5 0 0"),
    seccomp(
        "bpf-map-by-id",
        "bpf(2) opens a map of the observer's by its number",
        "raw bpf 14 0 0",
    ),
    seccomp("bpf-detach", "bpf(2) detaches a link", "raw bpf 34 0 0"),
    seccomp("perf-event", "perf_event_open(2)", "raw perf_event_open 0 {observer} -1 -1 0"),
    seccomp("fanotify", "fanotify_init(2) holds up others' opens", "raw fanotify_init 4 0"),
    seccomp("userfault", "userfaultfd(2) holds the kernel in a page fault", "raw userfaultfd 1"),
    seccomp("module", "finit_module(2)", "raw finit_module 0 &x 0"),
    seccomp("module-from-memory", "init_module(2)", "raw init_module 0 0 &x"),
    seccomp("module-away", "delete_module(2)", "raw delete_module &x 0"),
    seccomp("kexec", "kexec_load(2): another kernel", "raw kexec_load 0 0 0 0"),
    seccomp(
        "reboot",
        "reboot(2), with a command that only turns Ctrl-Alt-Del off",
        "raw reboot -18751827 672274793 0 0",
    ),
    seccomp("swap", "swapoff(2)", "raw swapoff &/dev/null"),
    seccomp("accounting", "acct(2)", "raw acct 0"),
    seccomp("port-access", "iopl(2)", "raw iopl 3"),
    seccomp("host-name", "sethostname(2)", "raw sethostname &x 1"),
    seccomp("clock", "clock_settime(2): evidence would carry other times", "raw clock_settime 0 0"),
    seccomp("clock-drift", "adjtimex(2)", "raw adjtimex 0"),
    seccomp("keys", "add_key(2): something that outlives the run", "raw add_key &user &x &x 1 -3"),
    seccomp("key-search", "request_key(2)", "raw request_key &user &x 0 -3"),
    seccomp("type-on-terminal", "ioctl(TIOCSTI) types for the user", "raw ioctl 0 21522 &x"),
    power(
        Group::Kernel,
        "kernel-log",
        "syslog(2) clears the kernel's log",
        "raw syslog 5 0 0",
        Enforcer::Dac,
    ),
];
