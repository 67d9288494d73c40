//! A process of the host that is in no run.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A process that waits until it is killed; dropping this kills it.
#[derive(Debug)]
pub struct Bystander(Child);

impl Bystander {
    /// Starts one under this user id, and the group of the same number, in a process group of
    /// its own.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(actor: &Path, uid: u32) -> Self {
        let mut command = Command::new(actor);
        command.arg("pause").uid(uid).gid(uid).process_group(0).stdin(Stdio::null());
        Self(command.spawn().expect("a bystander can be started"))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("the kernel's process ids are positive")
    }

    /// Whether it still runs.
    ///
    /// # Panics
    ///
    /// When the kernel does not say.
    pub fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("a child can be waited for").is_none()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // It may have ended, which is what a test then tells.
        let _ = kill(Pid::from_raw(self.pid()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}
