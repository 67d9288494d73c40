//! The acts by name.

use std::{
    collections::HashMap,
    ffi::{CStr, CString, OsStr, OsString},
    fs::{self, File},
    net::SocketAddr,
    os::{
        fd::{AsRawFd, RawFd},
        unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    },
    path::Path,
};

use nix::{
    errno::Errno,
    sys::{
        prctl::set_pdeathsig,
        signal::Signal,
        stat::Mode,
        wait::{WaitStatus, waitpid},
    },
    unistd::{Pid, execv, getppid, pause, setpgid},
};

use crate::{change, daemon, evade, net, raw, schedule, sys};

/// A word names no act, or an act has not the words that it needs.
pub(crate) struct NoSuchAct(pub(crate) String);

type Ended = Result<Option<i64>, Errno>;

/// Who acts, with the children that it knows by name.
#[derive(Default)]
pub(crate) struct Actor {
    children: HashMap<String, Pid>,
}

/// The words of one act.
struct Words<'a>(&'a [OsString]);

impl<'a> Words<'a> {
    fn get(&self, index: usize) -> Result<&'a OsStr, NoSuchAct> {
        let missing = || NoSuchAct(format!("word {index} is missing"));
        self.0.get(index).map(OsString::as_os_str).ok_or_else(missing)
    }

    fn path(&self, index: usize) -> Result<CString, NoSuchAct> {
        CString::new(self.get(index)?.as_bytes())
            .map_err(|_| NoSuchAct("a path holds NUL".to_owned()))
    }

    fn paths(&self) -> Result<Vec<CString>, NoSuchAct> {
        (0..self.0.len()).map(|index| self.path(index)).collect()
    }

    fn text(&self, index: usize) -> Result<String, NoSuchAct> {
        Ok(self.get(index)?.to_string_lossy().into_owned())
    }

    fn address(&self, index: usize) -> Result<SocketAddr, NoSuchAct> {
        let word = self.text(index)?;
        word.parse().map_err(|_| NoSuchAct(format!("{word} is no address")))
    }

    fn number(&self, index: usize) -> Result<i32, NoSuchAct> {
        let word = self.get(index)?.to_string_lossy();
        word.parse().map_err(|_| NoSuchAct(format!("{word} is no number")))
    }

    fn directory(&self, index: usize) -> Result<Directory, NoSuchAct> {
        let word = self.get(index)?;
        if word == "cwd" {
            return Ok(Directory(None));
        }
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(word)
            .map_err(|error| NoSuchAct(format!("{}: {error}", word.display())))?;
        Ok(Directory(Some(file)))
    }
}

/// What a relative path starts from.
struct Directory(Option<File>);

impl Directory {
    fn descriptor(&self) -> RawFd {
        self.0.as_ref().map_or(sys::WORKING_DIRECTORY, AsRawFd::as_raw_fd)
    }
}

/// Becomes another program; its path is the first word.
fn execute(words: &[CString]) -> Ended {
    let program = words.first().ok_or(Errno::EINVAL)?;
    execv(program, words).map(|never| match never {})
}

