//! Agents, their tools, and the trait through which they are watched.
//!
//! The loop that decides runs here, outside the sandbox and trusted; what its calls do runs in
//! processes of the sandbox, reached through [`Hands`]. A [`Session`] carries one agent from its
//! first call to its end: it numbers the calls, makes each one's leaf cgroup, waits until the
//! observer knows it ([`Watcher`]), starts it, collects its output and writes the transcript.
//!
//! Calls that others ask for, over MCP or a socket, come through a desk ([`outside`]) that makes several
//! at a time.
//!
//! The crate does not judge, does not load probes and knows nothing of scenarios: the command line
//! hands it the pieces. It is blocking but for the MCP server, one agent to a thread; [`Cancel`] ends
//! it from any other thread.
#![forbid(unsafe_code)]

mod agent;
mod call;
mod cancel;
mod collect;
mod command;
mod frozen;
mod hands;
pub mod llm;
pub mod mcp;
pub mod organism;
pub mod outside;
pub mod proxy;
mod sandboxed;
mod session;
pub mod tools;
mod watch;

pub use agent::{Agent, AgentError, FailureKind, Surroundings, Turn};
pub use cancel::Cancel;
pub use collect::StreamName;
pub use command::{COMMAND, Command, Stdin};
pub use frozen::Frozen;
pub use hands::{Hands, HandsError, Running, Work, signal_name};
pub use organism::{Organism, Variables};
pub use sandbox::Exit;
pub use sandboxed::Sandboxed;
pub use session::{AgentEnd, How, Limits, Numbers, Session, SessionError, SessionParts};
pub use watch::{Admission, Moment, Progress, SharedTranscript, Transcript, WatchError, Watcher};
