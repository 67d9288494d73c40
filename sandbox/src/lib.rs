//! Cgroups, users, namespaces, Landlock, seccomp, and the spawner that forks calls into them.
//!
//! A run's sandbox consists of a cgroup subtree ([`RunCgroup`]), a user id that no one else uses
//! ([`RunUser`]), and a root process of its own, the [`Spawner`], which holds the run's namespaces
//! and Landlock domain and forks each call into a leaf cgroup, without privileges. Its files lie in
//! one of the [`Stages`]. [`host`] says what this machine has of all that.
//!
//! This crate decides nothing: what is denied comes as plans from `policy`. It does not watch
//! either; the observer does, by the ids of the cgroups made here. `belljar` wires it, and
//! `agent-runner` and `scenarios` start processes through it. Whoever uses [`Spawner`] must call
//! [`spawner::serve`] first thing in the hidden subcommand that [`SpawnerProgram`] names.
#![deny(unsafe_code)]

pub mod cgroup;
pub mod host;
mod landlock;
mod lock;
mod removal;
mod seccomp;
pub mod spawner;
pub mod stages;
mod sys;
pub mod user;

pub use cgroup::{
    Belljar, Cgroup, CgroupError, CgroupMount, Claim, Leaf, LeafOwner, Limits, LimitsAchieved,
    LiveRun, OversightCgroup, Rlimits, RunCgroup, StaleRun,
};
pub use landlock::{Extent, LandlockAchieved};
pub use lock::LockError;
pub use removal::RemoveTreeError;
pub use seccomp::SeccompError;
pub use spawner::{
    Action, Exit, Job, Namespaces, Ready, SpawnError, Spawner, SpawnerConfig, SpawnerGone,
    SpawnerProgram, StartError, Started, TightenError,
};
pub use stages::{Stages, StagesError, StaleStage};
pub use user::{AllocateError, RunUser};
