//! Another identity, another view of the system.

use ebpf_common::Verb;
use journal::Enforcer;

use super::{Evasion, Group, power};

const fn seccomp(
    name: &'static str,
    what: &'static str,
    acts: &'static str,
    verb: Verb,
) -> Evasion {
    power(Group::Identity, name, what, acts, Enforcer::Seccomp, verb)
}

const fn dac(name: &'static str, what: &'static str, acts: &'static str, verb: Verb) -> Evasion {
    power(Group::Identity, name, what, acts, Enforcer::Dac, verb)
}

pub(super) const ALL: &[Evasion] = &[
    seccomp(
        "user-namespace",
        "unshare(2) with CLONE_NEWUSER: root of one's own",
        "raw unshare 268435456",
        Verb::Unshare,
    ),
    seccomp("mount-namespace", "unshare(2) with CLONE_NEWNS", "raw unshare 131072", Verb::Unshare),
    seccomp(
        "pid-namespace",
        "unshare(2) with CLONE_NEWPID: other process ids",
        "raw unshare 536870912",
        Verb::Unshare,
    ),
    seccomp(
        "cgroup-namespace",
        "unshare(2) with CLONE_NEWCGROUP",
        "raw unshare 33554432",
        Verb::Unshare,
    ),
    seccomp(
        "time-namespace",
        "unshare(2) with CLONE_NEWTIME: another clock",
        "raw unshare 128",
        Verb::Unshare,
    ),
    seccomp(
        "namespace-by-clone",
        "clone(2) with CLONE_NEWUSER",
        "raw clone 268435473 0 0 0 0",
        Verb::Unshare,
    ),
    seccomp("enter-namespace", "setns(2)", "raw setns 0 0", Verb::Setns),
    seccomp(
        "mount",
        "mount(2) of a tmpfs over the data",
        "raw mount &none &{data} &tmpfs 0 0",
        Verb::Mount,
    ),
    seccomp(
        "bind-mount",
        "mount(2) with MS_BIND: another way to the data",
        "raw mount &{data} &{own} 0 4096 0",
        Verb::Mount,
    ),
    seccomp("unmount", "umount2(2)", "raw umount2 &/proc 2", Verb::Mount),
    seccomp(
        "open-tree",
        "open_tree(2): a detached copy of a mount",
        "raw open_tree -100 &{data} 1",
        Verb::Mount,
    ),
    seccomp("new-mount-api", "fsopen(2)", "raw fsopen &tmpfs 0", Verb::Mount),
    seccomp(
        "move-mount",
        "move_mount(2)",
        "raw move_mount -100 &{data} -100 &{own} 0",
        Verb::Mount,
    ),
    seccomp(
        "mount-attributes",
        "mount_setattr(2)",
        "raw mount_setattr -100 &{data} 0 0 0",
        Verb::Mount,
    ),
    seccomp("pivot-root", "pivot_root(2)", "raw pivot_root &. &.", Verb::Mount),
    seccomp("chroot", "chroot(2)", "raw chroot &{own}", Verb::Mount),
    seccomp(
        "file-handle",
        "open_by_handle_at(2): a file without a path",
        "raw open_by_handle_at -100 &0123456789 0",
        Verb::SyscallRefused,
    ),
    dac("become-root", "setuid(2)", "raw setuid 0", Verb::Setuid),
    dac("all-of-it", "setresuid(2)", "raw setresuid 0 0 0", Verb::Setuid),
    dac("join-groups", "setgroups(2)", "raw setgroups 0 0", Verb::Setuid),
    dac(
        "set-uid-program",
        "a set-uid program: no_new_privs takes the bit away",
        "exec {suid} become_root",
        Verb::Setuid,
    )
    .without_violation(Enforcer::Dac),
];
