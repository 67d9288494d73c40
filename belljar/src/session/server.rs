//! The side of a session that holds the run: takes requests at the socket, several connections at a
//! time, one request after the other on each.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{
            fs::PermissionsExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use agent_runner::{
    Cancel,
    outside::{self as desk, Answer, Front, Order, Outcome, Place},
    tools::ToolResult,
};
use anyhow::Context as _;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::protocol::{
    Closed, ErrorKind, Exec, LIMIT_BYTES, LINE_BYTES, OUTPUT_BYTES, Request, Response, Session,
    decode, encode,
};
use crate::{
    cli::OpenArgs,
    exit::{Exit, Failure, OrExit as _},
    run::{
        Settled,
        outside::{self, Door, Site},
    },
};

/// How often it is looked whether a client is still there, and whether anybody calls at all.
const LOOK: Duration = Duration::from_millis(200);
/// How long a client may take to read a piece of a response: one that stands still holds up nobody.
const READING: Duration = Duration::from_secs(30);

/// Holds the run until the session is closed. Standard input is a socket on which whoever started this
/// waits for word that the session is open.
pub(super) fn serve(arguments: &OpenArgs) -> Result<ExitCode, Failure> {
    // The terminal that it was started from may go.
    nix::unistd::setsid().context("cannot leave the terminal").or_exit(Exit::Os)?;
    let starter = io::stdin().as_fd().try_clone_to_owned().or_exit(Exit::Os)?;
    let door: Arc<dyn Door> = Arc::new(SessionDoor {
        idle: Duration::from_secs(arguments.idle_seconds),
        starter: Mutex::new(Some(starter.into())),
        state: Arc::default(),
    });
    outside::run(&arguments.setting, &door)
}

/// Where other programs come in.
struct SessionDoor {
    idle: Duration,
    /// Hears that the session is open.
    starter: Mutex<Option<UnixStream>>,
    state: Arc<State>,
}

/// What all connections share.
#[derive(Default)]
struct State {
    session: Mutex<Option<Session>>,
    /// Calls that are being made, and when the last one ended.
    busy: Mutex<Busy>,
    /// Who waits for the verdict.
    closers: Mutex<Vec<UnixStream>>,
}

struct Busy {
    calls: usize,
    since: Instant,
}

impl Default for Busy {
    fn default() -> Self {
        Self { calls: 0, since: Instant::now() }
    }
}

impl Door for SessionDoor {
    fn name(&self) -> &'static str {
        "session"
    }

    fn has_stdout(&self) -> bool {
        false
    }

    fn open(&self, front: Front, site: &Site<'_>) -> Result<(), Failure> {
        let path = super::socket(site.run);
        let listener = listen(&path)
            .with_context(|| format!("cannot listen on {}", path.display()))
            .or_exit(Exit::CannotCreate)?;
        let session = Session {
            run: site.run.to_owned(),
            socket: path.display().to_string(),
            directory: site.directory.display().to_string(),
            workspace: site.workspace.display().to_string(),
            tier: site.tier.number(),
            instruction: site.instruction.to_owned(),
        };
        let told = serde_json::to_string(&session).or_exit(Exit::Software)?;
        *lock(&self.state.session) = Some(session);
        lock(&self.state.busy).since = Instant::now();
        let (state, idle, closing) = (Arc::clone(&self.state), self.idle, front.clone());
        spawn("idle", move || {
            while !state.is_idle(idle) {
                thread::sleep(LOOK);
            }
            closing.close();
        })?;
        let state = Arc::clone(&self.state);
        spawn("session", move || {
            for client in listener.incoming() {
                let taken = client.and_then(|client| {
                    client.set_write_timeout(Some(READING))?;
                    let (state, front) = (Arc::clone(&state), front.clone());
                    thread::Builder::new()
                        .name("client".to_owned())
                        .spawn(move || state.attend(&client, &front))
                });
                if let Err(error) = taken {
                    tracing::warn!(%error, "a client of the session was not let in");
                    thread::sleep(LOOK);
                }
            }
        })?;
        if let Some(mut starter) = lock(&self.starter).take() {
            // Whoever started this and has gone since can still find the socket.
            let _ = writeln!(starter, "{told}");
        }
        Ok(())
    }

    fn judged(&self, settled: &mut Result<Settled, Failure>) {
        let Some(session) = lock(&self.state.session).take() else { return };
        let (ok, closed) = match settled {
            Ok(settled) => (true, closed(settled)),
            Err(failure) => {
                let notices = vec![failure.message()];
                let exit_code = failure.exit as u8;
                (
                    false,
                    Closed {
                        exit_code,
                        directory: session.directory,
                        notices,
                        ..Closed::default()
                    },
                )
            }
        };
        let response = Response { ok, closed: Some(closed), ..Response::default() };
        // A session that is gone has no socket, whoever looks for one now.
        let _ = fs::remove_file(&session.socket);
        for client in lock(&self.state.closers).drain(..) {
            // A client that has gone wants no verdict.
            let _ = send(&client, &response);
        }
    }
}

