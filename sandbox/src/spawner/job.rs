//! What a spawner is asked to start, and how it ends.

use std::{ffi::OsString, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// A process to start in a leaf cgroup, as the run's user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The directory of the cgroup that it is born in.
    pub leaf: PathBuf,
    /// What it does.
    pub action: Action,
    /// Its environment, all of it.
    pub env: Vec<(OsString, OsString)>,
    /// The directory that it starts in; the run's user must be allowed to enter it.
    pub cwd: PathBuf,
}

impl Job {
    /// Executes a program in `/` with an empty environment.
    pub fn exec(
        leaf: impl Into<PathBuf>,
        program: impl Into<OsString>,
        args: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        let action = Action::Exec {
            program: program.into(),
            arg0: None,
            args: args.into_iter().map(Into::into).collect(),
        };
        Self { leaf: leaf.into(), action, env: Vec::new(), cwd: "/".into() }
    }

    /// Calls the task function that the spawner was given.
    pub fn task(leaf: impl Into<PathBuf>, payload: impl Into<String>) -> Self {
        let action = Action::Task { payload: payload.into() };
        Self { leaf: leaf.into(), action, env: Vec::new(), cwd: "/".into() }
    }
}

/// What a job's process does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It executes a program.
    Exec {
        /// A path where it holds a `/`, else a name to look up in the `PATH` of the job's own
        /// environment, as a shell does.
        program: OsString,
        /// The program's own name, its argument 0; `program` where `None`.
        arg0: Option<OsString>,
        /// Its arguments from 1 on.
        args: Vec<OsString>,
    },
    /// It stays a fork of the spawner and calls the function given to [`super::serve`], whose
    /// result is its exit code.
    Task {
        /// The function's argument.
        payload: String,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// The code that a shell would report: 128 and the signal's number for a signal.
    #[must_use]
    pub fn as_shell(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// What a job's process does before it is the job's own, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Step {
    /// Begins a session without a terminal.
    Session = 1,
    /// Keeps its standard descriptors and no other.
    Descriptors,
    /// Gives signals their default effect and blocks none.
    Signals,
    /// Enters a cgroup namespace.
    CgroupNamespace,
    /// Lowers its limits.
    Limits,
    /// Empties the bounding set of capabilities.
    BoundingSet,
    /// Leaves root's groups for the run's.
    Groups,
    /// Becomes the run's user.
    User,
    /// Drops what is left of capabilities, and the ability to gain any.
    Capabilities,
    /// Goes to its directory.
    Directory,
    /// Installs the seccomp filter.
    Seccomp,
    /// Executes the program.
    Exec,
}

impl Step {
    const ALL: [Self; 12] = [
        Self::Session,
        Self::Descriptors,
        Self::Signals,
        Self::CgroupNamespace,
        Self::Limits,
        Self::BoundingSet,
        Self::Groups,
        Self::User,
        Self::Capabilities,
        Self::Directory,
        Self::Seccomp,
        Self::Exec,
    ];

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step as u8 == number)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session => "begin a session",
            Self::Descriptors => "arrange its descriptors",
            Self::Signals => "reset its signals",
            Self::CgroupNamespace => "enter a cgroup namespace",
            Self::Limits => "lower its limits",
            Self::BoundingSet => "empty the bounding set of capabilities",
            Self::Groups => "take the run's groups",
            Self::User => "become the run's user",
            Self::Capabilities => "drop its capabilities",
            Self::Directory => "enter its working directory",
            Self::Seccomp => "install the seccomp filter",
            Self::Exec => "execute the program",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_numbers_of_their_own() {
        for (index, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, index + 1);
            assert_eq!(Step::from_number(step as u8), Some(step));
        }
        assert_eq!(Step::from_number(0), None);
    }

    #[test]
    fn a_signal_ends_as_a_shell_says() {
        assert_eq!(Exit::Code(3).as_shell(), 3);
        assert_eq!(Exit::Signal(9).as_shell(), 137);
    }
}
