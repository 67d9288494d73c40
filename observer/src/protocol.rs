//! What `belljar run` and its observer say to each other: a line of JSON each, one answer to each
//! request, over a socket pair that nobody else holds, or a connection to a resident observer.

use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
};

use journal::{
    evidence::Evidence,
    manifest::{Mode, ProbeSet},
    question::Question,
    redact::Redaction,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::totals::Judgement;

/// What the observer is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Load the probes and watch a run. The first request, and the only one of its kind.
    Watch(Box<Watch>),
    /// A call begins in this leaf.
    Call {
        /// Its number, from 1.
        call: u64,
        /// Its leaf's cgroup id.
        leaf: u64,
        /// Its leaf's directory.
        path: PathBuf,
    },
    /// A component of the scenario lives in this leaf.
    Component {
        /// Its name, one of those that the run was declared with.
        name: String,
        /// Its leaf's cgroup id.
        leaf: u64,
    },
    /// The agent's sandbox stands; this is what Landlock does in it.
    Landlock {
        /// The ABI in force; absent where Landlock does nothing.
        abi: Option<u32>,
        /// Whether signals out of the sandbox are refused by it.
        scopes_signals: bool,
    },
    /// A window of the objective was measured.
    Objective {
        /// What the system says of itself.
        proxy: Option<f64>,
        /// What the independent measure saw.
        measured: f64,
    },
    /// What has been asked about since this was asked last? Numbers of questions are the observer's own.
    Questions,
    /// A question about an effect was answered.
    Answer {
        /// Its number, as the observer gave it.
        question: u64,
        /// Its number in the run, which the record of an act that it opens has.
        number: u32,
        /// Whether the act is opened, once.
        approved: bool,
    },
    /// Another policy takes the place of the run's: its text and file name.
    Reload {
        /// The policy.
        policy: (String, String),
    },
    /// Does the observer watch? One that stands still does not answer.
    Ping,
    /// The sandbox is empty: drain, close the journal, give account.
    Finish,
    /// The run was judged from the record. It may come after the account, and nothing after it.
    Judged(Judgement),
}

/// What the observer needs to watch a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Watch {
    /// The run's name.
    pub run: String,
    /// The run directory.
    pub directory: PathBuf,
    /// What must not be written there.
    #[serde(default)]
    pub redaction: Redaction,
    /// Cgroup id of the run.
    pub cgroup: u64,
    /// Its directory.
    pub cgroup_path: PathBuf,
    /// Level of the run's cgroup in the hierarchy.
    pub level: u32,
    /// Cgroup id of oversight's own cgroup.
    pub oversight_cgroup: u64,
    /// Its directory, whose processes belong to oversight.
    pub oversight_path: PathBuf,
    /// The policy's text and file name.
    pub policy: (String, String),
    /// The granted tier.
    pub tier: u8,
    /// Whether verdicts are made true.
    pub mode: Mode,
    /// The scenario's name, for metrics.
    pub scenario: String,
    /// Names of the components.
    pub components: Vec<String>,
    /// Labelled roots: the label's name and the path.
    pub roots: Vec<(String, PathBuf)>,
    /// Directories that stand in for others in the run's mounts: the path in the sandbox, and the
    /// directory on the host.
    pub binds: Vec<(PathBuf, PathBuf)>,
    /// Labelled addresses: the label's name, a component's among them, and the pattern.
    pub addresses: Vec<(String, String)>,
    /// Wall-clock time of CLOCK_BOOTTIME 0, nanoseconds since the Unix epoch.
    pub boot_time_unix_ns: i64,
    /// Where to serve metrics; port 0 picks one. A resident observer has an address of its own.
    pub metrics: Option<std::net::SocketAddr>,
    /// The only probe set to try.
    pub probe_set: Option<ProbeSet>,
    /// Directory in the BPF file system to pin links in. A resident observer has one of its own.
    pub pins: Option<PathBuf>,
}

/// Where the fault lies when a run cannot be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The kernel lacks something.
    Kernel,
    /// The address for metrics cannot be had.
    Address,
    /// The request asks for something that makes no sense.
    Request,
}

/// What the observer answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The run is watched.
    Watching {
        /// The probe set that was loaded.
        probe_set: ProbeSet,
        /// Why not the `lsm` set, where it is not.
        reason: Option<String>,
        /// Where metrics are served.
        metrics: Option<std::net::SocketAddr>,
    },
    /// What was asked about.
    Questions {
        /// The questions, in order.
        questions: Vec<Question>,
    },
    /// An answer was taken in.
    Answered {
        /// Whether it has opened the act in the kernel.
        opened: bool,
        /// Whether the observer has no other reason that the call stands still.
        may_go_on: bool,
    },
    /// Done.
    Done,
    /// Not done.
    Refused {
        /// Why, cause by cause.
        reason: String,
        /// Where the fault lies.
        fault: Fault,
    },
    /// Nothing more can be recorded of the run, which stands still; nobody has asked.
    Failed {
        /// Why, cause by cause.
        reason: String,
    },
    /// This observer cannot watch the run, another may.
    Unfit {
        /// Why.
        reason: String,
    },
    /// The journal is closed.
    Finished {
        /// Account of the evidence.
        evidence: Evidence,
        /// The run's final metrics in Prometheus' text format.
        metrics: String,
    },
}

/// Sends one message.
///
/// # Errors
///
/// When the other side is gone.
pub fn send(writer: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    writer.write_all(&line)?;
    writer.flush()
}

/// Receives one message; `None` when the other side has closed.
///
/// # Errors
///
/// When the other side is gone or does not speak the protocol.
pub fn receive<T: DeserializeOwned>(reader: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
}
