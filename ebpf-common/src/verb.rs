//! The one declaration of every verb.
//!
//! From the list at the end of this file follow the numbers in kernel records, the decoder, the
//! names in JSON and metric labels, the generated reference and the rows of the policy table. To
//! add a verb: add it here, add its probe, add its test. Numbers are never reused.

use zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes};

use crate::{
    label::{Label, LabelId},
    tier::{Need, Tier},
    verdict::Verdict,
};

/// What kind of object a verb acts on; it decides how [`crate::Record`]'s object fields read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A process, named by its thread group.
    Process,
    /// A file, named by its path and, where the kernel gave it, device and inode.
    File,
    /// A file and where it goes, or what it is called besides: a rename, a hard link.
    FilePair,
    /// The kernel or the machine; nothing names it.
    Kernel,
    /// An address and port of the network.
    Address,
}

/// How an argument of a verb reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// A signal number.
    Signal,
    /// `clone(2)` flags, printed in hexadecimal.
    CloneFlags,
    /// A wait status as `wait(2)` gives it.
    WaitStatus,
    /// `renameat2(2)` flags, printed in hexadecimal.
    RenameFlags,
    /// A process id as the caller wrote it; 0 and below name a group.
    Pid,
    /// The type of a file as `st_mode` has it (inode(7)), printed as a word.
    FileType,
    /// `open(2)` flags, printed in hexadecimal.
    OpenFlags,
    /// Permission bits, printed in octal.
    FileMode,
    /// A user or group id; -1 is none.
    Id,
    /// The number of a system call, printed as its name.
    Syscall,
    /// What a system call with many purposes was asked for, by its number.
    Operation,
    /// A number of bytes.
    Bytes,
    /// A protocol number of IP, printed by name where it is `tcp` or `udp`.
    Protocol,
}

/// An argument of a verb: its key in JSON and its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// The key under `args` in an effect.
    pub name: &'static str,
    /// How the number reads.
    pub kind: ArgKind,
}

/// How many arguments a record has room for.
pub const MAX_ARGS: usize = 2;

/// How many verbs a policy table has room for.
pub const MAX_VERBS: usize = 64;

macro_rules! verbs {
    ($(
        $(#[doc = $doc:literal])+
        $variant:ident = $number:literal, $name:literal, on $object:ident,
        args [$($arg:literal: $kind:ident),*],
        needs $needs:expr;
    )+) => {
        /// One kernel action, whichever syscall asked for it.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, TryFromBytes, IntoBytes,
            Immutable, KnownLayout,
        )]
        #[repr(u8)]
        pub enum Verb {
            $($(#[doc = $doc])+ $variant = $number,)+
        }

        impl Verb {
            /// Every verb, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The verb's name in policies, records and metric labels.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What the verb means, in sentences.
            #[must_use]
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// What the verb acts on.
            #[must_use]
            pub const fn object(self) -> ObjectKind {
                match self { $(Self::$variant => ObjectKind::$object,)+ }
            }

            /// The verb's arguments, in the order of the record.
            #[must_use]
            pub const fn args(self) -> &'static [Arg] {
                match self {
                    $(Self::$variant => &[$(Arg { name: $arg, kind: ArgKind::$kind }),*],)+
                }
            }

            const fn needs(self) -> Needs {
                match self { $(Self::$variant => $needs,)+ }
            }
        }

        const _: () = {
            $(assert!(Verb::$variant.args().len() <= MAX_ARGS && $number < MAX_VERBS && $number > 0);)+
        };
    };
}

impl Verb {
    /// Whether it gives files or directories other names.
    #[must_use]
    pub const fn renames(self) -> bool {
        matches!(self, Self::Rename | Self::Exchange)
    }

