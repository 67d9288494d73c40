//! What an approval opens: one act, once. The key is what a record tells of the act, so that probes
//! and user space find the same one from the same record.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    record::{Record, record_flags},
    verb::{MAX_ARGS, ObjectKind, Verb},
};

/// How many approvals can wait to be used at a time, of all runs.
pub const MAX_OPENINGS: usize = 4096;

/// One act: a verb with its arguments on one object, of one run.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct OpeningKey {
    /// As in the record: an inode, a leaf, a part of an address.
    pub object_id: u64,
    /// The verb's arguments; of a new name the inode of its directory besides.
    pub args: [u64; MAX_ARGS],
    /// The run's slot.
    pub slot: u32,
    /// As in the record: a device, a thread group, a part of an address.
    pub object_number: u32,
    /// As in the record; 0 for a process, all of whose threads are one object.
    pub object_extra: u32,
    /// The verb's number and, above it, the port.
    pub verb_and_port: u32,
}

impl OpeningKey {
    /// The act that a record tells of, as a hook has judged it.
    #[inline(always)]
    #[must_use]
    pub const fn of(record: &Record) -> Self {
        let is_process = matches!(record.verb.object(), ObjectKind::Process);
        Self {
            object_id: record.object_id,
            args: record.args,
            slot: record.slot,
            object_number: record.object_number,
            object_extra: if is_process { 0 } else { record.object_extra },
            verb_and_port: record.verb.number() as u32 | (record.port as u32) << 8,
        }
    }

    /// The same where an approval can open the act at all: a hook that can refuse has judged it, and
    /// the record names one object.
    #[must_use]
    pub const fn openable(record: &Record) -> Option<Self> {
        let is_judged = record.has(record_flags::JUDGED)
            && record.has(record_flags::ENFORCED)
            && !record.has(record_flags::USER_PATH)
            && !record.has(record_flags::GROUP);
        let is_one = match record.verb.object() {
            ObjectKind::File => record.object_id != 0 || makes_a_name(record.verb),
            ObjectKind::FilePair => record.object_id != 0,
            ObjectKind::Process | ObjectKind::Address => true,
            ObjectKind::Kernel => false,
        };
        if is_judged && is_one { Some(Self::of(record)) } else { None }
    }
}

/// Whether the verb makes a name that was not there: its record has the directory's inode in the
/// second argument, and what the kernel hashes of the name in `object_extra`.
#[inline(always)]
#[must_use]
pub const fn makes_a_name(verb: Verb) -> bool {
    let number = verb.number();
    number == Verb::Create.number() || number == Verb::Symlink.number()
}
