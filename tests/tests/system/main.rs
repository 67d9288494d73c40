//! System layer: whole runs, as a user starts them.

mod aliases;
mod ask;
mod codes;
mod database;
mod deadman;
mod denied;
mod disk;
mod endings;
mod evidence;
mod innocent;
mod input;
mod leftovers;
mod llama;
mod model;
mod ordinary;
mod organisms;
mod otlp;
mod redact;
mod reload;
mod resident;
mod runs;
mod served;
mod storm;
mod throughput;
mod top;
mod unread;
