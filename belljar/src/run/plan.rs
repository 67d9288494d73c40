//! What was asked for, read and checked before anything is started.

use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use agent_runner::{Organism, llm, outside::NAMES};
use anyhow::{Context as _, anyhow};
use journal::{
    Tier,
    manifest::{Mode, ProbeSet},
    redact::Redaction,
};
use policy::{
    AddressPattern, HostCapabilities, Labelled, LabelledAddress, LabelledRoot, Policy, Protocol,
};
use scenarios::Scenario;

use super::{model::PlannedModel, outside::Door, redact, served::Served};
use crate::{
    cli::{RunArgs, SettingArgs},
    exit::{Exit, Failure, OrExit as _},
};

/// Who acts.
pub(crate) enum Agent {
    /// A scripted agent.
    Organism { name: String, organism: Box<Organism> },
    /// A language model.
    Model(Box<PlannedModel>),
    /// Any program, wrapped whole.
    Command { program: OsString, arguments: Vec<OsString> },
    /// Whoever comes in at a door.
    Outside(Arc<dyn Door>),
}

impl Agent {
    /// As the manifest names it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Organism { name, .. } => format!("organism:{name}"),
            Self::Model(model) => model.agent_name(),
            Self::Command { .. } => "command".to_owned(),
            Self::Outside(door) => door.name().to_owned(),
        }
    }
}

/// Everything that a run is made of.
pub(crate) struct Plan {
    pub(crate) scenario: Scenario,
    pub(crate) agent: Agent,
    /// The model that a wrapped command is given.
    pub(crate) served: Option<Served>,
    pub(crate) tier: Tier,
    pub(crate) mode: Mode,
    pub(crate) policy: Policy,
    pub(crate) labels: Vec<LabelledRoot>,
    pub(crate) addresses: Vec<LabelledAddress>,
    pub(crate) probe_set: Option<ProbeSet>,
    pub(crate) command_time: Option<Duration>,
    /// Whether a wrapped command is offered the tools over MCP.
    pub(crate) mcp: bool,
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// What is kept out of the run directory.
    pub(crate) redaction: Redaction,
}

impl Plan {
    /// Reads what the command line names.
    pub(crate) fn read(arguments: &RunArgs) -> Result<Self, Failure> {
        let mut plan = Self::of(&arguments.setting, |scenario| agent(arguments, scenario))?;
        let base_url = arguments.model.base_url.as_deref();
        // First, so that what the user says of the address counts.
        plan.addresses.splice(0..0, base_url.and_then(llm::endpoint).map(another_instance));
        let command_time = arguments.command_seconds.map(Duration::from_secs);
        Ok(Self { command_time, mcp: arguments.mcp, served: served(arguments)?, ..plan })
    }

    /// The plan of a run whose calls come in at a door.
    pub(crate) fn outside(setting: &SettingArgs, door: &Arc<dyn Door>) -> Result<Self, Failure> {
        Self::of(setting, |_| Ok(Agent::Outside(Arc::clone(door))))
    }

    fn of(
        arguments: &SettingArgs,
        agent: impl FnOnce(&Scenario) -> Result<Agent, Failure>,
    ) -> Result<Self, Failure> {
        if arguments.require.is_some() && arguments.mode() == Mode::Observe {
            let message =
                anyhow!("--require asks for mode `enforce`: mode `observe` prevents nothing");
            return Err(Failure::new(Exit::Usage, message));
        }
        let scenario = scenario(arguments.scenario())?
            .instructed(arguments.instructions())
            .map_err(Failure::unknown)?;
        scenario.check_programs().or_exit(Exit::Unavailable)?;
        scenario.check_ports().map_err(Failure::in_file)?;
        let tier = arguments.tier.map_or(Ok(scenario.default_tier), tier)?;
        let policy = policy(arguments.policy.as_deref())?;
        let components: Vec<String> =
            scenario.components.iter().map(|component| component.name.get_ref().clone()).collect();
        policy.compile(tier, &components).map_err(Failure::in_file)?;
        let (mut labels, mut addresses) = (Vec::new(), Vec::new());
        for labelled in &arguments.labels {
            match labelled {
                Labelled::Root(root) => labels.push(canonical(root)?),
                Labelled::Address(address) => addresses.push(address.clone()),
            }
        }
        let environment = arguments
            .environment
            .iter()
            .map(|pair| {
                let (name, value) = pair.split_once('=').ok_or_else(|| {
                    Failure::new(Exit::Usage, anyhow!("--env takes NAME=VALUE, not {pair:?}"))
                })?;
                Ok((name.into(), value.into()))
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        let redaction = redact::resolve(&policy, &environment)?;
        Ok(Self {
            agent: agent(&scenario)?,
            served: None,
            scenario,
            tier,
            mode: arguments.mode(),
            policy,
            labels,
            addresses,
            probe_set: arguments.probes.only(),
            command_time: None,
            mcp: false,
            environment,
            redaction,
        })
    }
}

/// The label of the address where the agent's model answers: who else talks to it is one more.
fn another_instance(address: SocketAddr) -> LabelledAddress {
    LabelledAddress {
        pattern: AddressPattern::exactly(Protocol::Tcp, address),
        label: journal::Label::Instance.name().to_owned(),
    }
}

/// Checks what the command line names as a run would. Returns the texts that the run depends on beside its
/// words and its scenario: those of its policy and its organism.
pub(crate) fn check(arguments: &RunArgs) -> Result<String, Failure> {
    let plan = Plan::read(arguments)?;
    let mut depends = plan.policy.source().to_owned();
    if let Agent::Organism { name, .. } = &plan.agent {
        depends += &organism(name, &plan.scenario)?.0;
    }
    Ok(depends)
}

/// The shipped scenario of this name, or the one at this path.
pub(crate) fn scenario(name: &str) -> Result<Scenario, Failure> {
    let path = Path::new(name);
    if name.contains('/') || path.extension().is_some_and(|extension| extension == "toml") {
        return Scenario::read(path).map_err(Failure::in_file);
    }
    Scenario::by_name(name).map_err(|unknown| {
        if path.join("scenario.toml").is_file() {
            let message = anyhow!("{unknown}; the directory is named as ./{name}");
            return Failure::new(Exit::Usage, message);
        }
        Failure::unknown(unknown)
    })
}

/// The tier of this number.
pub(crate) fn tier(number: u8) -> Result<Tier, Failure> {
    Tier::from_number(number).ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            anyhow!("there is no tier {number}: tiers are 0 (work) to 5 (replication)"),
        )
    })
}

