//! Speaks with a session, for the command line.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use journal::escape::visible;

use super::protocol::{
    Closed, Error, ErrorKind, Exec, Read, Request, Response, Write, decode, encode,
};
use crate::{
    cli::{CloseArgs, ExecArgs, ReadArgs, SocketArgs, WriteArgs},
    exit::{Exit, Failure, OrExit as _},
    stdout::{out, outln},
};

/// What timeout(1) exits with when the time is over.
const TIMED_OUT: u8 = 124;

/// `belljar session exec`.
pub(super) fn exec(arguments: &ExecArgs) -> Result<ExitCode, Failure> {
    let environment = arguments
        .environment
        .iter()
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                Failure::new(Exit::Usage, anyhow!("--env takes NAME=VALUE, not {pair:?}"))
            })?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect::<Result<_, Failure>>()?;
    let request = Request::Exec(Exec {
        command: arguments.command.clone(),
        stdin_base64: if arguments.input { encode(&stdin()?) } else { String::new() },
        environment,
        cwd: arguments.cwd.clone(),
        timeout_seconds: arguments.timeout_seconds,
        output_limit_bytes: arguments.output_limit_bytes,
    });
    let response = ask(&arguments.socket, &request)?;
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&response).or_exit(Exit::Software)?);
    } else if let Some(executed) = &response.exec {
        pass_on(&mut io::stdout(), "stdout_base64", &executed.stdout_base64)?;
        pass_on(&mut io::stderr(), "stderr_base64", &executed.stderr_base64)?;
    }
    match (response.error, response.exec) {
        (None, Some(executed)) => Ok(ExitCode::from(u8::try_from(executed.exit_code).unwrap_or(1))),
        (Some(error), _) => Ok(failed(&error)),
        (None, None) => Err(Failure::new(Exit::Software, anyhow!("the session gave no answer"))),
    }
}

/// `belljar session read`.
pub(super) fn read(arguments: &ReadArgs) -> Result<ExitCode, Failure> {
    let request =
        Request::Read(Read { path: arguments.path.clone(), limit_bytes: arguments.limit_bytes });
    let response = ask(&arguments.socket, &request)?;
    if let Some(error) = &response.error {
        return Ok(failed(error));
    }
    let content = response.content_base64.unwrap_or_default();
    pass_on(&mut io::stdout(), "content_base64", &content)?;
    Ok(ExitCode::SUCCESS)
}

/// `belljar session write`.
pub(super) fn write(arguments: &WriteArgs) -> Result<ExitCode, Failure> {
    let request = Request::Write(Write {
        path: arguments.path.clone(),
        content_base64: encode(&stdin()?),
        append: arguments.append,
        parents: arguments.parents,
    });
    let response = ask(&arguments.socket, &request)?;
    Ok(response.error.as_ref().map_or(ExitCode::SUCCESS, failed))
}

/// `belljar session close`: prints the report and ends as `belljar run` would have.
pub(super) fn close(arguments: &CloseArgs) -> Result<ExitCode, Failure> {
    let response = ask(&arguments.socket, &Request::Close)?;
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&response).or_exit(Exit::Software)?);
    }
    let Some(Closed { exit_code, text, notices, .. }) = response.closed else {
        return Err(Failure::new(Exit::Software, anyhow!("the session did not say how it ended")));
    };
    if !arguments.json {
        out!("{text}");
    }
    for notice in notices {
        eprintln!("{notice}");
    }
    Ok(ExitCode::from(exit_code))
}

/// Says why something was not done, and gives the code for it.
fn failed(error: &Error) -> ExitCode {
    eprintln!("belljar: {}", visible(&error.message));
    ExitCode::from(match error.kind {
        ErrorKind::Timeout => TIMED_OUT,
        ErrorKind::NotExecutable if error.errno.as_deref() == Some("ENOENT") => 127,
        ErrorKind::NotExecutable => 126,
        ErrorKind::BadRequest => Exit::Usage as u8,
        ErrorKind::Closed => Exit::Unavailable as u8,
        ErrorKind::NotFound
        | ErrorKind::IsADirectory
        | ErrorKind::NotADirectory
        | ErrorKind::TooLarge => Exit::Data as u8,
        ErrorKind::PermissionDenied | ErrorKind::Refused => Exit::Privilege as u8,
        ErrorKind::Cancelled | ErrorKind::NotResumed | ErrorKind::Failed => Exit::Os as u8,
    })
}

/// Sends a request and waits for the response, as long as it takes.
fn ask(socket: &SocketArgs, request: &Request) -> Result<Response, Failure> {
    let path = if socket.session.contains('/') {
        PathBuf::from(&socket.session)
    } else {
        super::socket(&socket.session)
    };
    let stream = UnixStream::connect(&path)
        .with_context(|| {
            format!("no session at {}: `belljar session open` starts one", path.display())
        })
        .or_exit(Exit::Unavailable)?;
    let mut line = serde_json::to_vec(request).or_exit(Exit::Software)?;
    line.push(b'\n');
    (&stream).write_all(&line).context("cannot ask the session").or_exit(Exit::Io)?;
    let mut answer = Vec::new();
    BufReader::new(&stream)
        .read_until(b'\n', &mut answer)
        .context("cannot hear the session")
        .or_exit(Exit::Io)?;
    if answer.is_empty() {
        return Err(Failure::new(
            Exit::Unavailable,
            anyhow!("the session ended without an answer"),
        ));
    }
    serde_json::from_slice(&answer)
        .context("the session answered something else")
        .or_exit(Exit::Software)
}

fn stdin() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut bytes);
    read.context("cannot read standard input").or_exit(Exit::Io)?;
    Ok(bytes)
}

/// Writes bytes as they are; a reader that has read enough is no error.
fn pass_on(to: &mut impl io::Write, key: &str, text: &str) -> Result<(), Failure> {
    let bytes = decode(key, text).map_err(|error| Failure::new(Exit::Software, anyhow!(error)))?;
    match to.write_all(&bytes).and_then(|()| to.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot pass it on").or_exit(Exit::Io)
        }
        _ => Ok(()),
    }
}
