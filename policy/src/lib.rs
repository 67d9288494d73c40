//! Tier policy: TOML to verdict table, Landlock and seccomp plans, explanation.
//!
//! A policy says what each effect gets: a verdict for each verb, label and tier. This crate reads
//! and checks the text ([`parse`]), resolves it for one run ([`Policy::compile`]), derives from it
//! what other enforcers are to do ([`landlock`], [`seccomp`]) and says in words what came out
//! ([`explain`]). [`labels`] tells what a path means,
//! [`addresses`] what an address does.
//!
//! It knows no kernel, no clock and no file but the shipped policy, which is part of it; it
//! enforces nothing. `sandbox` applies the plans, `observer` loads the table and asks for
//! verdicts, `belljar` reads the file and prints.
#![forbid(unsafe_code)]

pub mod addresses;
mod check;
mod compile;
mod diff;
pub mod explain;
pub mod labels;
pub mod landlock;
mod mistake;
mod nearest;
mod read;
mod redact;
mod rule;
mod schema;
pub mod seccomp;
mod tool;

pub use ebpf_common::Label;

pub use addresses::{AddressPattern, Labelled, LabelledAddress, Protocol};
pub use compile::{CompileError, Compiled, UnknownComponent};
pub use diff::{Difference, diff};
pub use ebpf_common::Tier;
pub use explain::{HostCapabilities, asked_in_vain, explain};
pub use labels::{LabelledRoot, PathLabels};
pub use mistake::{Mistake, MistakeKind, PolicyError};
pub use nearest::help as did_you_mean;
pub use read::parse;
pub use rule::{Defaults, LabelPattern, Oversight, Policy, Redact, Rule, Selector, TierRange};
pub use schema::schema;
pub use tool::ToolRule;
