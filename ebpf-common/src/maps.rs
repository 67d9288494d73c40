//! The shapes of the kernel maps' keys and values. Plain integers and bytes: a map value may change
//! under the reader, so nothing here has an invalid bit pattern.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{label::LabelId, verb::MAX_VERBS};

/// How many runs can be watched at a time.
pub const MAX_RUNS: usize = 64;
/// The slot of the observer's canary, which to the probes is one more run.
pub const CANARY_SLOT: u32 = MAX_RUNS as u32;
/// How many slots there are.
pub const MAX_SLOTS: usize = MAX_RUNS + 1;
/// Bytes of one policy table: one verdict for each verb and label.
pub const TABLE_BYTES: usize = MAX_VERBS * LabelId::COUNT;
/// Two tables for each slot: one in force, one to write the next policy into.
pub const MAX_TABLES: usize = MAX_SLOTS * 2;

/// Where a verb's and label's verdict lies in a table.
#[must_use]
pub const fn table_index(verb: u8, label: u8) -> usize {
    (verb as usize % MAX_VERBS) * LabelId::COUNT + (label as usize % LabelId::COUNT)
}

/// The bits of a table's entry that are the verdict's number.
pub const VERDICT_BITS: u8 = 0x7f;
/// The bit of a table's entry for what is allowed only while an observer watches.
pub const NEEDS_OVERSIGHT: u8 = 0x80;

/// How old an observer's last heartbeat may be. Past it nobody watches: the hooks deny what needs
/// oversight. Sixteen heartbeats, so that a busy host does not take a slow observer for a dead one.
pub const STALE_AFTER_NS: u64 = 4_000_000_000;

/// One policy table: entries by [`table_index`].
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Table {
    /// Numbers of [`crate::Verdict`], and [`NEEDS_OVERSIGHT`].
    pub verdicts: [u8; TABLE_BYTES],
}

/// What user space says of one watched run. It is written whole, so nothing that the probes write
/// is in it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RunState {
    /// CLOCK_BOOTTIME of the observer's last heartbeat, nanoseconds.
    pub heartbeat_boot_ns: u64,
    /// Index of the table in force.
    pub table: u32,
    /// Bits of [`run_flags`].
    pub flags: u32,
}

/// Bits of [`RunState::flags`].
pub mod run_flags {
    /// Verdicts are made true by the hooks.
    pub const ENFORCE: u32 = 1;
    /// The hooks deny what needs oversight while the heartbeat is stale.
    pub const DEAD_MANS_SWITCH: u32 = 1 << 1;
}

/// Effects of one run that were lost, by verb.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Dropped {
    /// Indexed by the verb's number.
    pub by_verb: [u64; MAX_VERBS],
}

/// A labelled file or directory of one run.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FileKey {
    /// Inode number as the kernel has it.
    pub inode: u64,
    /// Device as the kernel has it: major << 20 | minor.
    pub device: u32,
    /// The run's slot.
    pub slot: u32,
}

/// A leaf cgroup: a call or a component of a run, or oversight's own.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct LeafState {
    /// The run's slot; [`OVERSIGHT_SLOT`] for the observer's side.
    pub slot: u32,
    /// Number of a [`LabelId`]: `agent`, a component or `oversight`.
    pub label: u32,
}

/// The slot of processes that belong to oversight and not to a run.
pub const OVERSIGHT_SLOT: u32 = u32::MAX;

/// A task that belongs to a leaf.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct TaskState {
    /// The leaf's cgroup id.
    pub leaf: u64,
    /// Sequence number of the effect that started the task's program image, plus 1; 0 for none.
    pub exec_id: u64,
    /// The task's thread group.
    pub tgid: u32,
    /// Keeps the layout free of padding.
    pub reserved: u32,
}
