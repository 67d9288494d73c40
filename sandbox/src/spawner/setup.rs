//! What the spawner does to itself before any job, once and for good.

use std::{error::Error, fmt, fs, io::Write, process};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::prctl,
    unistd::{sethostname, setsid},
};
use serde::{Deserialize, Serialize};

use super::{Ready, message::Setup};
use crate::landlock::{self, LandlockAchieved};

/// A part of the spawner's own setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetupStep {
    /// Has one thread only.
    Threads,
    /// Leaves the terminal, adopts orphans.
    Process,
    /// Moves into the oversight cgroup.
    Oversight,
    /// Enters namespaces of its own.
    Namespaces,
    /// Enters the Landlock domain.
    Landlock,
}

impl fmt::Display for SetupStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Threads => "have one thread only",
            Self::Process => "leave the terminal and adopt orphans",
            Self::Oversight => "enter the oversight cgroup",
            Self::Namespaces => "enter namespaces of its own",
            Self::Landlock => "enter the run's Landlock domain",
        })
    }
}

/// A part that failed and why, in words, because it crosses to another process.
pub(super) struct Unready {
    pub(super) step: SetupStep,
    pub(super) reason: String,
}

impl Unready {
    /// Tells the whole chain of causes.
    fn at<E: Error>(step: SetupStep) -> impl FnOnce(E) -> Self {
        move |error| {
            let mut reason = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                reason = format!("{reason}: {error}");
                cause = error.source();
            }
            Self { step, reason }
        }
    }
}

/// Does all of it. The order matters: mounts can be changed and cgroups be written to only before
/// Landlock.
pub(super) fn set_up(setup: &Setup) -> Result<Ready, Unready> {
    let threads = fs::read_dir("/proc/self/task").map_err(Unready::at(SetupStep::Threads))?.count();
    if threads != 1 {
        let reason = format!("it has {threads}: serve must be called before any is made");
        return Err(Unready { step: SetupStep::Threads, reason });
    }
    process_wide().map_err(Unready::at(SetupStep::Process))?;
    if let Some(directory) = &setup.oversight {
        fs::File::options()
            .write(true)
            .open(directory.join("cgroup.procs"))
            .and_then(|mut file| file.write_all(b"0"))
            .map_err(Unready::at(SetupStep::Oversight))?;
    }
    namespaces(setup).map_err(Unready::at(SetupStep::Namespaces))?;
    let landlock = match &setup.landlock {
        Some(rules) => landlock::enter(rules).map_err(Unready::at(SetupStep::Landlock))?,
        None => {
            LandlockAchieved { abi: crate::host::landlock_abi(), ..LandlockAchieved::default() }
        }
    };
    Ok(Ready {
        tgid: process::id(),
        landlock,
        has_seccomp: setup.seccomp.is_some(),
        seccomp_left_out: setup.seccomp.iter().flat_map(|it| it.left_out.clone()).collect(),
        namespaces: setup.namespaces,
    })
}

fn process_wide() -> Result<(), Errno> {
    // A session of its own: Ctrl-C at the client's terminal ends a run in order, and is not for the
    // spawner to die of. It may lead one already.
    match setsid() {
        Ok(_) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(errno),
    }
    // What a job leaves behind when it ends becomes the spawner's child and is reaped here.
    prctl::set_child_subreaper(true)?;
    // Everybody on the host can see the name.
    prctl::set_name(c"spawner")
}

fn namespaces(setup: &Setup) -> Result<(), Errno> {
    let asked = setup.namespaces;
    let mut flags = CloneFlags::empty();
    flags.set(CloneFlags::CLONE_NEWNS, asked.mount);
    flags.set(CloneFlags::CLONE_NEWIPC, asked.ipc);
    flags.set(CloneFlags::CLONE_NEWUTS, asked.uts);
    if !flags.is_empty() {
        unshare(flags)?;
    }
    if asked.mount {
        // What is mounted from now on in one of both is not seen in the other.
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
        for (inside, directory) in &setup.binds {
            mount(Some(directory), inside, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        }
    }
    if asked.uts {
        sethostname(&setup.hostname)?;
    }
    Ok(())
}