impl Actor {
    /// Does one act. The inner result is how it ended.
    pub(crate) fn act(&mut self, name: &str, words: &[OsString]) -> Result<Ended, NoSuchAct> {
        let words = Words(words);
        let value = |result: Result<i64, Errno>| result.map(|_| None);
        Ok(match name {
            "kill" => value(sys::kill(self.pid(&words, 0)?, words.number(1)?)),
            "tkill" => value(sys::tkill(self.pid(&words, 0)?, words.number(1)?)),
            "tgkill" => {
                let (tgid, tid) = (self.pid(&words, 0)?, self.pid(&words, 1)?);
                value(sys::tgkill(tgid, tid, words.number(2)?))
            }
            "rt_sigqueueinfo" => {
                value(sys::rt_sigqueueinfo(self.pid(&words, 0)?, words.number(1)?))
            }
            "rt_tgsigqueueinfo" => {
                let (tgid, tid) = (self.pid(&words, 0)?, self.pid(&words, 1)?);
                value(sys::rt_tgsigqueueinfo(tgid, tid, words.number(2)?))
            }
            "pidfd_send_signal" => {
                value(sys::pidfd_send_signal(self.pid(&words, 0)?, words.number(1)?))
            }
            "signal_by_directory" => {
                let path = format!("/proc/{}", self.pid(&words, 0)?);
                let directory = errno_of(File::open(path));
                let signal = words.number(1)?;
                directory.and_then(|it| value(sys::signal_by_directory(it.as_raw_fd(), signal)))
            }
            "execveat_check" => value(sys::execveat_check(&words.path(0)?)),
            "hold" => hold(&words.directory(0)?, words.number(1)?),
            // Until the file is there.
            "halt_thread" => {
                let (tid, go) = (words.number(0)?, Path::new(words.get(1)?));
                sys::halt_thread(tid)
                    .and_then(|()| daemon::wait_for(go))
                    .and_then(|()| sys::release_thread(tid))
                    .map(|()| None)
            }
            "unlink" => value(sys::unlink(&words.path(0)?)),
            "unlinkat" => {
                let flags = if words.0.len() > 2 { sys::REMOVE_DIRECTORY } else { 0 };
                let directory = words.directory(0)?;
                value(sys::unlinkat(directory.descriptor(), &words.path(1)?, flags))
            }
            "rmdir" => value(sys::rmdir(&words.path(0)?)),
            "rename" => value(sys::rename(&words.path(0)?, &words.path(1)?)),
            "renameat" | "renameat2" => value(renameat(name, &words)?),
            "ring_unlink" => value(sys::ring_unlink(&words.path(0)?)),
            "ring_rmdir" => value(sys::ring_rmdir(&words.path(0)?)),
            "ring_rename" => value(sys::ring_rename(&words.path(0)?, &words.path(1)?)),
            "connect" => net::connect(&words.text(0)?, words.address(1)?).map(|()| None),
            "listen" => net::listen(words.address(0)?).map(|()| None),
            "bind" => net::bind(&words.text(0)?, words.address(1)?).map(|()| None),
            "sendto" => net::send(words.address(0)?).map(|()| None),
            "unix_stream" => net::unix_stream(&words.text(0)?).map(|()| None),
            "unix_datagram" => net::unix_datagram(&words.text(0)?).map(|()| None),
            "unix_send" => net::unix_send(&words.text(0)?).map(|()| None),
            "unix_own" => net::unix_own(&words.text(0)?).map(|()| None),
            "receive" => net::receive(&words.text(0)?).map(|()| None),
            "fastopen" => net::fast_open(words.address(0)?).map(|()| None),
            "socket" => value(sys::call(
                libc::SYS_socket,
                [words.number(0)?.into(), words.number(1)?.into(), words.number(2)?.into()],
            )),
            "exec" => execute(&words.paths()?),
            // A program that is told to end when whoever started it is gone.
            "with_parent" => {
                let program = words.paths()?;
                set_pdeathsig(Signal::SIGTERM).and_then(|()| execute(&program))
            }
            "chdir" => nix::unistd::chdir(words.path(0)?.as_c_str()).map(|()| None),
            "touch" => errno_of(File::create(words.get(0)?)).map(|_| None),
            "wait_file" => daemon::wait_for(Path::new(words.get(0)?)).map(|()| None),
            "storm" => storm(words.number(0)?, Path::new(words.get(1)?)),
            "daemon" => {
                let act = words.0.get(2..).unwrap_or_default();
                daemon::start(Path::new(words.get(0)?), Path::new(words.get(1)?), act)
            }
            "pause" => {
                pause();
                Ok(None)
            }
            "spawn" => self.spawn(&words)?,
            "child" => child(words.number(0)?),
            "reap" => {
                let pid = Pid::from_raw(self.pid(&words, 0)?);
                waitpid(pid, None).map(|status| match status {
                    WaitStatus::Exited(_, code) => Some(i64::from(code)),
                    WaitStatus::Signaled(_, signal, _) => Some(-i64::from(signal as i32)),
                    _ => None,
                })
            }
            "leave_leader" => {
                let ready = words.get(0)?.to_owned();
                std::thread::spawn(move || daemon::stay_without_leader(Path::new(&ready)));
                sys::exit_thread()
            }
            "deepen" => deepen(words.number(0)?, &words.path(1)?),
            "sub" => sub(Path::new(words.get(0)?)),
            "insist" => insist(&words.path(0)?),
            "until_denied" => until_denied(Path::new(words.get(0)?)),
            "rest" => {
                let time = u64::try_from(words.number(0)?).unwrap_or_default();
                std::thread::sleep(std::time::Duration::from_millis(time));
                Ok(None)
            }
            "brief" => self.briefly(&words)?,
            "threaded" => {
                let words = words.0.to_owned();
                let acting = std::thread::spawn(move || one(&words));
                acting.join().map_err(|_| NoSuchAct("the thread panicked".to_owned()))??
            }
            "raw" => value(raw::call(words.0)?),
            "thread" => {
                std::thread::spawn(|| {}).join().expect("an empty thread does not panic");
                Ok(None)
            }
            "sigio" => value(evade::sigio(self.pid(&words, 0)?, words.number(1)?)),
            "attach" => value(evade::attach(self.pid(&words, 0)?)),
            "read_memory" => value(evade::read_memory(self.pid(&words, 0)?)),
            "raise_capabilities" => value(evade::raise_capabilities()),
            "throw_pages_out" => value(evade::throw_pages_out(self.pid(&words, 0)?)),
            "steal_descriptor" => value(evade::steal_descriptor(self.pid(&words, 0)?)),
            "old_kill" => value(sys::old_call(37, self.pid(&words, 0)?, words.number(1)?)),
            _ if schedule::is_act(name) => value(schedule::act(name, self.pid(&words, 0)?)),
            _ => match evade::on_paths(name, words.0) {
                Some(ended) => value(ended),
                None => value(changed(name, &words)?),
            },
        })
    }

