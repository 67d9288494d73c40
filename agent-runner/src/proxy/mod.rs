//! A wrapped command's way to its model: a loopback endpoint outside the sandbox.
//!
//! The command speaks its model's own wire format to it, with a token that is worth nothing elsewhere.
//! The proxy asks the real server, with the key, and hands back what comes, as it comes. Each request
//! and what came of it is in the transcript, tied to the call whose process asked. Who is not of the
//! run's user, or does not have the run's token, gets nothing.

mod assembly;
mod caller;
mod dialect;
mod door;
mod exchange;
mod ledger;
mod scrub;
mod server;
mod upstream;

pub use dialect::Dialect;
pub use door::Door;
pub use server::{Proxy, ProxyParts};
pub use upstream::Upstream;
