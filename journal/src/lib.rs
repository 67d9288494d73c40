//! The run directory: the effect as user space knows it, the manifest, the transcript, and what
//! proves that nothing was altered.
//!
//! The types here are the contract between the observer, which writes, and scoring and reports,
//! which read. The crate never touches a kernel. [`files`] knows the run directory's files, [`key`]
//! those of the signing key; all else is pure.

#![forbid(unsafe_code)]

pub mod chain;
pub mod clock;
pub mod effect;
pub mod escape;
pub mod evidence;
pub mod files;
pub mod key;
pub mod manifest;
pub mod merkle;
pub mod proof;
pub mod question;
pub mod reader;
pub mod redact;
pub mod scenario;
pub mod sign;
pub mod tail;
pub mod transcript;
pub mod verify;
pub mod words;
pub mod writer;

pub use ebpf_common::{
    Disposition, Enforcer, Label, Need, Tier, Verb, Verdict, verb::required_tier,
};
pub use effect::{Effect, Object, Outcome, Source, Subject};
pub use evidence::Evidence;
pub use files::RunDir;
pub use manifest::Manifest;
pub use transcript::Entry;