    /// A child does one act and is gone at once.
    fn briefly(&mut self, words: &Words<'_>) -> Result<Ended, NoSuchAct> {
        let child = match sys::fork() {
            Ok(Some(child)) => child,
            Ok(None) => {
                let code = match one(words.0) {
                    Ok(Ok(_)) => 0,
                    Ok(Err(errno)) => errno as i32,
                    Err(_) => 255,
                };
                std::process::exit(code);
            }
            Err(errno) => return Ok(Err(errno)),
        };
        Ok(match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => Ok(None),
            Ok(WaitStatus::Exited(_, code)) => Err(Errno::from_raw(code)),
            Ok(_) => Err(Errno::ECHILD),
            Err(errno) => Err(errno),
        })
    }

    /// A process: a number, `self`, `parent`, `grandparent`, `%NAME` for a child by name, `@FILE` for the number in
    /// a file; with `-` before it the group.
    fn pid(&self, words: &Words<'_>, index: usize) -> Result<i32, NoSuchAct> {
        let word = words.get(index)?.to_string_lossy();
        let (sign, who) = word.strip_prefix('-').map_or((1, &*word), |rest| (-1, rest));
        let unknown = || NoSuchAct(format!("{word} is no process"));
        let pid = match who {
            "self" => Pid::this().as_raw(),
            "parent" => getppid().as_raw(),
            "grandparent" => parent_of(getppid()).ok_or_else(unknown)?,
            _ => match (who.strip_prefix('%'), who.strip_prefix('@')) {
                (Some(name), _) => self.children.get(name).ok_or_else(unknown)?.as_raw(),
                (_, Some(file)) => {
                    let text = fs::read_to_string(file).map_err(|_| unknown())?;
                    text.trim().parse().map_err(|_| unknown())?
                }
                _ => who.parse().map_err(|_| unknown())?,
            },
        };
        Ok(sign * pid)
    }

    /// Starts a child that waits to be killed, in a group of its own if asked.
    fn spawn(&mut self, words: &Words<'_>) -> Result<Ended, NoSuchAct> {
        let name = words.get(0)?.to_string_lossy().into_owned();
        let own_group = words.0.len() > 1;
        Ok(match sys::fork() {
            Ok(Some(child)) => {
                if own_group {
                    // The child does the same: whoever comes first has done it for both.
                    let _ = setpgid(child, child);
                }
                self.children.insert(name, child);
                Ok(Some(child.as_raw().into()))
            }
            Ok(None) => {
                if own_group {
                    let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
                }
                loop {
                    pause();
                }
            }
            Err(errno) => Err(errno),
        })
    }
}

/// One act by an actor of its own.
fn one(words: &[OsString]) -> Result<Ended, NoSuchAct> {
    let (name, words) = words.split_first().ok_or_else(|| NoSuchAct("no act".to_owned()))?;
    Actor::default().act(&name.to_string_lossy(), words)
}

