//! Calls that somebody outside asks for, several at a time.
//!
//! A [`Desk`] takes [`Order`]s, numbers them in the order in which they come, and makes each one a
//! call like any other: a leaf of its own, watched before it begins, on record. Whoever speaks with
//! the outside (an MCP server, a session's socket, a replay) only sends orders and hears of results.

mod answer;
mod carry;
mod desk;
mod order;

pub use answer::{Answer, Fault, FaultKind, Outcome, Output};
pub use desk::{Desk, DeskParts, Front, Orders, Workshop, front};
pub use order::{Exec, NAMES, Order, Place, Read, Request, Write};
