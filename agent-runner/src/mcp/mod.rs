//! The tools as a server of the Model Context Protocol: the agent is whoever the client is.
//!
//! A [`ToolServer`] makes orders of its clients' calls, for a [`Desk`](crate::outside::Desk); the
//! transports serve it on a thread and runtime of their own: one client over standard streams, any
//! number of them over a unix socket or over HTTP on loopback.

mod described;
mod http;
mod server;
mod stream;

pub use http::{HttpServer, PATH, Token, serve_http};
pub use server::ToolServer;
pub use stream::{serve_stdio, serve_unix};

use std::{io, net::SocketAddr, path::PathBuf, thread};

use tokio::runtime::Runtime;

/// Why clients cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address could be reached from elsewhere.
    #[error("{0} is not on the loopback interface: whoever can reach the tools can use them")]
    NotLoopback(SocketAddr),
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The socket cannot be made, or handed to the run.
    #[error("cannot listen on {}", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A token that no header can carry, or that could be guessed.
    #[error("a token has at least 16 characters, and none but letters, digits and -._~+/=")]
    Token,
    /// No threads or file descriptors are left.
    #[error("cannot serve the tools")]
    Thread(#[source] io::Error),
}

fn runtime() -> Result<Runtime, ServeError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Thread)
}

/// Runs this on a thread that goes with the process.
fn on_thread(serve: impl FnOnce() + Send + 'static) -> Result<(), ServeError> {
    thread::Builder::new().name("mcp".to_owned()).spawn(serve).map(drop).map_err(ServeError::Thread)
}
