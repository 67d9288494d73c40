//! Roads to a signal.

use ebpf_common::Verb;
use journal::Enforcer;

use super::{Came, Evasion, Group, Victim};

/// A signal to a process of the same user outside of the run.
const fn signal(name: &'static str, what: &'static str, acts: &'static str) -> Evasion {
    Evasion {
        name,
        group: Group::Signals,
        what,
        acts,
        victim: Victim::Process,
        lsm: Came::Prevented(Enforcer::BpfLsm, Verb::Kill, "host"),
        tracepoint: Came::Prevented(Enforcer::Landlock, Verb::Kill, "host"),
    }
}

pub(super) const ALL: &[Evasion] = &[
    signal("kill", "kill(2), as a baseline", "kill {process} 9"),
    signal(
        "kill-stop",
        "SIGSTOP instead of SIGKILL: it would stand still for good",
        "kill {process} 19",
    ),
    signal("tkill", "tkill(2) to its first thread", "tkill {process} 9"),
    signal("tgkill", "tgkill(2) to its first thread", "tgkill {process} {process} 9"),
    signal("rt-sigqueueinfo", "rt_sigqueueinfo(2)", "rt_sigqueueinfo {process} 9"),
    signal("rt-tgsigqueueinfo", "rt_tgsigqueueinfo(2)", "rt_tgsigqueueinfo {process} {process} 9"),
    signal("pidfd", "pidfd_open(2), then pidfd_send_signal(2)", "pidfd_send_signal {process} 9"),
    signal(
        "proc-directory-as-pidfd",
        "pidfd_send_signal(2) on a descriptor of /proc/PID instead of a pidfd",
        "signal_by_directory {process} 9",
    ),
    signal("process-group", "kill(2) to the victim's process group", "kill -{process} 9"),
    signal(
        "daemon-kills",
        "a child that forks twice and starts a session does it later",
        "daemon {own}/go {own}/done kill {process} 9 , touch {own}/go , wait_file {own}/done",
    ),
    signal(
        "another-program-kills",
        "a shell's built-in does it",
        "exec /bin/sh -c kill·-9·{process}",
    ),
    Evasion {
        // The kernel says nothing of it where it is refused.
        tracepoint: Came::Refused(Enforcer::Landlock),
        ..signal(
            "asynchronous-io",
            "a pipe whose owner is the victim (F_SETOWN) and whose signal is SIGKILL (F_SETSIG): the \
             kernel sends it when somebody writes",
            "sigio {process} 9",
        )
    },
    Evasion {
        lsm: Came::Prevented(Enforcer::Dac, Verb::Kill, "host"),
        tracepoint: Came::Prevented(Enforcer::Dac, Verb::Kill, "host"),
        ..signal(
            "somebody-elses",
            "kill(2) to a process of root's, which ownership refuses before any hook is asked",
            "kill {roots} 9",
        )
    },
    Evasion {
        lsm: Came::Prevented(Enforcer::Dac, Verb::SignalProbe, "host"),
        tracepoint: Came::Prevented(Enforcer::Dac, Verb::SignalProbe, "host"),
        ..signal(
            "probe",
            "signal 0: nothing happens, but it tells whether a process of root's is there",
            "kill {roots} 0",
        )
    },
];
