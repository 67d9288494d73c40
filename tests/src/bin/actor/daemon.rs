//! A process that outlives the call that started it and acts when it is told to.

use std::{
    ffi::OsString,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::wait::waitpid,
    unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid},
};

use crate::{act::Actor, line, sys};

/// How long somebody may take to make the file that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until a file is there.
pub(crate) fn wait_for(path: &Path) -> Result<(), Errno> {
    let deadline = Instant::now() + PATIENCE;
    while !path.exists() {
        if Instant::now() >= deadline {
            return Err(Errno::ETIMEDOUT);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Forks twice and starts a session, as daemon(7) has it. The daemon waits for the file `go`, does
/// one act and writes how it ended to the file `done`; the caller goes on at once.
pub(crate) fn start(go: &Path, done: &Path, act: &[OsString]) -> Result<Option<i64>, Errno> {
    if let Some(child) = sys::fork()? {
        waitpid(child, None)?;
        return Ok(None);
    }
    // From here on nobody waits: whatever fails ends this process.
    let _ = setsid();
    if !matches!(sys::fork(), Ok(None)) {
        std::process::exit(0);
    }
    if let Ok(null) = fs::File::options().read(true).write(true).open("/dev/null") {
        // Whoever started the call waits for the end of its output.
        let _ = (dup2_stdin(&null), dup2_stdout(&null), dup2_stderr(&null));
    }
    let ended = wait_for(go).and_then(|()| {
        let (name, arguments) = act.split_first().ok_or(Errno::EINVAL)?;
        Actor::default().act(&name.to_string_lossy(), arguments).map_err(|_| Errno::EINVAL)?
    });
    let text = line("daemon", 0, ended);
    // Written whole before it has its name, so that a reader sees all of it or nothing.
    let draft = done.with_extension("draft");
    let _ = fs::write(&draft, text).and_then(|()| fs::hard_link(&draft, done));
    std::process::exit(0);
}

/// What a second thread does: waits until the first one has exited, says so by a file, and stays for
/// good.
pub(crate) fn stay_without_leader(ready: &Path) -> ! {
    let stat = format!("/proc/{}/stat", std::process::id());
    let has_exited = || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "));
    let deadline = Instant::now() + PATIENCE;
    while !has_exited() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    if has_exited() {
        let _ = fs::write(ready, "");
    }
    loop {
        nix::unistd::pause();
    }
}
