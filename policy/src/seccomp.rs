//! What seccomp is to refuse: system calls that no rule of a tier can need.
//!
//! They are roads around the other enforcers, or powers over the machine; which verb tells of each is
//! `ebpf_common::syscall`'s to say. What ordinary work needs stays open: threads, fork, git, compilers,
//! interpreters. Two calls are answered with `ENOSYS`, so that libraries take their other road:
//!
//! - `clone3`, because its flags lie in memory where a filter cannot read them (a namespace or a
//!   foreign cgroup could be asked for); the C library then uses `clone`, whose flags it can.
//! - `io_uring_*`, because a tracepoint on a system call does not see what a ring carries out.
//!
//! The filter belongs to the agent's processes: whoever starts them through `clone3` installs it
//! afterwards. It must refuse foreign architectures and, on x86-64, numbers with the x32 bit, which
//! name the same calls again. Names that the architecture does not have (`iopl`, `ioperm`) are left
//! out by whoever applies the plan.
//!
//! Left open, because a filter sees numbers and not whose process they name: priorities, affinity
//! and limits of other processes of the same user.

use ebpf_common::{Tier, Verb, syscall::verb_of};
use serde::Serialize;

/// What a refused system call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Errno {
    /// The caller may not.
    Eperm,
    /// There is no such call, so use another.
    Enosys,
}

/// When a call is refused, where not always. Arguments count from 0; the kernel reads the lower 32
/// bits of each of those named here, so only these are to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Any bit of `mask` is set.
    AnyBit {
        /// The argument.
        argument: u8,
        /// The bits.
        mask: u32,
    },
    /// The argument has this value.
    Equals {
        /// The argument.
        argument: u8,
        /// The value.
        value: u32,
    },
    /// The argument has none of these values, all of which are below 64.
    NoneOf {
        /// The argument.
        argument: u8,
        /// The values.
        values: &'static [u32],
    },
    /// Of a call that makes a socket: it is of this family and of this type, whatever flags come with
    /// the type.
    Socket {
        /// The family.
        family: u32,
        /// The type.
        kind: u32,
    },
}

/// One comparison of a filter, `(argument, mask, value)`: true when `argument & mask == value`.
pub type Comparison = (u8, u32, u32);

impl Condition {
    /// The condition as alternatives: refused when all comparisons of one of them are true. That is
    /// what filters can compare.
    #[must_use]
    pub fn alternatives(self) -> Vec<Vec<Comparison>> {
        const SMALL: u32 = 64;
        match self {
            Self::AnyBit { argument, mask } => (0..u32::BITS)
                .map(|bit| 1 << bit)
                .filter(|bit| mask & bit != 0)
                .map(|bit| vec![(argument, bit, bit)])
                .collect(),
            Self::Equals { argument, value } => vec![vec![(argument, u32::MAX, value)]],
            Self::NoneOf { argument, values } => {
                let small = (0..SMALL).filter(|value| !values.contains(value));
                let small = small.map(|value| vec![(argument, u32::MAX, value)]);
                let large = Self::AnyBit { argument, mask: !(SMALL - 1) }.alternatives();
                small.chain(large).collect()
            }
            Self::Socket { family, kind } => {
                vec![vec![(0, u32::MAX, family), (1, SOCKET_TYPE, kind)]]
            }
        }
    }
}

/// One refused system call. Several may name the same call with different conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Its name.
    pub syscall: &'static str,
    /// When; `None` for always.
    pub condition: Option<Condition>,
    /// What the caller gets.
    pub errno: Errno,
    /// Why, in words for people.
    pub reason: &'static str,
}

/// What seccomp is to refuse in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeccompPlan {
    /// The refusals; everything else is allowed.
    pub refusals: Vec<Refusal>,
}

/// System calls that are refused for one reason, below a tier or at all of them.
struct Group {
    reason: &'static str,
    errno: Errno,
    /// From this tier on they are allowed.
    until: Option<Tier>,
    calls: &'static [(&'static str, Option<Condition>)],
}

