//! A session that another program drives: `belljar session open` and what is said over its socket.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use serde_json::{Value, json};

use crate::{deadline::patience, resident, run::Invocation, world::World};

/// An open session. It is closed when this is dropped.
#[derive(Debug)]
pub struct Session {
    /// What `open` printed.
    pub opened: Value,
    /// The run directory.
    pub out: PathBuf,
}

impl Session {
    /// Opens one in `enforce` mode at tier 0, with these words beside what every run is given.
    ///
    /// # Panics
    ///
    /// When it does not open.
    #[must_use]
    pub fn open(world: &World, name: &str, words: &[&str]) -> Self {
        let ended = Invocation::new(world, name, "session")
            .args(["open"])
            .watched(world, resident::shared().socket.as_os_str())
            .tier(0, "enforce")
            .args(["--no-metrics"])
            .args(words)
            .finish();
        ended.assert_code(0);
        let opened = serde_json::from_str(&ended.stdout).expect("`open` prints JSON");
        Self { opened, out: ended.out }
    }

    /// The socket's path.
    ///
    /// # Panics
    ///
    /// When `open` did not tell it.
    #[must_use]
    pub fn socket(&self) -> &str {
        self.opened["socket"].as_str().expect("a path")
    }

    /// A connection.
    ///
    /// # Panics
    ///
    /// When nobody listens.
    #[must_use]
    pub fn connect(&self) -> Connection {
        let stream = UnixStream::connect(self.socket()).expect("the session listens");
        stream.set_read_timeout(Some(patience())).expect("a timeout can be set");
        Connection(BufReader::new(stream))
    }

    /// One request on a connection of its own.
    ///
    /// # Panics
    ///
    /// When no answer comes.
    #[must_use]
    pub fn ask(&self, request: &Value) -> Value {
        self.connect().ask(request)
    }

    /// Executes a shell's command line.
    #[must_use]
    pub fn shell(&self, command: &str) -> Value {
        self.ask(&json!({ "op": "exec", "command": ["sh", "-c", command] }))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Ok(stream) = UnixStream::connect(self.socket()) {
            let mut connection = Connection(BufReader::new(stream));
            connection.send(&json!({ "op": "close" }));
            let _ = connection.0.read_line(&mut String::new());
        }
    }
}

/// A connection to a session.
#[derive(Debug)]
pub struct Connection(BufReader<UnixStream>);

impl Connection {
    /// Sends a request.
    ///
    /// # Panics
    ///
    /// When the session is gone.
    pub fn send(&mut self, request: &Value) {
        writeln!(self.0.get_mut(), "{request}").expect("the session reads");
    }

    /// Waits for a response.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the session answers in time");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Both.
    ///
    /// # Panics
    ///
    /// As they do.
    pub fn ask(&mut self, request: &Value) -> Value {
        self.send(request);
        self.hear()
    }
}
