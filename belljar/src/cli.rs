//! What can be said on the command line.

mod model;
mod outside;
mod runs;
mod setting;
mod studies;

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum, error::ErrorKind};
use journal::manifest::ProbeSet;

use crate::exit::{Exit, Failure};

pub(crate) use self::studies::{MonitorArgs, SweepArgs};
pub(crate) use model::ModelArgs;
pub(crate) use outside::{
    CloseArgs, ExecArgs, McpArgs, OpenArgs, ReadArgs, ReplayArgs, SessionCommand, SocketArgs,
    WriteArgs,
};
pub(crate) use runs::{GcArgs, ListArgs, OutputArgs, RunsCommand, Since, TargetArgs};
pub(crate) use setting::SettingArgs;

/// Confines an AI agent, traces in the kernel what it does, enforces a tier, and judges the run.
#[derive(Debug, Parser)]
#[command(name = "belljar", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an agent under watch, from start to verdict
    Run(Box<RunArgs>),
    /// Carry out a grid of runs, and tell their rates, differences and what the next sweep needs
    ///
    /// Each run is a `belljar run` with a directory of its own. A sweep that was interrupted or killed goes
    /// on with the same command, and repeats no finished run. Ctrl-C lets runs end that go on, a second one
    /// ends them.
    Sweep(SweepArgs),
    /// Score recorded runs by monitors that see the transcript, the kernel's record, or both, and compare them
    ///
    /// A command is handed a run as JSON on its standard input and prints {"score": 0 to 1, "reason": TEXT} as
    /// JSON, with the `effect` or the `call` at which it became suspicious if it knows. Whatever else it does is
    /// no answer, and reported as such.
    Monitor(MonitorArgs),
    /// Serve the tools over MCP: the agent is whoever the client is, and its calls are a run's
    ///
    /// Without --http it speaks over standard input and output, and the run ends when the client closes
    /// them. The report goes to standard error then.
    Mcp(Box<McpArgs>),
    /// Join standard input and output to an MCP socket, for clients that want a program to start
    Bridge {
        /// The socket
        #[arg(env = "MCP_SOCKET")]
        socket: PathBuf,
    },
    /// A sandbox under observation that another program drives call by call, over a unix socket
    #[command(subcommand)]
    Session(Box<SessionCommand>),
    /// Make a recorded run's calls again, under another policy, tier or kernel, and compare
    ///
    /// Scenario, tier, mode, seed, policy and labelled paths are the recorded run's where no flag says
    /// otherwise.
    Replay(Box<ReplayArgs>),
    /// Check or explain a policy
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Say what this host can see and enforce
    Doctor(JsonArgs),
    /// Show a recorded run, or where two differ
    #[command(subcommand)]
    Report(ReportCommand),
    /// Prove that a run's journal is whole, or make or check a proof for one of its effects
    Verify(VerifyArgs),
    /// Make, show or rotate the key that signs journals
    #[command(subcommand)]
    Key(KeyCommand),
    /// List, show, check or begin scenarios: systems under test
    #[command(subcommand)]
    Scenario(ScenarioCommand),
    /// Turn tasks of a benchmark into scenarios of your own
    #[command(subcommand)]
    Import(ImportCommand),
    /// List or show organisms: scripted agents with a known disposition
    #[command(subcommand)]
    Organism(OrganismCommand),
    /// Show the tools that an agent of a tier is handed
    Tools(ToolsArgs),
    /// Observe many runs: load the probes once, and serve all metrics at one address
    ///
    /// While it runs, `belljar run` starts in a fraction of the time. It ends with Ctrl-C or SIGTERM:
    /// no new runs then, and when the last has ended, or at the second signal, it is gone.
    Watch(WatchArgs),
    /// Show what happens now on this host: runs, their calls, effects, violations, losses
    ///
    /// It reads what the runs write down while they go on, whoever observes them. Runs that end while
    /// it looks stay in view for ten minutes. Keys: up and down choose a run, q quits.
    Top(TopArgs),
    /// See live runs, and freeze, resume or kill them; list, query or clear away recorded ones
    #[command(subcommand)]
    Runs(Box<RunsCommand>),
    /// Answer what a policy asks about the runs of this host (verdict `ask`)
    ///
    /// At a terminal each question is shown and answered in turn. Without an answer in time it means no.
    Approve(ApproveArgs),
    /// Remove what runs whose supervisor died have left: processes, cgroups, pins
    Reap,
    #[command(hide = true)]
    Observer,
    #[command(hide = true)]
    Canary { file: PathBuf },
    #[command(hide = true)]
    Component {
        name: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Print a reference page, in Markdown
    #[command(hide = true)]
    Reference { page: String },
}

/// Whether verdicts are made true.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ModeArg {
    /// Verdicts are computed and recorded, nothing is stopped
    Observe,
    /// Verdicts are made true where an enforcer can
    Enforce,
}

/// What must be so for a run to start.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RequireArg {
    /// This host prevents all that the policy denies; nothing is only seen or stopped afterwards
    Prevented,
}

