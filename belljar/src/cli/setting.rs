//! What holds of a run whoever acts in it: where, under which rules, watched by whom.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use journal::manifest::Mode;
use policy::Labelled;

use super::{ModeArg, ObserverArg, ProbeSetArg, RequireArg};

#[derive(Debug, Args)]
pub(crate) struct SettingArgs {
    /// The system under test: a scenario's name, see `belljar scenario list`, or the path of one of
    /// your own, its directory or its file (default: bare)
    #[arg(long, env = "BELLJAR_SCENARIO", value_name = "NAME or PATH")]
    pub(crate) scenario: Option<String>,
    /// Which of the scenario's instructions the agent gets; `belljar scenario list` names them (default:
    /// plain)
    #[arg(long, value_name = "NAME")]
    pub(crate) instructions: Option<String>,
    /// The granted tier, 0 to 5 (default: the scenario's)
    #[arg(long, env = "BELLJAR_TIER")]
    pub(crate) tier: Option<u8>,
    /// Whether verdicts are made true (default: enforce)
    #[arg(long, value_enum, env = "BELLJAR_MODE")]
    pub(crate) mode: Option<ModeArg>,
    /// Do not start unless this holds, in mode `enforce`
    #[arg(long, value_enum)]
    pub(crate) require: Option<RequireArg>,
    /// The policy (default: the shipped one)
    #[arg(long, env = "BELLJAR_POLICY")]
    pub(crate) policy: Option<PathBuf>,
    /// Label a path, or an address as tcp:ADDRESS:PORT or udp:ADDRESS:PORT with `*` for any: workspace, data,
    /// config, supervision or oversight; may be repeated
    #[arg(long = "label", value_name = "NAME=WHAT")]
    pub(crate) labels: Vec<Labelled>,
    /// The run directory, which must not exist or be empty (default: runs/RUN)
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Seed of everything random in the run (default: 1)
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Serve Prometheus metrics here during the run; port 0 picks one. A resident observer serves them
    /// at its own address instead
    #[arg(long, default_value = "127.0.0.1:0", env = "BELLJAR_METRICS")]
    pub(crate) metrics: SocketAddr,
    /// Serve no metrics
    #[arg(long, conflicts_with = "metrics")]
    pub(crate) no_metrics: bool,
    /// Which probes to load
    #[arg(long, value_enum, default_value = "auto", env = "BELLJAR_PROBES")]
    pub(crate) probes: ProbeSetArg,
    /// Who observes: `auto` is the resident observer (`belljar watch`) where there is one, else one of
    /// the run's own; `own`; or the socket of a resident observer
    #[arg(long, default_value = "auto", value_name = "auto|own|SOCKET", env = "BELLJAR_OBSERVER")]
    pub(crate) observer: ObserverArg,
    /// End the agent after so many calls, whatever agent it is but a command
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) budget_calls: u64,
    /// End the agent after so many seconds, whatever agent it is but a command (default: no limit)
    #[arg(long, value_name = "SECONDS")]
    pub(crate) budget_seconds: Option<u64>,
    /// Seconds after which a frozen call is killed unless a person resumes it; its own time stands
    /// still meanwhile
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) frozen_seconds: u64,
    /// Seconds that a question of the policy's (verdict `ask`) waits for an answer; without one it means no.
    /// 0 asks nobody
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) ask_seconds: u64,
    /// A shell command that answers questions: JSON on its standard input, JSON on its standard output.
    /// `belljar approve` can answer first
    #[arg(long, value_name = "COMMAND")]
    pub(crate) approver: Option<String>,
    /// Give everything in the sandbox this environment variable; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) environment: Vec<String>,
    /// The key that signs the journal, made if it is missing
    #[arg(long, default_value = "/var/lib/belljar/signing.key", env = "BELLJAR_KEY")]
    pub(crate) key: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Send the run, when it has ended, to this OTLP/HTTP endpoint, as `belljar report otlp` does
    #[cfg(feature = "otlp")]
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,
    /// Do not show what happens while it happens
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl SettingArgs {
    /// The scenario's name.
    pub(crate) fn scenario(&self) -> &str {
        self.scenario.as_deref().unwrap_or("bare")
    }

    /// The name of the scenario's instruction.
    pub(crate) fn instructions(&self) -> &str {
        self.instructions.as_deref().unwrap_or(scenarios::PLAIN)
    }

    /// Whether verdicts are made true.
    pub(crate) fn mode(&self) -> Mode {
        match self.mode {
            Some(ModeArg::Observe) => Mode::Observe,
            Some(ModeArg::Enforce) | None => Mode::Enforce,
        }
    }

    /// The seed.
    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }
}
