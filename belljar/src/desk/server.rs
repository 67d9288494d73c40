//! The supervisor's side: a thread that listens to persons, fetches questions and keeps their time.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{
            fs::PermissionsExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{getsockopt, sockopt::PeerCredentials},
};

use super::{Reply, Request, questions::Questions};

/// How often questions are fetched and their time is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Whoever has come and says nothing is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// No request is longer: the longest holds a policy.
const MOST_BYTES: u64 = 4 << 20;

/// A desk that is open. Dropping it closes it: the socket is gone, and what waits has no answer.
pub(crate) struct Desk {
    questions: Questions,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    socket: PathBuf,
}

impl Desk {
    /// Opens it at a path in a directory of root's alone.
    pub(crate) fn open(socket: PathBuf, questions: Questions) -> io::Result<Self> {
        // The name is the run's, which nobody else has.
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket)?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = {
            let (questions, stopping) = (questions.clone(), Arc::clone(&stopping));
            std::thread::Builder::new()
                .name("desk".to_owned())
                .spawn(move || serve(&listener, &questions, &stopping))?
        };
        Ok(Self { questions, stopping, thread: Some(thread), socket })
    }

    /// What is asked.
    pub(crate) fn questions(&self) -> &Questions {
        &self.questions
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked serves nobody any more.
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.socket);
        self.questions.close();
    }
}

fn serve(listener: &UnixListener, questions: &Questions, stopping: &AtomicBool) {
    while !stopping.load(Ordering::SeqCst) {
        let mut ready = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(LOOK).expect("a few milliseconds");
        match poll(&mut ready, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::error!(%error, "nobody can come to the desk any more");
                return;
            }
        }
        while let Ok((stream, _)) = listener.accept() {
            if let Err(error) = receive(&stream, questions) {
                tracing::debug!(%error, "somebody came to the desk and went");
            }
        }
        questions.fetch();
        questions.look();
    }
}

/// Takes one request and answers it.
fn receive(mut stream: &UnixStream, questions: &Questions) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let peer = getsockopt(&stream, PeerCredentials)?.uid();
    if peer != nix::unistd::geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut line = String::new();
    BufReader::new(stream.take(MOST_BYTES)).read_line(&mut line)?;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => answer(request, questions),
        Err(error) => Reply::Refused { why: format!("that is no request: {error}") },
    };
    let mut reply = serde_json::to_vec(&reply)?;
    reply.push(b'\n');
    stream.write_all(&reply)
}

fn answer(request: Request, questions: &Questions) -> Reply {
    match request {
        Request::Questions => {
            questions.fetch();
            Reply::Questions { questions: questions.waiting() }
        }
        Request::Answer { question, answer, who } => {
            match questions.answer(question, answer, who) {
                Ok(what) => Reply::Done { what },
                Err(why) => Reply::Refused { why },
            }
        }
        Request::Reload { text, name, who } => match questions.reload(&text, &name, &who) {
            Ok(what) => Reply::Done { what },
            Err(why) => Reply::Refused { why },
        },
        Request::Decided { decision, call, components, who } => {
            Reply::Done { what: questions.decided(decision, call, components, &who) }
        }
    }
}
