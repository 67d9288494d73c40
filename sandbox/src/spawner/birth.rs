//! From a fork of the spawner to a job's process: what a child does before it is the job's own.

use std::{
    ffi::{CString, NulError, OsStr},
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::ffi::OsStrExt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use caps::CapSet;
use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
        stat::{Mode, umask},
    },
    unistd::{Gid, Uid, chdir, execve, pipe2, setgroups, setresgid, setresuid, setsid},
};

use super::{
    Action, Step, lookup,
    message::{Order, Setup},
};
use crate::sys::{self, Fork};

/// Files that a job makes are its own to write and everybody's to read.
const UMASK: Mode = Mode::from_bits_truncate(0o022);
/// What a child exits with when a task panics, as a Rust program does.
const EXIT_PANIC: i32 = 101;
/// What a child exits with when it could not become the job's own; the client hears the reason.
const EXIT_REFUSED: i32 = 126;

/// A child that is becoming a job.
pub(super) struct Newborn {
    pub(super) tgid: u32,
    /// Closed when it has become the job; before that it may say why it cannot.
    pub(super) report: File,
}

/// What is to be executed, ready for execve(2).
struct Program {
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

/// Forks a child into a leaf.
pub(super) fn give_birth(
    setup: &Setup,
    order: &Order,
    leaf: BorrowedFd<'_>,
    stdio: [BorrowedFd<'_>; 3],
    task: fn(&str) -> i32,
) -> Result<Newborn, Errno> {
    // The client has checked for NUL; what still fails here is a client of another build.
    let program = program(order).map_err(|_| Errno::EINVAL)?;
    let (report, child_report) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    match sys::fork_into_cgroup(leaf)? {
        Fork::Parent { child } => Ok(Newborn { tgid: child, report: File::from(report) }),
        Fork::Child => {
            // Nothing of the child's may ever return into the spawner's loop.
            let code = catch_unwind(AssertUnwindSafe(|| {
                live(setup, order, program.as_ref(), stdio, &child_report, task)
            }));
            sys::exit_now(code.unwrap_or(EXIT_PANIC))
        }
    }
}

/// The child's life until it executes; returns its exit code otherwise.
fn live(
    setup: &Setup,
    order: &Order,
    program: Option<&Program>,
    stdio: [BorrowedFd<'_>; 3],
    report: &OwnedFd,
    task: fn(&str) -> i32,
) -> i32 {
    if let Err((step, errno)) = arrange(stdio, report) {
        // Where the report lies is not known for sure; the spawner's own descriptor is still open.
        tell(&mut File::from(report.try_clone().expect("descriptors are left")), step, errno);
        return EXIT_REFUSED;
    }
    let mut report = File::from(sys::take_report());
    if let Err((step, errno)) = become_the_run(setup, order) {
        tell(&mut report, step, errno);
        return EXIT_REFUSED;
    }
    match (&order.action, program) {
        (Action::Task { payload }, _) => {
            drop(report);
            sys::replace_environment(&order.env);
            let code = catch_unwind(AssertUnwindSafe(|| task(payload)));
            // The process ends without running what would flush it.
            let _ = io::stdout().flush();
            code.unwrap_or(EXIT_PANIC)
        }
        (Action::Exec { .. }, Some(program)) => {
            tell(&mut report, Step::Exec, execute(program));
            EXIT_REFUSED
        }
        (Action::Exec { .. }, None) => EXIT_REFUSED,
    }
}

fn arrange(stdio: [BorrowedFd<'_>; 3], report: &OwnedFd) -> Result<(), (Step, Errno)> {
    setsid().map_err(|errno| (Step::Session, errno))?;
    umask(UMASK);
    sys::keep_descriptors(stdio, report.as_fd()).map_err(|errno| (Step::Descriptors, errno))
}

/// Gives up root for good. The order matters: the bounding set needs `CAP_SETPCAP` and groups need
/// `CAP_SETGID`, both of which are lost with user 0; a directory is entered with the run's rights,
/// not root's; the filter may refuse any of the calls before it.
fn become_the_run(setup: &Setup, order: &Order) -> Result<(), (Step, Errno)> {
    let at = |step| move |errno: Errno| (step, errno);
    let caps = |step| move |_| (step, Errno::last());
    sys::reset_signals();
    if setup.namespaces.cgroup {
        unshare(CloneFlags::CLONE_NEWCGROUP).map_err(at(Step::CgroupNamespace))?;
    }
    lower_limits(setup).map_err(at(Step::Limits))?;
    caps::clear(None, CapSet::Bounding).map_err(caps(Step::BoundingSet))?;
    let groups: Vec<_> = setup.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (uid, gid) = (Uid::from_raw(setup.uid), Gid::from_raw(setup.gid));
    setgroups(&groups).map_err(at(Step::Groups))?;
    setresgid(gid, gid, gid).map_err(at(Step::Groups))?;
    setresuid(uid, uid, uid).map_err(at(Step::User))?;
    // The change of user has emptied all but the inheritable set; each is named all the same.
    for set in [CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::clear(None, set).map_err(caps(Step::Capabilities))?;
    }
    prctl::set_no_new_privs().map_err(at(Step::Capabilities))?;
    sys::leave_session_keyring();
    chdir(&order.cwd).map_err(at(Step::Directory))?;
    match &setup.seccomp {
        Some(filters) => filters.install().map_err(at(Step::Seccomp)),
        None => Ok(()),
    }
}

/// Lowers limits, soft and hard. Never raises one: that takes `CAP_SYS_RESOURCE`, which root in a
/// container often lacks.
fn lower_limits(setup: &Setup) -> Result<(), Errno> {
    let limits = [
        // A core file would be a file of the run's that no call wrote.
        (Resource::RLIMIT_CORE, Some(0)),
        (Resource::RLIMIT_NOFILE, setup.rlimits.open_files),
        (Resource::RLIMIT_NPROC, setup.rlimits.processes),
        (Resource::RLIMIT_FSIZE, setup.rlimits.file_bytes),
        (Resource::RLIMIT_DATA, setup.rlimits.data_bytes),
    ];
    for (resource, limit) in limits {
        let Some(limit) = limit else { continue };
        let (soft, hard) = getrlimit(resource)?;
        setrlimit(resource, soft.min(limit), hard.min(limit))?;
    }
    Ok(())
}

fn program(order: &Order) -> Result<Option<Program>, NulError> {
    let Action::Exec { program, arg0, args } = &order.action else { return Ok(None) };
    let c_string = |text: &OsStr| CString::new(text.as_bytes());
    let mut arguments = vec![c_string(arg0.as_deref().unwrap_or(program))?];
    for argument in args {
        arguments.push(c_string(argument)?);
    }
    Ok(Some(Program {
        candidates: lookup::candidates(program, &order.env)?,
        arguments,
        environment: lookup::environment(&order.env)?,
    }))
}

/// Executes the first candidate that the kernel takes. Returns only the reason why none was.
fn execute(program: &Program) -> Errno {
    let mut failures = Vec::new();
    for candidate in &program.candidates {
        let Err(errno) = execve(candidate, &program.arguments, &program.environment);
        failures.push(errno);
        if !lookup::is_worth_going_on(errno) {
            break;
        }
    }
    lookup::outcome(&failures)
}

/// A report is the step's number and the errno, in the machine's byte order.
fn tell(report: &mut File, step: Step, errno: Errno) {
    let mut bytes = vec![step as u8];
    bytes.extend((errno as i32).to_ne_bytes());
    // Shorter than a pipe's atomic size. If the spawner is gone, nobody wants to know.
    let _ = report.write_all(&bytes);
}

/// Reads what [`tell`] wrote; `None` when nothing was told, which means that all went well.
pub(super) fn read_report(bytes: &[u8]) -> Option<(Step, i32)> {
    let (&step, errno) = bytes.split_first()?;
    Some((Step::from_number(step)?, i32::from_ne_bytes(errno.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_told() {
        let (mut reader, writer) = io::pipe().unwrap();
        tell(&mut File::from(OwnedFd::from(writer)), Step::Exec, Errno::ENOENT);
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
        assert_eq!(read_report(&bytes), Some((Step::Exec, libc::ENOENT)));
        assert_eq!(read_report(b""), None);
    }
}