/// The policy in a file, or the shipped one.
pub(crate) fn policy(file: Option<&Path>) -> Result<Policy, Failure> {
    let Some(file) = file else { return Ok(Policy::shipped()) };
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read the policy {}", file.display()))
        .or_exit(Exit::Data)?;
    parsed(&text, &file.display().to_string())
}

/// A policy whose rules on tool calls name tools that there are.
pub(crate) fn parsed(text: &str, name: &str) -> Result<Policy, Failure> {
    let policy = policy::parse(text, name).map_err(Failure::in_file)?;
    let tools = agent_runner::tools::TOOLS.iter().map(|tool| tool.name);
    let known: Vec<&str> = tools.chain([agent_runner::COMMAND]).chain(NAMES).collect();
    policy.check_tools(&known).map_err(Failure::in_file)?;
    Ok(policy)
}

fn agent(arguments: &RunArgs, scenario: &Scenario) -> Result<Agent, Failure> {
    let spelled = arguments.agent.as_deref().and_then(|agent| agent.strip_prefix("llm:"));
    if let Some(spelled) = spelled {
        let model = PlannedModel::read(spelled, arguments, scenario.turns)?;
        return Ok(Agent::Model(Box::new(model)));
    }
    if let Some(flag) = arguments.model.for_models_alone() {
        let message = format!(
            "{flag} is for language models: name one with --agent llm:…, or with --model for a \
             wrapped command"
        );
        return Err(Failure::new(Exit::Usage, anyhow!(message)));
    }
    if let Some((program, rest)) = arguments.command.split_first() {
        return Ok(Agent::Command { program: program.clone(), arguments: rest.to_vec() });
    }
    if arguments.model.model.is_some() {
        let message = "--model gives a wrapped command its model: put the command behind --, or name \
                       a model as the agent with --agent llm:PROVIDER/MODEL";
        return Err(Failure::new(Exit::Usage, anyhow!(message)));
    }
    let Some(agent) = &arguments.agent else {
        let message = "no agent: name one with --agent organism:NAME or llm:PROVIDER/MODEL, or put \
                       a command behind --";
        return Err(Failure::new(Exit::Usage, anyhow!(message)));
    };
    let Some(name) = agent.strip_prefix("organism:") else {
        let message = format!(
            "no agent is spelled {agent:?}: write organism:NAME or llm:PROVIDER/MODEL, or put a \
             command behind --"
        );
        return Err(Failure::new(Exit::Usage, anyhow!(message)));
    };
    let (source, file) = organism(name, scenario)?;
    let organism = Organism::parse(&source, &file).map_err(Failure::in_file)?;
    Ok(Agent::Organism { name: name.to_owned(), organism: Box::new(organism) })
}

/// An organism's text, and what errors call its file.
fn organism(name: &str, scenario: &Scenario) -> Result<(String, String), Failure> {
    if Path::new(name).extension().is_some_and(|extension| extension == "toml") {
        let text = fs::read_to_string(name)
            .with_context(|| format!("cannot read the organism {name}"))
            .or_exit(Exit::Data)?;
        return Ok((text, name.to_owned()));
    }
    let listed = scenarios::organism(name, Some(&scenario.name)).map_err(Failure::unknown)?;
    Ok((listed.source.to_owned(), format!("{}/{}.toml", listed.scenario, listed.name)))
}

/// The model that a wrapped command is given, if any.
fn served(arguments: &RunArgs) -> Result<Option<Served>, Failure> {
    let Some(spelled) = &arguments.model.model else { return Ok(None) };
    Served::read(spelled, arguments).map(Some)
}

/// A labelled root with its links followed: labels belong to what is there, not to a spelling.
fn canonical(root: &LabelledRoot) -> Result<LabelledRoot, Failure> {
    let path: PathBuf = fs::canonicalize(&root.path)
        .with_context(|| format!("cannot label {}", root.path.display()))
        .or_exit(Exit::Data)?;
    Ok(LabelledRoot { path, label: root.label })
}

/// What this host can enforce, given the probes that it loads.
pub(crate) fn host_capabilities(set: Option<ProbeSet>) -> HostCapabilities {
    HostCapabilities {
        bpf_lsm: set == Some(ProbeSet::Lsm),
        cgroup_bpf: set.is_some(),
        landlock_abi: sandbox::host::landlock_abi().unwrap_or(0),
        seccomp: sandbox::host::has_seccomp(),
        response: true,
    }
}