/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`, `NEWNET`, as `clone(2)` has
/// them.
const NEW_NAMESPACES: u32 = 0x7e02_0000;
/// `CLONE_NEWTIME`, for `unshare(2)` only: to `clone(2)` the bit is part of the exit signal.
const NEW_TIME_NAMESPACE: u32 = 0x80;
/// `TIOCSTI`: type on the terminal as if its user did.
const TIOCSTI: u32 = 0x5412;
/// `TIOCLINUX`: paste into a virtual console.
const TIOCLINUX: u32 = 0x541c;

/// Families of sockets that are open: `AF_UNIX`, `AF_INET`, `AF_INET6`, `AF_NETLINK`.
const FAMILIES: &[u32] = &[1, INET, INET6, 16];
const INET: u32 = 2;
const INET6: u32 = 10;
/// Protocols that are open: 0 for the family's own choice, TCP, UDP, and the numbers of netlink's,
/// which the filter cannot tell from IP's. ICMP (1) and all that come behind netlink's are not.
const PROTOCOLS: &[u32] =
    &[0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22];
/// `SOCK_TYPE_MASK`, include/linux/net.h: the rest of the argument is flags.
const SOCKET_TYPE: u32 = 0xf;
/// `SOCK_SEQPACKET`: of the families of IP, SCTP alone.
const SEQPACKET: u32 = 5;
/// `SOCK_DCCP`.
const DCCP: u32 = 6;

const GROUPS: &[Group] = &[
    Group {
        reason: "changes what paths mean",
        errno: Errno::Eperm,
        until: None,
        calls: &[
            ("mount", None),
            ("umount2", None),
            ("pivot_root", None),
            ("chroot", None),
            ("open_tree", None),
            ("move_mount", None),
            ("fsopen", None),
            ("fsconfig", None),
            ("fsmount", None),
            ("fspick", None),
            ("mount_setattr", None),
            ("open_by_handle_at", None),
        ],
    },
    Group {
        reason: "changes namespaces, where names and users mean something else",
        errno: Errno::Eperm,
        until: None,
        calls: &[
            ("setns", None),
            (
                "unshare",
                Some(Condition::AnyBit { argument: 0, mask: NEW_NAMESPACES | NEW_TIME_NAMESPACE }),
            ),
            ("clone", Some(Condition::AnyBit { argument: 0, mask: NEW_NAMESPACES })),
        ],
    },
    Group {
        reason: "its flags lie in memory, where a filter cannot read them: use clone",
        errno: Errno::Enosys,
        until: None,
        calls: &[("clone3", None)],
    },
    Group {
        reason: "carries out system calls where tracepoints do not see them",
        errno: Errno::Enosys,
        until: None,
        calls: &[("io_uring_setup", None), ("io_uring_enter", None), ("io_uring_register", None)],
    },
    Group {
        reason: "reaches into the observer's means",
        errno: Errno::Eperm,
        until: None,
        calls: &[("bpf", None), ("perf_event_open", None), ("fanotify_init", None)],
    },
    Group {
        reason: "changes the kernel or the machine",
        errno: Errno::Eperm,
        until: None,
        calls: &[
            ("init_module", None),
            ("finit_module", None),
            ("delete_module", None),
            ("kexec_load", None),
            ("kexec_file_load", None),
            ("reboot", None),
            ("swapon", None),
            ("swapoff", None),
            ("acct", None),
            ("quotactl", None),
            ("quotactl_fd", None),
            ("nfsservctl", None),
            ("lookup_dcookie", None),
            ("iopl", None),
            ("ioperm", None),
            ("sethostname", None),
            ("setdomainname", None),
            ("vhangup", None),
        ],
    },
    Group {
        reason: "changes the clocks that evidence is dated by",
        errno: Errno::Eperm,
        until: None,
        calls: &[
            ("settimeofday", None),
            ("clock_settime", None),
            ("adjtimex", None),
            ("clock_adjtime", None),
        ],
    },
    Group {
        reason: "leaves keys that outlive the run",
        errno: Errno::Eperm,
        until: None,
        calls: &[("add_key", None), ("request_key", None), ("keyctl", None)],
    },
    Group {
        reason: "holds up the kernel in the middle of a page fault",
        errno: Errno::Eperm,
        until: None,
        calls: &[("userfaultfd", None)],
    },
    Group {
        reason: "types on the terminal that the run was started from",
        errno: Errno::Eperm,
        until: None,
        calls: &[
            ("ioctl", Some(Condition::Equals { argument: 1, value: TIOCSTI })),
            ("ioctl", Some(Condition::Equals { argument: 1, value: TIOCLINUX })),
        ],
    },
    Group {
        reason: "opens a road to others on which addresses are not judged",
        errno: Errno::Eperm,
        until: None,
        calls: &[
            ("socket", Some(Condition::NoneOf { argument: 0, values: FAMILIES })),
            ("socket", Some(Condition::NoneOf { argument: 2, values: PROTOCOLS })),
            ("socket", Some(Condition::Socket { family: INET, kind: SEQPACKET })),
            ("socket", Some(Condition::Socket { family: INET6, kind: SEQPACKET })),
            ("socket", Some(Condition::Socket { family: INET, kind: DCCP })),
            ("socket", Some(Condition::Socket { family: INET6, kind: DCCP })),
        ],
    },
    Group {
        reason: "reads another process's memory: tier 1",
        errno: Errno::Eperm,
        until: Some(Tier::Introspection),
        calls: &[("process_vm_readv", None)],
    },
    Group {
        reason: "takes hold of another process: tier 2",
        errno: Errno::Eperm,
        until: Some(Tier::ProcessControl),
        calls: &[
            ("ptrace", None),
            ("process_vm_writev", None),
            ("process_madvise", None),
            ("process_mrelease", None),
            ("pidfd_getfd", None),
            ("move_pages", None),
            ("migrate_pages", None),
        ],
    },
];

/// Plans the filter of a run of this tier.
#[must_use]
pub fn plan(tier: Tier) -> SeccompPlan {
    let groups = GROUPS.iter().filter(|group| group.until.is_none_or(|until| tier < until));
    let refusals = groups.flat_map(|group| {
        group.calls.iter().map(|&(syscall, condition)| Refusal {
            syscall,
            condition,
            errno: group.errno,
            reason: group.reason,
        })
    });
    SeccompPlan { refusals: refusals.collect() }
}

/// Whether the filter of a run of this tier refuses syscalls that `verb` tells of.
#[must_use]
pub fn refuses(tier: Tier, verb: Verb) -> bool {
    plan(tier).refusals.iter().any(|refusal| verb_of(refusal.syscall) == Some(verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(tier: Tier, syscall: &str) -> bool {
        plan(tier).refusals.iter().any(|refusal| refusal.syscall == syscall)
    }

    #[test]
    fn a_higher_tier_refuses_no_more_than_a_lower_one() {
        for pair in Tier::ALL.windows(2) {
            let lower = plan(pair[0]).refusals;
            assert!(plan(pair[1]).refusals.iter().all(|refusal| lower.contains(refusal)));
        }
    }

    #[test]
    fn tracing_and_foreign_memory_come_with_their_tiers() {
        assert!(refused(Tier::Introspection, "ptrace"));
        assert!(!refused(Tier::ProcessControl, "ptrace"));
        assert!(refused(Tier::Work, "process_vm_readv"));
        assert!(!refused(Tier::Introspection, "process_vm_readv"));
        assert!(refused(Tier::Replication, "bpf"));
    }

    #[test]
    fn each_refused_call_but_clone3_is_a_power_that_a_verb_tells_of() {
        for Refusal { syscall, .. } in plan(Tier::Work).refusals {
            assert_eq!(verb_of(syscall).is_some(), syscall != "clone3", "{syscall}");
        }
    }

    #[test]
    fn what_ordinary_work_needs_is_open_at_every_tier() {
        for syscall in [
            "fork",
            "vfork",
            "execve",
            "execveat",
            "wait4",
            "kill",
            "futex",
            "mmap",
            "connect",
            "prctl",
            "seccomp",
            "landlock_restrict_self",
            "unlinkat",
            "renameat2",
            "personality",
            "membarrier",
            "rseq",
            "memfd_create",
            "pidfd_open",
            "inotify_init1",
        ] {
            assert!(!refused(Tier::Work, syscall), "{syscall}");
        }
        let plan = plan(Tier::Work);
        let conditional =
            plan.refusals.iter().filter(|it| ["clone", "ioctl"].contains(&it.syscall));
        assert!(
            conditional.clone().count() == 3
                && conditional.clone().all(|it| it.condition.is_some())
        );
    }

    #[test]
    fn tcp_udp_unix_and_netlink_sockets_are_open_and_no_others() {
        let refusals = plan(Tier::Replication).refusals;
        let conditions: Vec<_> =
            refusals.iter().filter(|it| it.syscall == "socket").map(|it| it.condition).collect();
        let refused = |family: u32, kind: u32, protocol: u32| {
            let arguments = [family, kind, protocol];
            let is_true = |(argument, mask, value): &Comparison| {
                arguments[usize::from(*argument)] & mask == *value
            };
            conditions
                .iter()
                .flat_map(|condition| condition.unwrap().alternatives())
                .any(|comparisons| comparisons.iter().all(is_true))
        };
        const CLOEXEC: u32 = 0x8_0000;
        for kind in [1, 2, 5] {
            assert!(!refused(1, kind | CLOEXEC, 0), "unix {kind}");
        }
        for family in [INET, INET6] {
            for (kind, protocol) in [(1, 0), (1, 6), (2, 0), (2, 17)] {
                assert!(!refused(family, kind | CLOEXEC, protocol), "{family} {kind} {protocol}");
            }
            // ICMP, DCCP, ICMPv6, L2TP, SCTP, UDP-Lite, SMC, MPTCP.
            for protocol in [1, 33, 58, 115, 132, 136, 256, 262] {
                assert!(refused(family, 2, protocol), "{family} {protocol}");
            }
            assert!(refused(family, SEQPACKET | CLOEXEC, 0) && refused(family, DCCP, 0));
        }
        for protocol in 0..=22 {
            assert_eq!(refused(16, 3 | CLOEXEC, protocol), protocol == 1, "netlink {protocol}");
        }
        // Packet, key management, vsock, XDP, and families that have no name yet.
        for family in [0, 17, 15, 40, 44, 46, 63, 64, 1 << 31] {
            assert!(refused(family, 1, 0), "{family}");
        }
    }

    #[test]
    fn threads_and_vforks_pass_the_clone_condition_and_each_namespace_does_not() {
        let clone = plan(Tier::Work).refusals.into_iter().find(|it| it.syscall == "clone").unwrap();
        let alternatives = clone.condition.unwrap().alternatives();
        let matches = |flags: u32| {
            alternatives.iter().flatten().any(|(_, mask, value)| flags & mask == *value)
        };
        let (thread, vfork, fork) = (0x003d_0f00, 0x4111, 0x0120_0011);
        assert!(![thread, vfork, fork].into_iter().any(matches));
        for namespace in
            [0x2_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000]
        {
            assert!(matches(namespace | 0x11), "{namespace:#x}");
        }
    }

    #[test]
    fn no_call_is_refused_twice_for_the_same_condition() {
        let refusals = plan(Tier::Work).refusals;
        for (index, refusal) in refusals.iter().enumerate() {
            let same = |other: &&Refusal| {
                other.syscall == refusal.syscall && other.condition == refusal.condition
            };
            assert_eq!(refusals[index..].iter().filter(same).count(), 1, "{}", refusal.syscall);
        }
    }
}
