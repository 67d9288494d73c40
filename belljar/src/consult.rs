//! A program that is asked something: it gets a question as JSON on its standard input and answers on its
//! standard output. Whatever else it does is no answer.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// The most that it may say.
pub(crate) const MOST_BYTES: u64 = 64 << 10;
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// What the program has written when it ended well; else why that is no answer, in words that begin with
/// `who`. `is_moot` says why nobody waits for it any more, once that is so.
pub(crate) fn consult(
    who: &str,
    command: &str,
    question: Vec<u8>,
    limit: Duration,
    is_moot: &dyn Fn() -> Option<&'static str>,
) -> Result<Vec<u8>, String> {
    let deadline = Instant::now() + limit;
    let failed = |what: &str, error: io::Error| format!("{who} {what}: {error}");
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C at the terminal ends whoever asks, which ends this.
        .process_group(0)
        .spawn()
        .map_err(|error| failed("cannot be started", error))?;
    let mut input = child.stdin.take().expect("it was asked for");
    // Who does not read is not waited for.
    thread::spawn(move || {
        let _ = input.write_all(&question).and_then(|()| input.write_all(b"\n"));
    });
    let output = child.stdout.take().expect("it was asked for");
    let reading = thread::spawn(move || {
        let mut said = Vec::new();
        output.take(MOST_BYTES + 1).read_to_end(&mut said).map(|_| said)
    });
    let status = loop {
        if let Some(status) =
            child.try_wait().map_err(|error| failed("cannot be waited for", error))?
        {
            break status;
        }
        if let Some(why) = is_moot() {
            end(&mut child);
            return Err(why.to_owned());
        }
        if Instant::now() >= deadline {
            end(&mut child);
            return Err(format!("{who} did not answer within {} s", limit.as_secs_f64()));
        }
        thread::sleep(LOOK);
    };
    // What it has left running must not hold its output open, nor outlive the question.
    end(&mut child);
    let said = reading.join().map_err(|_| format!("{who} gave an answer that is lost"))?;
    let said = said.map_err(|error| failed("cannot be read", error))?;
    if said.len() as u64 > MOST_BYTES {
        return Err(format!("{who} said too much"));
    }
    if !status.success() {
        return Err(format!("{who} failed: {status}"));
    }
    Ok(said)
}

/// Kills it with all that is still of its group.
fn end(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = child.wait();
}
