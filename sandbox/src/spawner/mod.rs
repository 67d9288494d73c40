//! The spawner: a root process that holds a run's domain and forks each call into its leaf cgroup.
//!
//! One domain must hold a whole run: a Landlock domain per call would cut an agent off from its own
//! processes. So one process enters it once and forks every call from there, and the call drops to
//! the run's user, out of whose reach the spawner stays. It is this program executed again, with one
//! thread, because a fork of a program with many threads may do next to nothing.
//!
//! The client ([`Spawner`]) and the process ([`serve`]) talk over a socket pair, which is the
//! process's standard input, in packets of JSON with descriptors beside them. When the client
//! closes it, the process ends; when it closes without a word, the process first kills the run's
//! cgroup, so that an agent does not outlive who watches it.

mod answers;
mod birth;
mod channel;
mod client;
mod config;
mod error;
mod job;
mod lookup;
mod message;
mod server;
mod setup;

pub use answers::Started;
pub use channel::ChannelError;
pub use client::Spawner;
pub use config::{Namespaces, Ready, SpawnerConfig, SpawnerProgram};
pub use error::{SpawnError, SpawnerGone, StartError, TightenError};
pub use job::{Action, Exit, Job, Step};
pub use server::serve;
pub use setup::SetupStep;