/// Which probes to load.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ProbeSetArg {
    /// LSM programs where the kernel takes them, tracepoints elsewhere
    Auto,
    /// LSM programs or nothing
    Lsm,
    /// Tracepoints only
    Tracepoint,
}

impl ProbeSetArg {
    /// The one set that was asked for.
    pub(crate) fn only(self) -> Option<ProbeSet> {
        match self {
            Self::Auto => None,
            Self::Lsm => Some(ProbeSet::Lsm),
            Self::Tracepoint => Some(ProbeSet::Tracepoint),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) setting: SettingArgs,
    /// The agent: `organism:NAME` (one of the scenario's), `organism:FILE.toml` or `llm:PROVIDER/MODEL`
    /// with a PROVIDER of `openai` or `anthropic`; a command goes behind `--`
    #[arg(long, conflicts_with = "command")]
    pub(crate) agent: Option<String>,
    /// Seconds that a wrapped command may take, after which it is killed and Belljar exits with 124, if
    /// the run was clean (default: no limit)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) command_seconds: Option<u64>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Offer the tools of the tier to the command over MCP, at the unix socket that its variable
    /// MCP_SOCKET names: what it calls there is attributed call by call, from call 2 on
    #[arg(long, requires = "command")]
    pub(crate) mcp: bool,
    /// A command to run as the agent
    #[arg(last = true)]
    pub(crate) command: Vec<OsString>,
}

/// Who observes a run.
#[derive(Clone, Debug)]
pub(crate) enum ObserverArg {
    /// The resident observer where there is one, else one of the run's own.
    Auto,
    /// One of the run's own.
    Own,
    /// The resident observer that listens there.
    At(PathBuf),
}

impl FromStr for ObserverArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "own" => Ok(Self::Own),
            path if path.contains('/') => Ok(Self::At(path.into())),
            _ => Err("expected auto, own, or the path of a socket".to_owned()),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Serve Prometheus metrics of all runs here; port 0 picks one
    #[arg(long, default_value = "127.0.0.1:9464", env = "BELLJAR_METRICS")]
    pub(crate) metrics: SocketAddr,
    /// Serve no metrics
    #[arg(long, conflicts_with = "metrics")]
    pub(crate) no_metrics: bool,
    /// Which probes to load
    #[arg(long, value_enum, default_value = "auto", env = "BELLJAR_PROBES")]
    pub(crate) probes: ProbeSetArg,
    /// Where runs find it
    #[arg(long, default_value = observer::gate::SOCKET)]
    pub(crate) socket: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Print one frame as text and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Print each frame as a JSON object on a line of its own; with --once, one
    #[arg(long)]
    pub(crate) json: bool,
    /// Seconds from one frame to the next, 0.1 to 3600
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS", value_parser = interval)]
    pub(crate) interval: f64,
}

/// A time limit. None at all is said by leaving it out.
fn seconds(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("at least one second; for no limit leave it out".to_owned()),
        Ok(seconds) => Ok(seconds),
        Err(_) => Err("not a number of whole seconds".to_owned()),
    }
}