fn listen(path: &PathBuf) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Its directory is root's alone, so that nobody comes in before the mode is set.
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).or_exit(Exit::Os)
}

fn closed(settled: &Settled) -> Closed {
    let report = fs::read(settled.directory.join(journal::files::name::REPORT_JSON));
    let report = report.ok().and_then(|report| serde_json::from_slice(&report).ok());
    Closed {
        exit_code: settled.code,
        directory: settled.directory.display().to_string(),
        report: report.unwrap_or_default(),
        text: settled.report.clone(),
        notices: settled.notices.clone(),
    }
}

impl State {
    fn is_idle(&self, limit: Duration) -> bool {
        let busy = lock(&self.busy);
        busy.calls == 0 && busy.since.elapsed() >= limit
    }

    /// Answers a client's requests until it goes.
    fn attend(&self, client: &UnixStream, front: &Front) {
        let mut requests = BufReader::new(client);
        loop {
            let mut line = Vec::new();
            let most = LINE_BYTES as u64 + 1;
            match requests.by_ref().take(most).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if line.len() > LINE_BYTES {
                // What comes next is the rest of it: nothing more of this client can be understood.
                let message = format!("a request has at most {LINE_BYTES} bytes");
                let _ = send(client, &Response::refused(ErrorKind::TooLarge, message));
                return;
            }
            let response = match serde_json::from_slice(&line) {
                Ok(Request::Close) => {
                    match client.try_clone() {
                        Ok(client) => lock(&self.closers).push(client),
                        Err(error) => tracing::warn!(%error, "a client will not hear the verdict"),
                    }
                    front.close();
                    // The run's end is told by whoever judges it.
                    return;
                }
                Ok(Request::Status) => self.status(),
                Ok(request) => self.call(request, client, front),
                Err(error) => Response::refused(ErrorKind::BadRequest, error.to_string()),
            };
            if send(client, &response).is_err() {
                return;
            }
        }
    }

    fn status(&self) -> Response {
        let session = lock(&self.session).clone();
        Response { ok: session.is_some(), session, ..Response::default() }
    }

    /// Has a call made and waits for its end; a client that goes meanwhile ends its call.
    fn call(&self, request: Request, client: &UnixStream, front: &Front) -> Response {
        let request = match order(request) {
            Ok(request) => request,
            Err(message) => return Response::refused(ErrorKind::BadRequest, message),
        };
        let cancel = match Cancel::new() {
            Ok(cancel) => cancel,
            Err(error) => return Response::refused(ErrorKind::Failed, error.to_string()),
        };
        lock(&self.busy).calls += 1;
        let (sender, answers) = mpsc::channel();
        front.order(Order {
            request,
            cancel: cancel.clone(),
            answer: Box::new(move |answer| {
                // It waits until the sender is gone, so there is somebody to hear it.
                let _ = sender.send(answer);
            }),
        });
        let answer = loop {
            match answers.recv_timeout(LOOK) {
                Ok(answer) => break Some(answer),
                Err(mpsc::RecvTimeoutError::Disconnected) => break None,
                Err(mpsc::RecvTimeoutError::Timeout) if has_gone(client) => cancel.cancel(),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        };
        let mut busy = lock(&self.busy);
        busy.calls -= 1;
        busy.since = Instant::now();
        drop(busy);
        match answer {
            Some(answer) => response(answer),
            None => Response::refused(ErrorKind::Closed, "the session takes no more calls"),
        }
    }
}

/// Whether the other end is closed, both ways: one that has sent all may still want an answer.
fn has_gone(client: &UnixStream) -> bool {
    let mut fds = [PollFd::new(client.as_fd(), PollFlags::empty())];
    let polled = poll(&mut fds, PollTimeout::ZERO);
    let events = fds[0].revents().unwrap_or(PollFlags::empty());
    polled.is_ok() && events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR)
}

