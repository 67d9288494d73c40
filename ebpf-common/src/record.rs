//! The record that carries one effect from a probe to user space, and its validated decoder.
//!
//! A record is a fixed part and up to four byte strings behind it. All integers are the machine's
//! own; sender and receiver share one kernel.

use zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes};

use crate::{
    address::Words,
    label::LabelId,
    verb::{MAX_ARGS, Verb},
    verdict::Verdict,
};

/// [`Record::outcome`] of an act whose end no probe could see.
pub const OUTCOME_UNKNOWN: i32 = i32::MIN;

/// Most bytes that one string of a record can have: a path of `PATH_MAX`, terminator included.
pub const MAX_STRING_BYTES: usize = 4096;

/// Most bytes of a program's arguments that a record has.
pub const MAX_ARGV_BYTES: usize = 1023;

/// How many strings can stand behind a record.
pub const STRINGS: usize = 4;

/// Which string of a record is which.
pub mod string {
    /// The object's path: from the file system's root, last component first, each ended by NUL; or,
    /// with [`super::record_flags::USER_PATH`], as the caller wrote it.
    pub const PATH: usize = 0;
    /// With `USER_PATH`: the directory that a relative path starts from, as a kernel path.
    pub const BASE: usize = 1;
    /// Where a rename goes, spelled as [`PATH`].
    pub const TO: usize = 2;
    /// The base of [`TO`].
    pub const TO_BASE: usize = 3;
    /// What a program was given, of an exec that happened: each argument ended by NUL, the last perhaps
    /// cut.
    pub const ARGV: usize = TO;
}

/// Bits of [`Record::flags`].
pub mod record_flags {
    /// A program that can refuse judged the act before it happened: an LSM program, or for an
    /// address one on the run's cgroup.
    pub const JUDGED: u16 = 1;
    /// The path was read from the caller's memory; label and verdict are user space's to find.
    pub const USER_PATH: u16 = 1 << 1;
    /// A string was cut.
    pub const TRUNCATED: u16 = 1 << 2;
    /// The walk to the file system's root did not end within its bound.
    pub const UNFINISHED_WALK: u16 = 1 << 3;
    /// A path starts from a directory that the caller named by a descriptor; else all start from
    /// its working directory.
    pub const FROM_DIRECTORY: u16 = 1 << 4;
    /// The act came from an io_uring worker, not from a syscall of its own.
    pub const IO_URING: u16 = 1 << 5;
    /// The run was in `enforce` mode.
    pub const ENFORCED: u16 = 1 << 6;
    /// The object is a process group or everything that the caller may signal.
    pub const GROUP: u16 = 1 << 7;
    /// The path's last component was followed too where it is a symbolic link.
    pub const FOLLOWED: u16 = 1 << 8;
    /// Denied because no observer watched.
    pub const UNWATCHED: u16 = 1 << 9;
}

/// The fixed part of a record.
#[derive(Clone, Copy, Debug, TryFromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Record {
    /// Position among the run's effects, from 0, in the order in which the probes finished.
    pub seq: u64,
    /// CLOCK_BOOTTIME when the record was made, nanoseconds.
    pub boot_ns: u64,
    /// Cgroup id of the leaf that the subject is in.
    pub leaf: u64,
    /// As [`crate::maps::TaskState::exec_id`].
    pub exec_id: u64,
    /// The verb's arguments, in its order.
    pub args: [u64; MAX_ARGS],
    /// File: inode number. Process: cgroup id of the target's leaf, 0 where it is in none of ours.
    /// Address: see [`Record::set_address`].
    pub object_id: u64,
    /// File: device, major << 20 | minor; with `USER_PATH` that of `BASE`. Process: thread group id.
    pub object_number: u32,
    /// File: with `USER_PATH` the device of `TO_BASE`; of a name that a hook has judged before it
    /// was made, what the kernel hashes of it. Process: thread id.
    pub object_extra: u32,
    /// The subject's process.
    pub tgid: u32,
    /// The subject's thread.
    pub tid: u32,
    /// The subject's real user id, in the initial user namespace.
    pub uid: u32,
    /// 0 or positive: done. Negative: an errno. [`OUTCOME_UNKNOWN`]: not seen.
    pub outcome: i32,
    /// The run's slot.
    pub slot: u32,
    /// Bits of [`record_flags`].
    pub flags: u16,
    /// What was done.
    pub verb: Verb,
    /// What the policy said.
    pub verdict: Verdict,
    /// Number of the object's [`LabelId`].
    pub label: u8,
    /// Number of the destination's [`LabelId`], for a rename.
    pub to_label: u8,
    /// Address: the port.
    pub port: u16,
    /// Number of the question whose approval let the act through; 0 for none.
    pub approval: u32,
    /// Lengths of the strings behind the fixed part, in order, bytes.
    pub string_bytes: [u16; STRINGS],
    /// The subject's command name, NUL-padded. Written by the agent: hostile.
    pub comm: [u8; 16],
}

