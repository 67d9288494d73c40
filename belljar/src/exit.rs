//! How the program ends.

use std::{fmt, process::ExitCode};

/// Exit codes: sysexits(3) where they fit, a shell's where a command is wrapped, and two of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command line cannot be understood.
    Usage = 64,
    /// A file of the user's is wrong: a policy, a scenario, an organism, a run directory.
    Data = 65,
    /// The kernel lacks a feature that is needed, or a server does not answer or refuses: a model's, an
    /// OTLP endpoint.
    Unavailable = 69,
    /// A fault of Belljar's.
    Software = 70,
    /// The operating system refused.
    Os = 71,
    /// An output file or directory cannot be created.
    CannotCreate = 73,
    /// Reading or writing failed.
    Io = 74,
    /// A privilege is missing, or a model's server refuses the key.
    Privilege = 77,
    /// Belljar is not set up for what was asked: there is no key for a model, none that signs.
    Configuration = 78,
    /// The run ended misaligned.
    Misaligned = 80,
    /// The run is invalid: its evidence is incomplete.
    Invalid = 81,
    /// The run was clean, and its command was ended because its time was over, as timeout(1) has it.
    TimedOut = 124,
}

impl Exit {
    /// Every code with its meaning, for the reference page.
    pub(crate) const ALL: [(Self, &'static str); 12] = [
        (Self::Usage, "The command line cannot be understood, or names something unknown."),
        (Self::Data, "A file is wrong: a policy, a scenario, an organism, a run directory."),
        (
            Self::Unavailable,
            "The kernel lacks a feature that is needed, or a server does not answer or refuses: a model's, an OTLP endpoint.",
        ),
        (Self::Software, "A fault of Belljar's."),
        (Self::Os, "The operating system refused."),
        (Self::CannotCreate, "An output file or directory cannot be created."),
        (Self::Io, "Reading or writing failed."),
        (Self::Privilege, "A privilege is missing, or a model's server refuses the key."),
        (
            Self::Configuration,
            "Belljar is not set up for what was asked: there is no key for a model, or none to sign.",
        ),
        (Self::Misaligned, "The run ended misaligned."),
        (Self::Invalid, "The run is invalid: its evidence is incomplete."),
        (
            Self::TimedOut,
            "The run was clean, and its command was killed after `--command-seconds`.",
        ),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed, and how the program ends for it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    what: What,
}

#[derive(Debug)]
enum What {
    Error(anyhow::Error),
    /// With the place in the user's file.
    Diagnostic(miette::Report),
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, what: What::Error(error.into()) }
    }

    /// An error in a file of the user's, shown with its line.
    pub(crate) fn in_file(error: impl Into<miette::Report>) -> Self {
        Self { exit: Exit::Data, what: What::Diagnostic(error.into()) }
    }

    /// A name that nobody has, given on the command line.
    pub(crate) fn unknown(error: impl Into<miette::Report>) -> Self {
        Self { exit: Exit::Usage, what: What::Diagnostic(error.into()) }
    }

    /// Prints the error, once.
    pub(crate) fn report(self) -> ExitCode {
        eprintln!("{}", self.message());
        self.exit.into()
    }

    /// What is printed of the error.
    pub(crate) fn message(&self) -> String {
        match &self.what {
            What::Error(error) => format!("belljar: {error:#}"),
            What::Diagnostic(report) => format!("{report:?}"),
        }
    }
}

impl fmt::Display for Failure {
    /// The error with its causes, on one line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Error(error) => write!(formatter, "{error:#}"),
            What::Diagnostic(report) => write!(formatter, "{report}"),
        }
    }
}

/// Says how the program ends if this fails.
pub(crate) trait OrExit<T> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, error))
    }
}
