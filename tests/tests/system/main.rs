//! System layer: whole runs, as a user starts them.

mod codes;
mod denied;
mod endings;
mod input;
mod organisms;
mod storm;
mod throughput;
mod unread;