fn send(mut client: &UnixStream, response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    client.write_all(&line)
}

/// What the desk is asked to do; an error is the client's.
fn order(request: Request) -> Result<desk::Request, String> {
    Ok(match request {
        Request::Exec(exec) => desk::Request::Exec(program(exec)?),
        Request::Read(read) => {
            let limit_bytes = limit("limit_bytes", read.limit_bytes, LIMIT_BYTES)?;
            desk::Request::Read(desk::Read { path: read.path.into(), limit_bytes })
        }
        Request::Write(write) => desk::Request::Write(desk::Write {
            path: write.path.into(),
            content: decode("content_base64", &write.content_base64)?,
            append: write.append,
            parents: write.parents,
        }),
        Request::Tool(tool) => desk::Request::Tool { name: tool.name, arguments: tool.arguments },
        Request::Status | Request::Close => return Err("that is no call".to_owned()),
    })
}

fn program(exec: Exec) -> Result<desk::Exec, String> {
    let mut words = exec.command.into_iter();
    let program = words.next().ok_or("`command` is empty")?;
    let time = match exec.timeout_seconds {
        None => None,
        Some(seconds) if seconds > 0.0 => Some(
            Duration::try_from_secs_f64(seconds)
                .map_err(|error| format!("`timeout_seconds`: {error}"))?,
        ),
        Some(_) => return Err("`timeout_seconds` is above 0".to_owned()),
    };
    let environment = exec.environment.into_iter();
    Ok(desk::Exec {
        program: program.into(),
        arguments: words.map(Into::into).collect(),
        place: Place {
            directory: exec.cwd.map(PathBuf::from),
            environment: environment.map(|(name, value)| (name.into(), value.into())).collect(),
        },
        stdin: decode("stdin_base64", &exec.stdin_base64)?,
        time,
        limit_bytes: limit("output_limit_bytes", exec.output_limit_bytes, OUTPUT_BYTES)?,
    })
}

fn limit(key: &str, given: Option<usize>, default: usize) -> Result<usize, String> {
    match given {
        None => Ok(default),
        Some(bytes) if bytes <= LIMIT_BYTES => Ok(bytes),
        Some(_) => Err(format!("`{key}` is at most {LIMIT_BYTES}")),
    }
}

fn response(answer: Answer) -> Response {
    let Answer { call, outcome, duration } = answer;
    let made = Response {
        ok: true,
        call: Some(call),
        duration_seconds: Some(duration.as_secs_f64()),
        ..Response::default()
    };
    match outcome {
        Outcome::Output(output) => Response { exec: Some(output.into()), ..made },
        Outcome::Content(content) => Response { content_base64: Some(encode(&content)), ..made },
        Outcome::Written(bytes) => Response { written_bytes: Some(bytes), ..made },
        Outcome::Tool(ToolResult { ok, value }) => Response { ok, value: Some(value), ..made },
        Outcome::Failed(fault, output) => {
            Response { ok: false, error: Some(fault.into()), exec: output.map(Into::into), ..made }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_asks_for_more_than_there_is_is_told_so() {
        let exec = |seconds, bytes| Exec {
            command: vec!["true".to_owned()],
            timeout_seconds: seconds,
            output_limit_bytes: bytes,
            ..Exec::default()
        };
        let made = program(exec(Some(0.5), None)).unwrap();
        assert_eq!((made.time, made.limit_bytes), (Some(Duration::from_millis(500)), OUTPUT_BYTES));
        for wrong in [
            exec(Some(0.0), None),
            exec(Some(f64::INFINITY), None),
            exec(Some(f64::NAN), None),
            exec(None, Some(LIMIT_BYTES + 1)),
            Exec::default(),
        ] {
            assert!(program(wrong).is_err());
        }
    }
}
