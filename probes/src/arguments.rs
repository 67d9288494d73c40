//! What the arguments of a syscall on files ask for: the numbers of the syscalls, and where each has
//! what it names.

use aya_ebpf::helpers::bpf_probe_read_user;
use ebpf_common::Verb;

use crate::{
    attributes::PERMISSIONS,
    create::{S_IFDIR, type_of},
    kernel::{Address, load_u32, load_u64},
    maps::offset,
    path::AT_FDCWD,
    rename::verb_of,
};

/// Syscall numbers of x86_64, arch/x86/entry/syscalls/syscall_64.tbl.
pub(crate) mod nr {
    pub(crate) const OPEN: u64 = 2;
    pub(crate) const TRUNCATE: u64 = 76;
    pub(crate) const FTRUNCATE: u64 = 77;
    pub(crate) const RENAME: u64 = 82;
    pub(crate) const MKDIR: u64 = 83;
    pub(crate) const RMDIR: u64 = 84;
    pub(crate) const CREAT: u64 = 85;
    pub(crate) const LINK: u64 = 86;
    pub(crate) const UNLINK: u64 = 87;
    pub(crate) const SYMLINK: u64 = 88;
    pub(crate) const CHMOD: u64 = 90;
    pub(crate) const FCHMOD: u64 = 91;
    pub(crate) const CHOWN: u64 = 92;
    pub(crate) const FCHOWN: u64 = 93;
    pub(crate) const LCHOWN: u64 = 94;
    pub(crate) const UTIME: u64 = 132;
    pub(crate) const MKNOD: u64 = 133;
    pub(crate) const SETXATTR: u64 = 188;
    pub(crate) const LSETXATTR: u64 = 189;
    pub(crate) const FSETXATTR: u64 = 190;
    pub(crate) const REMOVEXATTR: u64 = 197;
    pub(crate) const LREMOVEXATTR: u64 = 198;
    pub(crate) const FREMOVEXATTR: u64 = 199;
    pub(crate) const UTIMES: u64 = 235;
    pub(crate) const OPENAT: u64 = 257;
    pub(crate) const MKDIRAT: u64 = 258;
    pub(crate) const MKNODAT: u64 = 259;
    pub(crate) const FCHOWNAT: u64 = 260;
    pub(crate) const FUTIMESAT: u64 = 261;
    pub(crate) const UNLINKAT: u64 = 263;
    pub(crate) const RENAMEAT: u64 = 264;
    pub(crate) const LINKAT: u64 = 265;
    pub(crate) const SYMLINKAT: u64 = 266;
    pub(crate) const FCHMODAT: u64 = 268;
    pub(crate) const UTIMENSAT: u64 = 280;
    pub(crate) const FALLOCATE: u64 = 285;
    pub(crate) const RENAMEAT2: u64 = 316;
    pub(crate) const OPENAT2: u64 = 437;
    pub(crate) const FCHMODAT2: u64 = 452;
    pub(crate) const SETXATTRAT: u64 = 463;
    pub(crate) const REMOVEXATTRAT: u64 = 466;
}

/// Whether a syscall of this number opens a file.
#[inline(always)]
pub(crate) fn opens(number: u64) -> bool {
    matches!(number, nr::OPEN | nr::CREAT | nr::OPENAT | nr::OPENAT2)
}

/// Whether a syscall of this number does one of [`Asked`]'s acts.
#[inline(always)]
pub(crate) fn changes_files(number: u64) -> bool {
    matches!(
        number,
        nr::TRUNCATE
            | nr::FTRUNCATE
            | nr::RENAME
            | nr::MKDIR
            | nr::RMDIR
            | nr::LINK
            | nr::UNLINK
            | nr::SYMLINK
            | nr::CHMOD
            | nr::FCHMOD
            | nr::CHOWN
            | nr::FCHOWN
            | nr::LCHOWN
            | nr::MKNOD
            | nr::MKDIRAT
            | nr::MKNODAT
            | nr::FCHOWNAT
            | nr::UNLINKAT
            | nr::RENAMEAT
            | nr::LINKAT
            | nr::SYMLINKAT
            | nr::FCHMODAT
            | nr::RENAMEAT2
            | nr::FCHMODAT2
    ) || sets_times(number)
        || sets_attributes(number)
}

/// Whether a syscall of this number sets a file's times.
#[inline(always)]
pub(crate) fn sets_times(number: u64) -> bool {
    matches!(number, nr::UTIME | nr::UTIMES | nr::FUTIMESAT | nr::UTIMENSAT)
}