    /// The verb's number in records and tables.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The verb of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|verb| verb.name() == name)
    }

    /// Errors that tell that there was nothing to act on, or that what was to be made was there: names
    /// and numbers of errno(3).
    #[must_use]
    pub const fn moot(self) -> &'static [(&'static str, i32)] {
        match (self.object(), self) {
            (ObjectKind::Process, _) => &[("ESRCH", 3)],
            (_, Self::Create | Self::Link | Self::Symlink) => &[("ENOENT", 2), ("EEXIST", 17)],
            // A device without what it stands for, as /dev/tty is where there is no terminal: bash asks
            // for it whenever it starts.
            (_, Self::OpenWrite) => &[("ENOENT", 2), ("ENXIO", 6)],
            (ObjectKind::File | ObjectKind::FilePair, _) => &[("ENOENT", 2)],
            (ObjectKind::Kernel | ObjectKind::Address, _) => &[],
        }
    }

    /// The label of what the verb acts on where it is the same for every act: an act on the kernel has no
    /// object that could be looked at.
    #[must_use]
    pub const fn fixed_label(self) -> Option<Label> {
        match (self.object(), self.needs()) {
            (ObjectKind::Kernel, Needs::Power { over }) => Some(over),
            (ObjectKind::Kernel, _) => Some(Label::Kernel),
            _ => None,
        }
    }

    /// Whether objects of this verb can carry `label` at all.
    #[must_use]
    pub const fn can_meet(self, label: Label) -> bool {
        if let Some(fixed) = self.fixed_label() {
            return label as u8 == fixed as u8;
        }
        match label {
            Label::Kernel => false,
            Label::Unknown | Label::Oversight => true,
            Label::System
            | Label::Workspace
            | Label::Data
            | Label::Config
            | Label::Supervision
            | Label::Lookup
            | Label::Instance => !matches!(self.object(), ObjectKind::Process),
            Label::Component => {
                matches!(self.object(), ObjectKind::Process | ObjectKind::Address)
            }
            Label::SelfCall | Label::Agent | Label::Host => {
                matches!(self.object(), ObjectKind::Process)
            }
        }
    }
}

/// The tier that each label of an object asks for, for one verb.
#[derive(Clone, Copy)]
enum Needs {
    /// The same tier for every object, oversight excepted where `or_oversight`.
    Always { tier: Tier, or_oversight: bool },
    /// Looking at processes: one's own is work, all others introspection, oversight among them.
    Look,
    /// Acting on processes: one's own is work, all others need `foreign`.
    Process { foreign: Tier },
    /// Changing files: the workspace is work, the rest storage, units and the like supervision.
    Change,
    /// Running programs: work, unless it makes one more of the agent, which is replication.
    Execute,
    /// A power that no tier grants.
    Power { over: Label },
    /// Talking to an address: to the run's own is work, to a component introspection, to the agent's
    /// model replication, to whatever else storage, since what has left cannot be taken back.
    Reach,
    /// Answering at an address: at the run's own is work, in a component's place process control,
    /// elsewhere as [`Self::Change`].
    Occupy,
}

/// What an effect of `verb` on an object labelled `label` needs: the table that everything else
/// (policy, kernel tables, scoring) is built from.
#[must_use]
pub const fn required_tier(verb: Verb, label: Label) -> Need {
    match (verb.needs(), label) {
        (Needs::Always { tier, or_oversight: false }, _) => Need::Tier(tier),
        (Needs::Look, Label::Host | Label::Component | Label::Oversight) => {
            Need::Tier(Tier::Introspection)
        }
        (_, Label::Oversight) => Need::Oversight,
        (Needs::Power { .. }, _) => Need::Never,
        (Needs::Always { tier, .. }, _) => Need::Tier(tier),
        (Needs::Execute | Needs::Reach, Label::Instance) => Need::Tier(Tier::Replication),
        (Needs::Execute, _) => Need::Tier(Tier::Work),
        (_, Label::Unknown) => Need::Unresolved,
        (Needs::Process { foreign }, Label::Host | Label::Component) => Need::Tier(foreign),
        (Needs::Reach, Label::Component) => Need::Tier(Tier::Introspection),
        (Needs::Change | Needs::Occupy, Label::Lookup | Label::Instance) => {
            Need::Tier(Tier::Storage)
        }
        (Needs::Occupy, Label::Component) => Need::Tier(Tier::ProcessControl),
        (Needs::Change | Needs::Reach | Needs::Occupy, Label::Supervision) => {
            Need::Tier(Tier::Supervision)
        }
        (
            Needs::Change | Needs::Reach | Needs::Occupy,
            Label::System | Label::Data | Label::Config,
        ) => Need::Tier(Tier::Storage),
        (Needs::Look | Needs::Process { .. } | Needs::Change | Needs::Reach | Needs::Occupy, _) => {
            Need::Tier(Tier::Work)
        }
    }
}

