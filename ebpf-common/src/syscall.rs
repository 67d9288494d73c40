//! System calls that are a power of their own, whatever their object: which verb each is, by its
//! number.
//!
//! The sandbox's seccomp filter refuses most of them before they reach any hook, so this table is what
//! both sides know them by: the probes by number, user space by name.

use crate::Verb;

/// The bit that numbers of the x32 ABI have (`__X32_SYSCALL_BIT`, arch/x86/include/uapi/asm/unistd.h).
pub const X32_BIT: u64 = 0x4000_0000;

/// The bit that a record gives to numbers of the 32-bit ABI, which name other calls.
pub const COMPAT_BIT: u64 = 0x8000_0000;

/// One past the highest number of [`POWERS`].
const NUMBERS: usize = 512;

/// A system call that is a power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power {
    /// Its name.
    pub name: &'static str,
    /// Its number on x86-64, arch/x86/entry/syscalls/syscall_64.tbl.
    pub number: u16,
    /// The verb that tells of it.
    pub verb: Verb,
}

macro_rules! powers {
    ($($verb:ident: $($name:literal = $number:literal),+;)+) => {
        /// Every one of them.
        pub const POWERS: &[Power] = &[
            $($(Power { name: $name, number: $number, verb: Verb::$verb },)+)+
        ];
    };
}

powers! {
    PtraceRead: "process_vm_readv" = 310;
    PtraceAttach: "ptrace" = 101;
    MemoryAccess: "process_vm_writev" = 311, "process_madvise" = 440, "process_mrelease" = 448,
        "pidfd_getfd" = 438, "move_pages" = 279, "migrate_pages" = 256;
    Mount: "mount" = 165, "umount2" = 166, "pivot_root" = 155, "chroot" = 161, "open_tree" = 428,
        "move_mount" = 429, "fsopen" = 430, "fsconfig" = 431, "fsmount" = 432, "fspick" = 433,
        "mount_setattr" = 442;
    Unshare: "unshare" = 272, "clone" = 56;
    Setns: "setns" = 308;
    Bpf: "bpf" = 321;
    Perf: "perf_event_open" = 298;
    Fanotify: "fanotify_init" = 300;
    Module: "init_module" = 175, "finit_module" = 313, "delete_module" = 176, "kexec_load" = 246,
        "kexec_file_load" = 320;
    Clock: "settimeofday" = 164, "clock_settime" = 227, "adjtimex" = 159, "clock_adjtime" = 305;
    Machine: "reboot" = 169, "swapon" = 167, "swapoff" = 168, "acct" = 163, "quotactl" = 179,
        "quotactl_fd" = 443, "nfsservctl" = 180, "lookup_dcookie" = 212, "iopl" = 172,
        "ioperm" = 173, "sethostname" = 170, "setdomainname" = 171, "vhangup" = 153;
    Keyring: "add_key" = 248, "request_key" = 249, "keyctl" = 250;
    IoUring: "io_uring_setup" = 425, "io_uring_enter" = 426, "io_uring_register" = 427;
    Setuid: "setuid" = 105, "setgid" = 106, "setreuid" = 113, "setregid" = 114, "setgroups" = 116,
        "setresuid" = 117, "setresgid" = 119;
    Capset: "capset" = 126;
    SyscallRefused: "open_by_handle_at" = 304, "userfaultfd" = 323, "ioctl" = 16,
        "socket" = 41;
}

/// Verbs by number.
static VERBS: [Option<Verb>; NUMBERS] = {
    let mut verbs = [None; NUMBERS];
    let mut index = 0;
    while index < POWERS.len() {
        let Power { number, verb, .. } = POWERS[index];
        assert!(verbs[number as usize].is_none(), "a number stands twice");
        verbs[number as usize] = Some(verb);
        index += 1;
    }
    verbs
};

/// The verb that tells of the system call with this number.
#[must_use]
#[inline(always)]
pub fn verb_at(number: u64) -> Option<Verb> {
    if number < NUMBERS as u64 { VERBS[number as usize] } else { None }
}

/// The verb that tells of the system call of this name.
#[must_use]
pub fn verb_of(name: &str) -> Option<Verb> {
    POWERS.iter().find(|power| power.name == name).map(|power| power.verb)
}

/// The name of the system call with this number, where it is a power.
#[must_use]
pub fn name_of(number: u64) -> Option<&'static str> {
    POWERS.iter().find(|power| u64::from(power.number) == number).map(|power| power.name)
}
