//! `belljar mcp`: a run whose agent is an MCP client. `belljar bridge`: a socket as a program.

use std::{
    env,
    io::{self, Read as _},
    net::{Shutdown, SocketAddr},
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, ExitCode},
    sync::Arc,
    thread,
    time::Duration,
};

use agent_runner::{
    mcp::{self, ServeError, Token, ToolServer},
    outside::Front,
};
use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    cli::McpArgs,
    exit::{Exit, Failure, OrExit as _},
    run::{
        Interrupt, Settled,
        outside::{self, Door, Site},
    },
};

/// The variable with the token that HTTP clients show.
const TOKEN: &str = "BELLJAR_MCP_TOKEN";

/// Serves the tools, from the first call to the verdict.
pub(crate) fn mcp(arguments: &McpArgs) -> Result<ExitCode, Failure> {
    if arguments.http.is_none() && !arguments.carried {
        return carried();
    }
    let door: Arc<dyn Door> = match arguments.http {
        None => {
            // Whoever kills all that it has started kills the process that waits for this one.
            nix::unistd::setsid().context("cannot leave the session").or_exit(Exit::Os)?;
            Arc::new(Stdio)
        }
        Some(address) => Arc::new(Http::new(address, arguments.idle_seconds)?),
    };
    outside::run(&arguments.setting, &door)
}

/// Has another process carry the run, with the same streams, and ends as it does. Clients kill a server
/// that has not ended some seconds after they have closed its input; a run takes its time to be judged.
fn carried() -> Result<ExitCode, Failure> {
    let mut carrier = Command::new("/proc/self/exe")
        .args(env::args_os().skip(1))
        .arg("--carried")
        .spawn()
        .context("cannot start the process that carries the run")
        .or_exit(Exit::Os)?;
    let tgid = i32::try_from(carrier.id()).map(Pid::from_raw).or_exit(Exit::Software)?;
    let interrupt = Interrupt::listen().or_exit(Exit::Os)?;
    interrupt.then(move || {
        // This process ends once that one was waited for: until then its number is its own.
        let _ = kill(tgid, Signal::SIGTERM);
    });
    let status = carrier.wait().context("cannot wait for the run").or_exit(Exit::Os)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(Exit::Os as u8)))
}

/// One client, over standard streams.
struct Stdio;

impl Door for Stdio {
    fn name(&self) -> &'static str {
        "mcp"
    }

    fn has_stdout(&self) -> bool {
        true
    }

    fn open(&self, front: Front, site: &Site<'_>) -> Result<(), Failure> {
        site.terminal.phase("serving the tools");
        mcp::serve_stdio(ToolServer::new(site.tier, site.instruction, front)).map_err(unserved)
    }

    fn judged(&self, _: &mut Result<Settled, Failure>) {}
}

/// Any number of clients, over HTTP on loopback.
struct Http {
    address: SocketAddr,
    token: Token,
    /// Whether the token has to be told.
    is_new: bool,
    idle: Duration,
}

impl Http {
    fn new(address: SocketAddr, idle_seconds: u64) -> Result<Self, Failure> {
        if !address.ip().is_loopback() {
            return Err(unserved(ServeError::NotLoopback(address)));
        }
        let given = env::var(TOKEN).ok().filter(|token| !token.is_empty());
        let is_new = given.is_none();
        let text = given.map_or_else(new_token, Ok)?;
        let token = Token::new(&text).with_context(|| format!("bad {TOKEN}"));
        let token = token.or_exit(Exit::Configuration)?;
        Ok(Self { address, token, is_new, idle: Duration::from_secs(idle_seconds) })
    }
}

impl Door for Http {
    fn name(&self) -> &'static str {
        "mcp"
    }

    fn has_stdout(&self) -> bool {
        false
    }

    fn open(&self, front: Front, site: &Site<'_>) -> Result<(), Failure> {
        let server = ToolServer::new(site.tier, site.instruction, front);
        let server = mcp::serve_http(server, self.address, self.token.clone(), self.idle)
            .map_err(unserved)?;
        site.terminal.notice(&format!("mcp: {}", server.url()));
        if self.is_new {
            site.terminal.notice(&format!("mcp token: {}", self.token.text()));
        }
        Ok(())
    }

    fn judged(&self, _: &mut Result<Settled, Failure>) {}
}

fn new_token() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("cannot find random bytes")
        .or_exit(Exit::Os)?;
    Ok(hex::encode(bytes))
}

fn unserved(error: ServeError) -> Failure {
    let exit = match &error {
        ServeError::NotLoopback(_) => Exit::Usage,
        ServeError::Token => Exit::Configuration,
        ServeError::Listen { .. } | ServeError::Socket { .. } => Exit::CannotCreate,
        ServeError::Thread(_) => Exit::Os,
    };
    Failure::new(exit, error)
}

/// Joins standard streams to a socket until the socket's end.
pub(crate) fn bridge(socket: &Path) -> Result<(), Failure> {
    let said = || format!("cannot reach the tools at {}", socket.display());
    let stream = UnixStream::connect(socket).with_context(said).or_exit(Exit::Unavailable)?;
    let mut sending = stream.try_clone().or_exit(Exit::Os)?;
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            // Whatever ends it: nothing more is to come.
            let _ = io::copy(&mut io::stdin().lock(), &mut sending);
            let _ = sending.shutdown(Shutdown::Write);
        })
        .or_exit(Exit::Os)?;
    // Line by line, as they come: nothing may wait in a buffer.
    let (mut stream, mut stdout) = (stream, io::stdout().lock());
    let mut chunk = [0; 64 << 10];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                let written = io::Write::write_all(&mut stdout, &chunk[..count])
                    .and_then(|()| io::Write::flush(&mut stdout));
                match written {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                    written => written.or_exit(Exit::Io)?,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::new(Exit::Io, error)),
        }
    }
}
