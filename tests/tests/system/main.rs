//! System layer: whole runs, as a user starts them.

mod aliases;
mod denied;
mod endings;
mod innocent;
mod input;
mod organisms;
mod storm;
mod throughput;