/// Whether a syscall of this number sets or removes an extended attribute.
#[inline(always)]
fn sets_attributes(number: u64) -> bool {
    matches!(
        number,
        nr::SETXATTR
            | nr::LSETXATTR
            | nr::FSETXATTR
            | nr::REMOVEXATTR
            | nr::LREMOVEXATTR
            | nr::FREMOVEXATTR
            | nr::SETXATTRAT
            | nr::REMOVEXATTRAT
    )
}

/// A file as the caller named it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Where a relative path starts: a descriptor, or [`AT_FDCWD`].
    pub(crate) directory: i32,
    /// Address of the path; 0 where the descriptor is the file itself.
    pub(crate) path: u64,
}

impl Place {
    const NONE: Self = Self { directory: AT_FDCWD, path: 0 };

    /// Whether it is the descriptor that names the file.
    #[inline(always)]
    pub(crate) fn is_descriptor(self) -> bool {
        self.path == 0
    }
}

/// What a syscall was asked to do.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) verb: Verb,
    pub(crate) args: [u64; 2],
    pub(crate) place: Place,
    /// The other end; nothing where the verb has none.
    pub(crate) to: Place,
    /// Whether a symbolic link at the end of the path is followed.
    pub(crate) followed: bool,
}

const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
const AT_REMOVEDIR: u64 = 0x200;
const AT_SYMLINK_FOLLOW: u64 = 0x400;

/// The arguments of a syscall.
struct Arguments(Address);

impl Arguments {
    #[inline(always)]
    fn get(&self, index: u32) -> u64 {
        let offset = match index {
            0 => offset!(regs_arg0),
            1 => offset!(regs_arg1),
            2 => offset!(regs_arg2),
            3 => offset!(regs_arg3),
            _ => offset!(regs_arg4),
        };
        load_u64(self.0, offset)
    }

    #[inline(always)]
    fn path(&self, index: u32) -> Place {
        Place { directory: AT_FDCWD, path: self.get(index) }
    }

    #[inline(always)]
    fn descriptor(&self, index: u32) -> Place {
        Place { directory: self.get(index) as i32, path: 0 }
    }

    /// A directory and the path behind it.
    #[inline(always)]
    fn at(&self, index: u32) -> Place {
        Place { directory: self.get(index) as i32, path: self.get(index + 1) }
    }

    #[inline(always)]
    fn mode(&self, index: u32) -> [u64; 2] {
        [self.get(index) & u64::from(PERMISSIONS), 0]
    }

    #[inline(always)]
    fn kind(&self, index: u32) -> [u64; 2] {
        [type_of(self.get(index) as u32), 0]
    }

    #[inline(always)]
    fn ids(&self, index: u32) -> [u64; 2] {
        [self.get(index) & 0xffff_ffff, self.get(index + 1) & 0xffff_ffff]
    }

    #[inline(always)]
    fn has(&self, index: u32, flag: u64) -> bool {
        self.get(index) & flag != 0
    }
}

const NOTHING: [u64; 2] = [0; 2];

#[inline(always)]
fn one(verb: Verb, place: Place, args: [u64; 2]) -> Asked {
    Asked { verb, args, place, to: Place::NONE, followed: false }
}

#[inline(always)]
fn followed(verb: Verb, place: Place, args: [u64; 2]) -> Asked {
    Asked { followed: true, ..one(verb, place, args) }
}

#[inline(always)]
fn two(verb: Verb, place: Place, to: Place, flags: u64) -> Asked {
    Asked { to, ..one(verb, place, [flags, 0]) }
}

