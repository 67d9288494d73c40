//! An observer that watches the runs of many tests: loading the probes costs more than most runs,
//! most of all in a machine.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, OnceLock, mpsc},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    deadline::wait_for,
    world::{belljar, built},
};

/// A `belljar watch`. Dropping it ends it in order.
#[derive(Debug)]
pub struct Resident {
    child: Child,
    socket: PathBuf,
    said: Arc<Mutex<String>>,
}

impl Resident {
    /// Starts one that listens on a socket of its own, and waits until it does.
    ///
    /// # Panics
    ///
    /// When it does not come up, with what it said.
    #[must_use]
    pub fn start(name: &str) -> Self {
        let socket =
            Path::new("/run/belljar").join(format!("test-{}-{name}.sock", std::process::id()));
        // Ends with this process, however that ends.
        let mut command = Command::new(built("actor"));
        command.arg("with_parent").arg(belljar()).args(["watch", "--metrics", "127.0.0.1:0"]);
        command.arg("--socket").arg(&socket);
        for (variable, _) in std::env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"BELLJAR_") {
                command.env_remove(variable);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the actor is built beside the tests");
        let stderr = BufReader::new(child.stderr.take().expect("it is a pipe"));
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                heard.lock().expect("no holder panics").push_str(&(line + "\n"));
            }
        });
        let mut resident = Self { child, socket, said };
        wait_for("the resident observer", || {
            let ended = resident.ended();
            assert!(ended.is_none(), "{ended:?}: {}", resident.said());
            resident.said().contains("runs find it").then_some(())
        });
        resident
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it has said so far.
    ///
    /// # Panics
    ///
    /// Never: nothing panics that holds what was said.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.lock().expect("no holder panics").clone()
    }

    /// Where it serves metrics.
    ///
    /// # Panics
    ///
    /// When it has not said so.
    #[must_use]
    pub fn address(&self) -> String {
        let said = self.said();
        let rest = said.split("metrics: http://").nth(1).expect("it serves metrics");
        rest.split_once("/metrics").expect("the address ends so").0.to_owned()
    }

    /// Its process id.
    ///
    /// # Panics
    ///
    /// Never: process ids are positive.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("the kernel's process ids are positive")
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it is our child and not waited for");
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    ///
    /// When the kernel does not say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the end of the resident observer", || self.ended())
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::SIGTERM);
            if !thread::panicking() {
                self.wait();
            }
        }
        // One that was killed has left it.
        let _ = fs::remove_file(&self.socket);
    }
}

/// The observer that all tests of this process share.
#[derive(Debug)]
pub struct Shared {
    /// Where it listens.
    pub socket: PathBuf,
    /// Its process id.
    pub pid: i32,
}

/// The observer that all tests of this process share: the one that `BELLJAR_TEST_OBSERVER` names by
/// process id and socket, or one that is started when it is first asked for.
///
/// # Panics
///
/// When it does not come up.
pub fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        if let Ok(named) = std::env::var("BELLJAR_TEST_OBSERVER") {
            let (pid, socket) = named.split_once(' ').expect("a process id and a socket");
            let pid = pid.parse().expect("a process id is a number");
            return Shared { socket: socket.into(), pid };
        }
        let (send, started) = mpsc::channel();
        // It ends with the thread that has started it, so that one must stay.
        thread::spawn(move || {
            let resident = Resident::start("shared");
            let shared = Shared { socket: resident.socket().to_owned(), pid: resident.pid() };
            let _ = send.send(shared);
            loop {
                thread::park();
            }
        });
        started.recv().expect("a resident observer can be started")
    })
}