/// An act that makes a file or changes one.
fn changed(name: &str, words: &Words<'_>) -> Result<Result<i64, Errno>, NoSuchAct> {
    let none = || NoSuchAct("there is no such act".to_owned());
    let path = words.path(0)?;
    if let Some(done) = change::one(name, &path) {
        return Ok(done);
    }
    let second = words.path(1)?;
    if let Some(done) = change::two(name, &path, &second) {
        return Ok(done);
    }
    let flags = change::flags(&second.to_string_lossy()).ok_or_else(none)?;
    change::open(name, &path, flags).ok_or_else(none)
}

/// Keeps a directory open under this number.
fn hold(directory: &Directory, number: i32) -> Ended {
    let held = nix::fcntl::fcntl(
        directory.0.as_ref().ok_or(Errno::EBADF)?,
        nix::fcntl::FcntlArg::F_DUPFD(number),
    )?;
    Ok(Some(held.into()))
}

fn parent_of(pid: Pid) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn renameat(name: &str, words: &Words<'_>) -> Result<Result<i64, Errno>, NoSuchAct> {
    let (from_directory, to_directory) = (words.directory(0)?, words.directory(2)?);
    let (from, to) = (words.path(1)?, words.path(3)?);
    let from = (from_directory.descriptor(), from.as_c_str());
    let to = (to_directory.descriptor(), to.as_c_str());
    if name == "renameat" {
        return Ok(sys::renameat(from, to));
    }
    let flags = match words.get(4)?.to_string_lossy().as_ref() {
        "noreplace" => sys::NO_REPLACE,
        "exchange" => sys::EXCHANGE,
        "none" => 0,
        other => return Err(NoSuchAct(format!("{other} is no flag"))),
    };
    Ok(sys::renameat2(from, to, flags))
}

/// Makes this many directories of one name, each in the one before, and stays where it was.
fn deepen(levels: i32, name: &CStr) -> Ended {
    let start = errno_of(File::open("."))?;
    for _ in 0..levels {
        nix::unistd::mkdir(name, Mode::S_IRWXU)?;
        nix::unistd::chdir(name)?;
    }
    nix::unistd::fchdir(start)?;
    Ok(None)
}

/// Starts a child that ends with this code and waits for it.
fn child(code: i32) -> Ended {
    match sys::fork()? {
        Some(child) => {
            waitpid(child, None)?;
            Ok(Some(child.as_raw().into()))
        }
        None => std::process::exit(code),
    }
}

/// Runs the words of a file, each ended by NUL, as an actor of their own; says which process it was.
fn sub(file: &Path) -> Ended {
    let text = errno_of(fs::read(file))?;
    let words = text.split(|byte| *byte == 0).map(OsStr::from_bytes);
    let words = words.take_while(|word| !word.is_empty());
    let own = errno_of(std::env::current_exe())?;
    let mut child = errno_of(std::process::Command::new(own).args(words).spawn())?;
    errno_of(child.wait())?;
    Ok(Some(child.id().into()))
}

/// Tries to unlink until it succeeds; says how often that took.
fn insist(path: &CString) -> Ended {
    for tries in 1.. {
        if sys::unlink(path).is_ok() {
            return Ok(Some(tries));
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    unreachable!("nobody tries so often")
}

/// Makes and unlinks a file until either is refused; says how often neither was.
fn until_denied(directory: &Path) -> Ended {
    let path = directory.join("again");
    for done in 0.. {
        let again = File::create(&path).and_then(|_| fs::remove_file(&path));
        match errno_of(again) {
            Ok(()) => std::thread::sleep(std::time::Duration::from_millis(10)),
            Err(Errno::EPERM | Errno::EACCES) => return Ok(Some(done)),
            Err(errno) => return Err(errno),
        }
    }
    unreachable!("nobody tries so often")
}

/// Makes and unlinks this many files in a directory; says how many were unlinked.
fn storm(count: i32, directory: &Path) -> Ended {
    let mut unlinked = 0;
    for number in 0..count {
        let path = directory.join(format!("storm-{}", number % 16));
        errno_of(File::create(&path))?;
        let path =
            CString::new(path.into_os_string().into_encoded_bytes()).map_err(|_| Errno::EINVAL)?;
        sys::unlink(&path)?;
        unlinked += 1;
    }
    Ok(Some(unlinked))
}

pub(crate) fn errno_of<T>(result: std::io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}