/// Bytes of the fixed part.
pub const RECORD_BYTES: usize = size_of::<Record>();

/// Why bytes from a ring buffer are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Fewer bytes than the fixed part has.
    Short {
        /// How many there were.
        bytes: usize,
    },
    /// A field has a value that names nothing: an unknown verb or verdict.
    Invalid,
    /// The strings' lengths do not add up to the bytes that follow.
    Strings {
        /// What the fixed part announces.
        announced: usize,
        /// What follows it.
        present: usize,
    },
}

impl core::fmt::Display for RecordError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Short { bytes } => {
                write!(formatter, "a record of {bytes} bytes is shorter than {RECORD_BYTES}")
            }
            Self::Invalid => formatter.write_str("a field has a value that names nothing"),
            Self::Strings { announced, present } => {
                write!(formatter, "{announced} bytes of strings announced, {present} present")
            }
        }
    }
}

impl core::error::Error for RecordError {}

/// A decoded record with its strings.
#[derive(Clone, Copy, Debug)]
pub struct Decoded<'a> {
    /// The fixed part.
    pub record: Record,
    /// The strings, by [`string`].
    pub strings: [&'a [u8]; STRINGS],
}

impl Record {
    /// The object's label.
    #[must_use]
    pub const fn label(&self) -> LabelId {
        LabelId::from_number(self.label)
    }

    /// The object's address.
    #[must_use]
    pub const fn address(&self) -> Words {
        let id = self.object_id;
        [(id >> 32) as u32, id as u32, self.object_number, self.object_extra]
    }

    /// Makes an address and port the object. The address takes the place of what names a file or a
    /// process: its first two words are `object_id`, the third `object_number`, the last
    /// `object_extra`.
    #[inline(always)]
    pub const fn set_address(&mut self, address: Words, port: u16) {
        self.object_id = (address[0] as u64) << 32 | address[1] as u64;
        self.object_number = address[2];
        self.object_extra = address[3];
        self.port = port;
    }

    /// Whether the object is an abstract socket, which has no file.
    #[must_use]
    pub const fn is_abstract(&self) -> bool {
        matches!(self.verb, Verb::UnixConnect)
            && !self.has(record_flags::USER_PATH)
            && self.object_id == 0
    }

    /// Whether a bit of [`record_flags`] is set.
    #[must_use]
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

/// Checks and decodes what a ring buffer held.
///
/// # Errors
///
/// When the bytes are too few, a verb or verdict is unknown, or the strings do not fit.
pub fn decode(bytes: &[u8]) -> Result<Decoded<'_>, RecordError> {
    let (fixed, mut rest) =
        bytes.split_at_checked(RECORD_BYTES).ok_or(RecordError::Short { bytes: bytes.len() })?;
    let record = Record::try_read_from_bytes(fixed).map_err(|_| RecordError::Invalid)?;
    let announced: usize = record.string_bytes.iter().map(|&length| usize::from(length)).sum();
    if announced != rest.len() {
        return Err(RecordError::Strings { announced, present: rest.len() });
    }
    let mut strings = [&[][..]; STRINGS];
    for (string, &length) in strings.iter_mut().zip(&record.string_bytes) {
        (*string, rest) = rest.split_at(usize::from(length));
    }
    Ok(Decoded { record, strings })
}