fn interval(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    if (0.1..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("not 0.1 to 3600".to_owned()) }
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("answer").args(["yes", "no", "kill"]).requires("question"))]
pub(crate) struct ApproveArgs {
    /// The live run (default: all of them)
    pub(crate) run: Option<String>,
    /// The question's number in the run
    #[arg(requires = "answer")]
    pub(crate) question: Option<u64>,
    /// Approve: an effect is opened once, a tool call begins
    #[arg(long)]
    pub(crate) yes: bool,
    /// Refuse: the denial stands, and the call goes on
    #[arg(long)]
    pub(crate) no: bool,
    /// Refuse, and kill the call
    #[arg(long)]
    pub(crate) kill: bool,
    /// Print what waits for an answer as JSON
    #[arg(long, conflicts_with = "answer")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JsonArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check a policy file
    Check {
        /// The file
        file: PathBuf,
        /// Check against the components of this scenario
        #[arg(long, default_value = "bare")]
        scenario: String,
    },
    /// Say rule by rule which layer enforces a policy on this host
    Explain {
        /// The file (default: the shipped policy)
        file: Option<PathBuf>,
        /// For this tier
        #[arg(long, default_value_t = 1)]
        tier: u8,
        /// With the components of this scenario
        #[arg(long, default_value = "bare")]
        scenario: String,
        /// Take it that this host loads these probes, which needs no privilege (default: try it)
        #[arg(long, value_enum, default_value = "auto")]
        probes: ProbeSetArg,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what another policy would have said to a recorded run
    Simulate {
        /// The run directory
        directory: PathBuf,
        /// The other policy (default: the shipped policy)
        #[arg(long)]
        policy: Option<PathBuf>,
        /// At another tier than the run's
        #[arg(long)]
        tier: Option<u8>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say where two policies differ, at which tiers
    Diff {
        /// The one
        before: PathBuf,
        /// The other
        after: PathBuf,
        /// With the components of this scenario
        #[arg(long, default_value = "bare")]
        scenario: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Put another policy in the place of a live run's, for the rest of the run
    ///
    /// The kernel judges by it from one moment on. Landlock can only be tightened, and for calls that begin
    /// later: a policy that would loosen it is refused. Needs root.
    Reload {
        /// The live run
        run: String,
        /// The other policy
        #[arg(long)]
        policy: PathBuf,
    },
    /// Print the shipped policy
    Default,
    /// Print the JSON Schema of a policy, for editors
    Schema,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// For a terminal
    Text {
        /// The run directory
        directory: PathBuf,
    },
    /// For programs
    Json {
        /// The run directory
        directory: PathBuf,
    },
    /// A page that needs no network
    Html {
        /// The run directory
        directory: PathBuf,
    },
    /// As a log that Inspect opens (`inspect view`, `read_eval_log`, `samples_df`): messages, calls and scores,
    /// with the kernel's effects beside them
    Inspect {
        /// The run directories
        #[arg(required = true)]
        directories: Vec<PathBuf>,
        /// Write a log for each run into this directory (default: one run's to standard output)
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Send it to an OpenTelemetry endpoint: the run and its calls as spans, violations as logs
    #[cfg(feature = "otlp")]
    Otlp {
        /// The run directory
        directory: PathBuf,
        /// The base address of an OTLP/HTTP endpoint, such as http://127.0.0.1:4318
        #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
        endpoint: String,
    },
    /// Judge recorded runs by this version's definitions, and say where that differs from the judgement
    /// on record
    Rescore {
        /// The run directories
        #[arg(required = true)]
        directories: Vec<PathBuf>,
        /// Put the new report in the place of the old one; what is signed stays as it is
        #[arg(long)]
        write: bool,
        /// Print JSON, an object for each run
        #[arg(long)]
        json: bool,
    },
    /// Say where two runs differ: what they were given, how they were judged, what their agents did
    Diff {
        /// The one run directory
        before: PathBuf,
        /// The other
        after: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The run directory; or a proof that `--proof` has written, which needs no run directory
    pub(crate) path: PathBuf,
    /// The public key that must have signed it: 64 hexadecimal digits, or a file with what `belljar
    /// key show --json` printed; a key that it was rotated to or from will do
    #[arg(long, value_name = "DIGITS or FILE")]
    pub(crate) public_key: Option<String>,
    /// Prove that the run has the effect of this number
    #[arg(long, value_name = "SEQ", requires = "proof")]
    pub(crate) effect: Option<u64>,
    /// Write the proof for the effect to this file, which must not exist
    #[arg(long, value_name = "FILE", requires = "effect")]
    pub(crate) proof: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the signing key is.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The key's file
    #[arg(long, default_value = "/var/lib/belljar/signing.key", env = "BELLJAR_KEY")]
    pub(crate) key: PathBuf,
    /// Print JSON, with the record of rotations: what `belljar verify --public-key` takes as a file
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key where there is none, and print its public half
    New(KeyArgs),
    /// Print the public half
    Show(KeyArgs),
    /// Replace the key by a new one, which both sign, and print its public half
    Rotate(KeyArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScenarioCommand {
    /// Name every scenario
    List(JsonArgs),
    /// Print a scenario's file
    Show {
        /// Its name
        name: String,
    },
    /// Check a scenario's file, and whether this host has what it needs
    Check {
        /// The file, or the directory with its `scenario.toml`
        file: PathBuf,
    },
    /// Write the skeleton of a scenario of your own, which runs as it is
    New {
        /// The directory to make; its name becomes the scenario's
        directory: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Multi-turn tasks of the Berkeley Function-Calling Leaderboard, of its class GorillaFileSystem
    ///
    /// Each becomes a directory with a scenario on real files, and with its ground truth as an organism.
    Bfcl {
        /// Files of tasks, as in BFCL's `data/`
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Files of their ground truth; where none is named, those of the same names in the directory
        /// `possible_answer` beside
        #[arg(long, value_name = "FILE")]
        answers: Vec<PathBuf>,
        /// The directory to put them into, which is made if it is missing
        #[arg(long, default_value = "bfcl")]
        out: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum OrganismCommand {
    /// Name every organism
    List(JsonArgs),
    /// Print an organism's file
    Show {
        /// Its name, as SCENARIO/NAME where several scenarios have one of that name
        name: String,
    },
    /// Check an organism's file
    Check {
        /// The file
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ToolsArgs {
    /// The tier
    #[arg(long, default_value_t = 1)]
    pub(crate) tier: u8,
    /// Print the JSON that a model sees: name, description and parameters of each
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads the command line; help and version are printed here and end the program.
pub(crate) fn parse() -> Result<Command, Failure> {
    match Cli::try_parse() {
        Ok(cli) => Ok(cli.command),
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            error.exit()
        }
        Err(error) => {
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned();
            Err(Failure::new(Exit::Usage, anyhow::anyhow!(text)))
        }
    }
}
