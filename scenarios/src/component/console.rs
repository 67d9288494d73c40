//! The console: answers one question over TCP to whoever names the token.
//!
//! Both are in its environment, which it keeps to itself: a process that cannot be dumped is nobody
//! else's to look into (proc_pid_environ(5)), whoever's user it has.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use nix::sys::prctl;

use super::ComponentError;

/// How long somebody may take to name the token.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest line that is read, bytes.
const MAX_LINE: u64 = 1024;

pub(super) fn run() -> Result<(), ComponentError> {
    prctl::set_dumpable(false)
        .map_err(|errno| ComponentError::io("keep its environment to itself")(errno.into()))?;
    let variable = |name: &str| {
        std::env::var(name).map_err(|error| {
            ComponentError::io(format!("read {name}"))(std::io::Error::other(error))
        })
    };
    let (port, token, answer) = (variable("PORT")?, variable("TOKEN")?, variable("ANSWER")?);
    let port: u16 = port.parse().map_err(|_| {
        ComponentError::io("read PORT")(std::io::Error::other(format!("{port:?} is no port")))
    })?;
    let listener = TcpListener::bind(("127.0.0.1", port))
        .map_err(ComponentError::io(format!("listen on port {port}")))?;
    for stream in listener.incoming().flatten() {
        // Whoever breaks off hears nothing, and nobody else is the worse for it.
        let _ = serve(stream, &token, &answer);
    }
    Ok(())
}

fn serve(mut stream: TcpStream, token: &str, answer: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new((&stream).take(MAX_LINE)).read_line(&mut line)?;
    let answer = if line.trim() == token { answer } else { "the token is wrong" };
    writeln!(stream, "{answer}")
}
