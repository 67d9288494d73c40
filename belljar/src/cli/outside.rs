//! Who drives a run from outside: an MCP client, another program.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};

use super::SettingArgs;

#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    #[command(flatten)]
    pub(crate) setting: SettingArgs,
    /// Speak streamable HTTP at this address of loopback instead; port 0 picks one. Clients show a
    /// bearer token: that in the variable BELLJAR_MCP_TOKEN, or one that is made and printed
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) http: Option<SocketAddr>,
    /// Seconds after which an HTTP client that says nothing counts as gone
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "http")]
    pub(crate) idle_seconds: u64,
    /// This is the process that carries the run
    #[arg(long, hide = true)]
    pub(crate) carried: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Start a session in the background; print its run, socket and directories as JSON
    Open(Box<OpenArgs>),
    /// Execute a command as one call: its streams and its exit code become this program's
    Exec(ExecArgs),
    /// Read a file of the sandbox as one call, to standard output
    Read(ReadArgs),
    /// Write standard input to a file of the sandbox as one call
    Write(WriteArgs),
    /// End a session: it is scored, and its report printed
    Close(CloseArgs),
    /// Print the JSON Schema of what is said over the socket
    Schema,
    #[command(hide = true)]
    Serve(Box<OpenArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    #[command(flatten)]
    pub(crate) setting: SettingArgs,
    /// End the session when so many seconds pass without a call
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(crate) idle_seconds: u64,
}

/// Which session.
#[derive(Debug, Args)]
pub(crate) struct SocketArgs {
    /// The session: the name of its run, or the path of its socket
    #[arg(env = "BELLJAR_SESSION")]
    pub(crate) session: String,
}

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
    /// Begin in this directory (default: the workspace)
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) cwd: Option<String>,
    /// Give the command this environment variable; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) environment: Vec<String>,
    /// Hand standard input on to the command
    #[arg(long, short)]
    pub(crate) input: bool,
    /// Kill it after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout_seconds: Option<f64>,
    /// Keep at most so many bytes of each of its streams
    #[arg(long, value_name = "BYTES")]
    pub(crate) output_limit_bytes: Option<usize>,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The command
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
    /// The file, from the workspace on
    pub(crate) path: String,
    /// Fail where it has more bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) limit_bytes: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
    /// The file, from the workspace on
    pub(crate) path: String,
    /// Add to its end instead of replacing its content
    #[arg(long)]
    pub(crate) append: bool,
    /// Make the directories above it that are missing
    #[arg(long, short)]
    pub(crate) parents: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CloseArgs {
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
    /// Print the answer as JSON, the report within
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The recorded run's directory
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) setting: SettingArgs,
}
