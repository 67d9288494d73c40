//! The proxy between a wrapped command and its model's server, in each wire format.
#![allow(clippy::unwrap_used, reason = "tests panic")]

#[path = "../plain/mod.rs"]
mod plain;
#[path = "../models/server.rs"]
#[allow(dead_code, reason = "a part of it is for agents")]
mod server;

mod breaks;
mod client;
mod refusals;
mod replies;
