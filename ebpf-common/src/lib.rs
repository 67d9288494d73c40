//! What both sides of the kernel boundary know: verbs, labels, tiers, verdicts and the record that
//! carries one effect from a probe to user space.
//!
//! The crate is `no_std` and free of unsafe code. It holds plain data, the one declaration of every
//! verb ([`verb`]) and the validated decoder ([`record`]). It reads no files, knows no kernel and
//! makes no decision. `probes` uses it inside the kernel; every other crate uses it, with feature
//! `user`, outside.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(feature = "user", test))]
extern crate std;

pub mod address;
pub mod enforcement;
pub mod label;
pub mod maps;
#[cfg(feature = "user")]
mod names;
pub mod offsets;
pub mod opening;
pub mod record;
pub mod syscall;
pub mod tier;
pub mod verb;
pub mod verdict;

pub use enforcement::{Disposition, Enforcer};
pub use label::{Label, LabelId};
pub use record::{Record, RecordError};
pub use tier::{Need, Tier};
pub use verb::{ArgKind, ObjectKind, Verb};
pub use verdict::Verdict;
