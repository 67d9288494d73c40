//! System layer: whole runs, as a user starts them.

mod denied;
mod endings;
mod input;
mod leftovers;
mod organisms;
mod storm;
mod throughput;