/// What the syscall with these registers was asked to do to files. For those of [`changes_files`].
#[inline(always)]
pub(crate) fn asked(registers: Address, number: u64) -> Asked {
    let it = Arguments(registers);
    let directory = [u64::from(S_IFDIR), 0];
    match number {
        nr::UNLINK => one(Verb::Unlink, it.path(0), NOTHING),
        nr::RMDIR => one(Verb::Rmdir, it.path(0), NOTHING),
        nr::UNLINKAT if it.has(2, AT_REMOVEDIR) => one(Verb::Rmdir, it.at(0), NOTHING),
        nr::UNLINKAT => one(Verb::Unlink, it.at(0), NOTHING),
        nr::RENAME => two(Verb::Rename, it.path(0), it.path(1), 0),
        nr::RENAMEAT => two(Verb::Rename, it.at(0), it.at(2), 0),
        nr::RENAMEAT2 => two(verb_of(it.get(4)), it.at(0), it.at(2), it.get(4)),
        nr::MKDIR => one(Verb::Create, it.path(0), directory),
        nr::MKDIRAT => one(Verb::Create, it.at(0), directory),
        nr::MKNOD => one(Verb::Create, it.path(0), it.kind(1)),
        nr::MKNODAT => one(Verb::Create, it.at(0), it.kind(2)),
        nr::SYMLINK => one(Verb::Symlink, it.path(1), NOTHING),
        nr::SYMLINKAT => one(Verb::Symlink, it.at(1), NOTHING),
        nr::LINK => two(Verb::Link, it.path(0), it.path(1), 0),
        nr::LINKAT => {
            let link = two(Verb::Link, it.at(0), it.at(2), 0);
            Asked { followed: it.has(4, AT_SYMLINK_FOLLOW), ..link }
        }
        nr::FALLOCATE => one(Verb::Punch, it.descriptor(0), [it.get(1) & u64::from(PUNCHES), 0]),
        nr::TRUNCATE => followed(Verb::Truncate, it.path(0), NOTHING),
        nr::FTRUNCATE => one(Verb::Truncate, it.descriptor(0), NOTHING),
        nr::CHMOD => followed(Verb::Chmod, it.path(0), it.mode(1)),
        nr::FCHMOD => one(Verb::Chmod, it.descriptor(0), it.mode(1)),
        nr::FCHMODAT => followed(Verb::Chmod, it.at(0), it.mode(2)),
        nr::FCHMODAT2 => Asked {
            followed: !it.has(3, AT_SYMLINK_NOFOLLOW),
            ..one(Verb::Chmod, it.at(0), it.mode(2))
        },
        nr::CHOWN => followed(Verb::Chown, it.path(0), it.ids(1)),
        nr::LCHOWN => one(Verb::Chown, it.path(0), it.ids(1)),
        nr::FCHOWN => one(Verb::Chown, it.descriptor(0), it.ids(1)),
        nr::UTIME | nr::UTIMES => followed(Verb::Times, it.path(0), NOTHING),
        nr::FUTIMESAT => followed(Verb::Times, it.at(0), NOTHING),
        nr::UTIMENSAT => Asked {
            followed: !it.has(3, AT_SYMLINK_NOFOLLOW),
            ..one(Verb::Times, it.at(0), NOTHING)
        },
        nr::SETXATTR | nr::REMOVEXATTR => followed(Verb::Setxattr, it.path(0), NOTHING),
        nr::LSETXATTR | nr::LREMOVEXATTR => one(Verb::Setxattr, it.path(0), NOTHING),
        nr::FSETXATTR | nr::FREMOVEXATTR => one(Verb::Setxattr, it.descriptor(0), NOTHING),
        nr::SETXATTRAT | nr::REMOVEXATTRAT => Asked {
            followed: !it.has(2, AT_SYMLINK_NOFOLLOW),
            ..one(Verb::Setxattr, it.at(0), NOTHING)
        },
        _ => Asked {
            followed: !it.has(4, AT_SYMLINK_NOFOLLOW),
            ..one(Verb::Chown, it.at(0), it.ids(2))
        },
    }
}

/// Flags of fallocate(2) that take bytes away or make them zeros: PUNCH_HOLE, COLLAPSE_RANGE, ZERO_RANGE.
const PUNCHES: u32 = 0x02 | 0x08 | 0x10;

/// Whether the fallocate(2) with these registers takes something away.
#[inline(always)]
pub(crate) fn punches(registers: Address) -> bool {
    load_u32(registers, offset!(regs_arg1)) & PUNCHES != 0
}

/// Flags of the open with these registers.
#[inline(always)]
pub(crate) fn open_flags(registers: Address, number: u64) -> u32 {
    /// `O_CREAT | O_WRONLY | O_TRUNC`: creat(2).
    const CREAT: u64 = 0o1101;
    let it = Arguments(registers);
    let flags = match number {
        nr::OPEN => it.get(1),
        nr::CREAT => CREAT,
        nr::OPENAT => it.get(2),
        // SAFETY: the helper checks the address.
        _ => unsafe { bpf_probe_read_user(it.get(2) as *const u64) }.unwrap_or(0),
    };
    flags as u32
}

/// The file that the open with these registers names.
#[inline(always)]
pub(crate) fn open_place(registers: Address, number: u64) -> Place {
    let it = Arguments(registers);
    if matches!(number, nr::OPEN | nr::CREAT) { it.path(0) } else { it.at(0) }
}