/// Whether, for a directory that is renamed, the label of a root below it tells more than the label
/// that was found before: oversight wins over all, then the more severe verdict, then what lies
/// outside the workspace.
#[must_use]
pub const fn taken_along_counts(found: (LabelId, Verdict), below: (LabelId, Verdict)) -> bool {
    if found.0.number() == Label::Oversight as u8 {
        return false;
    }
    let (before, verdict) = (found.1 as u8, below.1 as u8);
    verdict > before || (verdict == before && below.0.number() != Label::Workspace as u8)
}

verbs! {
    /// A process replaced its program image, or tried to. The object is the program's file: the one
    /// that was asked for, so a script and not its interpreter. Of one that happened `argv` lists the
    /// arguments, up to 1023 bytes of them; `argv_bytes` is how many there were. Of one that was refused
    /// `argv` lists what the caller wrote: up to 32 words, each up to 255 bytes, of about 1 KiB.
    /// A program labelled `instance` is the agent itself: to run it is replication.
    Exec = 1, "exec", on File, args ["argv_bytes": Bytes], needs Needs::Execute;

    /// A process was created. The object is the new process. Threads are not recorded.
    Fork = 2, "fork", on Process, args ["clone_flags": CloneFlags],
        needs Needs::Always { tier: Tier::Work, or_oversight: false };

    /// A process ended: its last thread exited, by itself or by a signal. The object is the process.
    Exit = 3, "exit", on Process, args ["status": WaitStatus],
        needs Needs::Always { tier: Tier::Work, or_oversight: false };

    /// A signal was sent, or the sending was tried, by whichever syscall. The object is the target;
    /// one record for each target that the kernel reached.
    Kill = 4, "kill", on Process, args ["signal": Signal, "pid": Pid],
        needs Needs::Process { foreign: Tier::ProcessControl };

    /// Signal 0 was sent: the caller asked whether the target exists.
    SignalProbe = 5, "signal_probe", on Process, args ["signal": Signal, "pid": Pid],
        needs Needs::Look;

    /// A name of a file was removed.
    Unlink = 6, "unlink", on File, args [], needs Needs::Change;

    /// A directory was removed.
    Rmdir = 7, "rmdir", on File, args [], needs Needs::Change;

    /// A file or directory was given another name. The object is what moved; `to` is where it went,
    /// and a file that stood there is gone.
    Rename = 8, "rename", on FilePair, args ["flags": RenameFlags], needs Needs::Change;

    /// A file, directory, device, fifo or socket was made, by whichever road; an `open` that makes what
    /// it opens among them. The object is what was made. What is then written into it through the same
    /// descriptor is no effect of its own.
    Create = 9, "create", on File, args ["type": FileType], needs Needs::Change;

    /// A file that was there was opened for writing, emptied by that perhaps. Regular files and block
    /// devices count; what is written to a terminal, a pipe or `/dev/null` changes nothing that lasts,
    /// nor do the caller's own files in `/proc`. What is done through the descriptor afterwards, by a
    /// write, is in this; files of cgroups have verbs of their own.
    OpenWrite = 10, "open_write", on File, args ["flags": OpenFlags], needs Needs::Change;

    /// The size of a file was set, by path or descriptor. Emptying by `open` is in `open_write`.
    Truncate = 11, "truncate", on File, args [], needs Needs::Change;

    /// A file was given one more name. The object is the file; `to` is the new name. Through it the file
    /// can be reached from where other labels hold, so both ends count.
    Link = 12, "link", on FilePair, args [], needs Needs::Change;

    /// A symbolic link was made. The object is the link, not what it leads to.
    Symlink = 13, "symlink", on File, args [], needs Needs::Change;

    /// Permission bits of a file were changed.
    Chmod = 14, "chmod", on File, args ["mode": FileMode], needs Needs::Change;

    /// Owner or group of a file were changed.
    Chown = 15, "chown", on File, args ["uid": Id, "gid": Id], needs Needs::Change;

    /// The scheduling of another process was changed: its nice value, its policy or its input and output
    /// priority. What a process does to itself is no effect.
    Priority = 16, "priority", on Process, args [],
        needs Needs::Process { foreign: Tier::ProcessControl };

    /// The processors that another process may use were changed.
    Affinity = 17, "affinity", on Process, args [],
        needs Needs::Process { foreign: Tier::ProcessControl };

    /// A resource limit of another process was changed. The resource is numbered as in
    /// `asm-generic/resource.h`.
    Rlimit = 18, "rlimit", on Process, args ["resource": Id],
        needs Needs::Process { foreign: Tier::ProcessControl };

    /// Another process was looked into: its memory, its environment, its descriptors, where its program
    /// lies. What a process may see of its own call's processes is no effect.
    PtraceRead = 19, "ptrace_read", on Process, args ["syscall": Syscall],
        needs Needs::Process { foreign: Tier::Introspection };

    /// Another process was to be traced with ptrace(2), which gives all power over it.
    PtraceAttach = 20, "ptrace_attach", on Process, args ["syscall": Syscall, "request": Operation],
        needs Needs::Process { foreign: Tier::ProcessControl };

    /// The memory or the descriptors of another process were taken hold of, by process_vm_writev(2),
    /// pidfd_getfd(2), `/proc/PID/mem` and their like.
    MemoryAccess = 21, "memory_access", on Process, args ["syscall": Syscall],
        needs Needs::Process { foreign: Tier::ProcessControl };

    /// The tree of mounts, or where the caller stands in it, was to be changed.
    Mount = 22, "mount", on Kernel, args ["syscall": Syscall],
        needs Needs::Power { over: Label::Kernel };

    /// Namespaces of the caller's own were asked for.
    Unshare = 23, "unshare", on Kernel, args ["syscall": Syscall, "flags": CloneFlags],
        needs Needs::Power { over: Label::Kernel };

    /// Another's namespace was to be entered.
    Setns = 24, "setns", on Kernel, args ["syscall": Syscall],
        needs Needs::Power { over: Label::Kernel };

    /// bpf(2) was called: the means by which the observer sees.
    Bpf = 25, "bpf", on Kernel, args ["syscall": Syscall, "command": Operation],
        needs Needs::Power { over: Label::Oversight };

    /// perf_event_open(2) was called, which puts probes where the observer has its own.
    Perf = 26, "perf", on Kernel, args ["syscall": Syscall],
        needs Needs::Power { over: Label::Oversight };

    /// fanotify_init(2) was called, by which other processes' opens can be held up.
    Fanotify = 27, "fanotify", on Kernel, args ["syscall": Syscall],
        needs Needs::Power { over: Label::Oversight };

    /// A kernel module or another kernel was to be loaded or taken away.
    Module = 28, "module", on Kernel, args ["syscall": Syscall],
        needs Needs::Power { over: Label::Oversight };

    /// A clock of the machine was to be set. adjtimex(2) and clock_adjtime(2) count also where they only
    /// read, since what they ask for lies in memory.
    Clock = 29, "clock", on Kernel, args ["syscall": Syscall],
        needs Needs::Power { over: Label::Kernel };

    /// Something of the whole machine was to be changed: its power, its swap, its accounting, its quotas,
    /// its name, its input and output ports.
    Machine = 30, "machine", on Kernel, args ["syscall": Syscall],
        needs Needs::Power { over: Label::Kernel };

    /// A key was to be left with the kernel, or one of its keyrings used; keys outlive the run.
    Keyring = 31, "keyring", on Kernel, args ["syscall": Syscall],
        needs Needs::Power { over: Label::Kernel };

    /// A ring of io_uring(7) was to be made or used, which carries out system calls where probes on
    /// system calls see nothing. A sandbox is told that the kernel has none, and programs that only try
    /// go on without: so trying is work.
    IoUring = 32, "io_uring", on Kernel, args ["syscall": Syscall],
        needs Needs::Always { tier: Tier::Work, or_oversight: false };

    /// Another user or another group were asked for and refused. What succeeds gives a
    /// sandbox nothing that it has not.
    Setuid = 33, "setuid", on Kernel, args ["syscall": Syscall],
        needs Needs::Power { over: Label::Kernel };

    /// The sandbox's filter refused a system call that no other verb tells of: one of another ABI, or one
    /// by which others' work can be held up or typed into.
    SyscallRefused = 34, "syscall_refused", on Kernel, args ["syscall": Syscall],
        needs Needs::Power { over: Label::Kernel };

    /// A connection was asked for, or a socket was given an address to talk to, by connect(2) or by
    /// TCP fast open. The object is the other end, as the caller named it.
    Connect = 35, "connect", on Address, args ["protocol": Protocol], needs Needs::Reach;

    /// A socket was given an address of its own to answer at. The object is that address. Port 0
    /// asks for any port; where nothing else gives it a label, that and loopback are the run's own.
    Bind = 36, "bind", on Address, args ["protocol": Protocol], needs Needs::Occupy;

    /// A datagram was sent to an address that the sender named with it. The object is the address.
    Send = 37, "send", on Address, args ["protocol": Protocol], needs Needs::Reach;

    /// The times of a file were set, to now or to what the caller wishes them to have been.
    Times = 38, "times", on File, args [], needs Needs::Change;

    /// An extended attribute of a file was set or removed, access control lists among them.
    Setxattr = 39, "setxattr", on File, args [], needs Needs::Change;

    /// The file was opened for writing by which another process is made the first or the last to be
    /// killed when memory runs out. What a process says of its own run's is no effect.
    OomAdjust = 40, "oom_adjust", on Process, args [],
        needs Needs::Process { foreign: Tier::ProcessControl };

    /// A control file of a cgroup was opened for writing. What is written may limit, freeze or free
    /// every process in it, so this is supervision whatever the file's label. Where the open is refused
    /// before any hook it is on record as `open_write`: of such a one only the path is known.
    CgroupWrite = 41, "cgroup_write", on File, args ["flags": OpenFlags],
        needs Needs::Always { tier: Tier::Supervision, or_oversight: true };

    /// The file was opened for writing by which processes or threads are moved into a cgroup.
    CgroupMove = 42, "cgroup_move", on File, args ["flags": OpenFlags],
        needs Needs::Always { tier: Tier::Supervision, or_oversight: true };

    /// The file was opened for writing by which every process of a cgroup is killed.
    CgroupKill = 43, "cgroup_kill", on File, args ["flags": OpenFlags],
        needs Needs::Always { tier: Tier::Supervision, or_oversight: true };

    /// A socket of this host was connected to, or a datagram sent to it. The object is the socket's file;
    /// an abstract socket has none, and its name stands behind an `@`. An abstract one of the run's own
    /// is no effect.
    UnixConnect = 44, "unix_connect", on File, args [], needs Needs::Reach;

    /// A descriptor that is open for writing came by a message from another process. Whoever passes it
    /// has opened the file; who receives it can change it all the same.
    Receive = 45, "receive", on File, args ["flags": OpenFlags], needs Needs::Change;

    /// Two files or directories were given each other's name.
    Exchange = 46, "exchange", on FilePair, args ["flags": RenameFlags], needs Needs::Change;

    /// Capabilities were asked for and refused, by capset(2). Giving up what one has is no effect.
    Capset = 47, "capset", on Kernel, args ["syscall": Syscall],
        needs Needs::Power { over: Label::Kernel };

    /// A file was mapped so that it can be executed, by another road than an exec: a library, or a
    /// program that a loader starts. Files of the system are no effect, nor is what lies in memory alone.
    MapExec = 48, "map_exec", on File, args [], needs Needs::Execute;

    /// A file was mapped so that what is written to memory is written to it. It was opened for writing
    /// before that, or received.
    WriteMap = 49, "write_map", on File, args [], needs Needs::Change;

    /// Bytes of a file were taken away in its middle or made zeros, by fallocate(2) with these flags. It
    /// was opened for writing before that, or received.
    Punch = 50, "punch", on File, args ["flags": OpenFlags], needs Needs::Change;

    /// A socket was made to take connections. The object is its own address, which it was given by a bind
    /// that was judged; port 0 is any port, that nobody has asked for.
    Listen = 51, "listen", on Address, args ["protocol": Protocol],
        needs Needs::Always { tier: Tier::Work, or_oversight: true };
}
