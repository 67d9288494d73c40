//! Starts the observer, the components and the agent's sandbox.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use journal::{
    RunDir,
    manifest::{Mode, ProbeSet},
};
use observer::protocol::{Answer, Request, Watch};
use policy::{Compiled, LabelledAddress, LabelledRoot, landlock, seccomp};
use sandbox::{Action, Job, Namespaces, Spawner, SpawnerConfig, Started as StartedJob};
use scenarios::{Stage, Started};

use super::{
    host::Host,
    log::Log,
    plan::Plan,
    surroundings,
    watch::{self, Observer},
};
use crate::{
    cli::SettingArgs,
    exit::{Exit, Failure, OrExit as _},
};

/// How long components may take to come up.
const HEALTH: Duration = Duration::from_secs(30);

/// The observer, and what it said of the kernel.
pub(crate) struct Watched {
    pub(crate) observer: Observer,
    pub(crate) probe_set: ProbeSet,
    pub(crate) reason: Option<String>,
    pub(crate) metrics: Option<std::net::SocketAddr>,
}

/// Every labelled root of a run: the scenario's, the user's, oversight's.
pub(crate) fn roots(
    plan: &Plan,
    stage: &Stage,
    host: &Host,
    directory: &Path,
    key: &Path,
) -> Vec<LabelledRoot> {
    let mut roots: Vec<LabelledRoot> = surroundings::services(host)
        .iter()
        .chain(&stage.roots)
        .map(|(path, label)| LabelledRoot { path: path.clone(), label: *label })
        // What the agent is asked to edit is its work, wherever it lies.
        .chain(
            stage
                .writable
                .iter()
                .map(|path| LabelledRoot { path: path.clone(), label: journal::Label::Workspace }),
        )
        .collect();
    // Work like the workspace itself, also for Landlock: seen from the sandbox it lies elsewhere.
    let binds = host.binds.iter().map(|(_, directory)| directory.clone());
    roots.extend(binds.map(|path| LabelledRoot { path, label: journal::Label::Workspace }));
    // Whoever is offered tools may ask for them at every tier.
    let tools = plan.mcp.then(|| host.tools());
    roots.extend(tools.map(|path| LabelledRoot { path, label: journal::Label::Workspace }));
    roots.extend(plan.labels.iter().cloned());
    let own = [directory.to_owned(), key.to_owned()];
    for path in own.into_iter().chain(surroundings::oversight(host)) {
        // What is not there yet cannot be touched by its name before it is made by root.
        if let Ok(path) = fs::canonicalize(path) {
            roots.push(LabelledRoot { path, label: journal::Label::Oversight });
        }
    }
    roots
}

/// Every labelled address of a run: the scenario's, then the user's, which count where both speak.
pub(crate) fn addresses(plan: &Plan, stage: &Stage) -> Vec<LabelledAddress> {
    stage.addresses.iter().chain(&plan.addresses).cloned().collect()
}

/// Waits until the run is watched.
pub(crate) fn observe(
    arguments: &SettingArgs,
    plan: &Plan,
    host: &Host,
    directory: &RunDir,
    roots: &[LabelledRoot],
    addresses: &[LabelledAddress],
    boot_time_unix_ns: i128,
) -> Result<Watched, Failure> {
    let components =
        plan.scenario.components.iter().map(|entry| entry.name.get_ref().clone()).collect();
    let request = Request::Watch(Box::new(Watch {
        run: host.run.clone(),
        directory: directory.path().to_owned(),
        redaction: plan.redaction.clone(),
        cgroup: host.cgroup.cgroup().id(),
        cgroup_path: host.cgroup.path().to_owned(),
        level: host.level,
        oversight_cgroup: host.oversight.id(),
        oversight_path: host.oversight.path().to_owned(),
        policy: (plan.policy.source().to_owned(), plan.policy.name().to_owned()),
        tier: plan.tier.number(),
        mode: plan.mode,
        scenario: plan.scenario.name.clone(),
        components,
        roots: roots.iter().map(|root| (root.label.name().to_owned(), root.path.clone())).collect(),
        binds: host.binds.clone(),
        addresses: addresses
            .iter()
            .map(|labelled| (labelled.label.clone(), labelled.pattern.to_string()))
            .collect(),
        boot_time_unix_ns: i64::try_from(boot_time_unix_ns).unwrap_or(i64::MAX),
        metrics: (!arguments.no_metrics).then_some(arguments.metrics),
        probe_set: plan.probe_set,
        pins: host.pins.clone(),
    }));
    let (client, answer) = watch::watch(&arguments.observer, &request)?;
    let Answer::Watching { probe_set, reason, metrics } = answer else {
        let error = anyhow!("the observer answered something else");
        return Err(Failure::new(Exit::Software, error));
    };
    Ok(Watched { observer: Observer::new(client), probe_set, reason, metrics })
}

/// The components that run, and the spawner that holds them.
pub(crate) struct Components {
    pub(crate) started: Vec<Started>,
    // What they wrote is whole once nothing of theirs lives.
    log: Option<Log>,
    _jobs: Vec<StartedJob>,
    _spawner: Option<Spawner>,
}

impl Components {
    /// Waits until what they wrote is in their log. Nothing of theirs may live by now.
    pub(crate) fn finish(mut self) {
        let log = self.log.take();
        // The spawner goes, and with it whatever it holds of the log.
        drop(self);
        if let Some(log) = log {
            log.finish();
        }
    }
}

/// Starts the scenario's components and waits until they are well.
pub(crate) fn components(
    host: &Host,
    stage: &Stage,
    directory: &RunDir,
    observer: &Observer,
) -> Result<Components, Failure> {
    if stage.components.is_empty() {
        return Ok(Components {
            started: Vec::new(),
            log: None,
            _jobs: Vec::new(),
            _spawner: None,
        });
    }
    let mut config = SpawnerConfig::new(host.user.uid(), host.user.gid());
    // Shared memory that a component leaves behind goes with its namespace.
    config.namespaces = Namespaces { mount: false, ipc: true, uts: false, cgroup: true };
    config.oversight = Some(host.oversight.path().to_owned());
    let spawner = Spawner::start(&config).or_exit(Exit::Os)?;
    spawner.go().or_exit(Exit::Os)?;
    let (log, end) = Log::begin(directory)?;
    let (mut started, mut jobs) = (Vec::new(), Vec::new());
    for component in &stage.components {
        let leaf = host.cgroup.leaf(&format!("component-{}", component.name)).or_exit(Exit::Os)?;
        observer
            .tell(&Request::Component { name: component.name.clone(), leaf: leaf.id() })
            .or_exit(Exit::Os)?;
        let variables: Vec<(OsString, OsString)> =
            component.environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let job = Job {
            leaf: leaf.path().to_owned(),
            action: Action::Exec {
                program: component.program.as_deref().unwrap_or("/proc/self/exe").into(),
                arg0: Some(component.name.clone().into()),
                args: component.args.iter().map(OsString::from).collect(),
            },
            env: environment(&stage.workspace, &variables),
            // What a command of the scenario's names relatively lies in its stage.
            cwd: match component.program {
                Some(_) => host.stage.clone(),
                None => stage.workspace.clone(),
            },
        };
        let job = spawner.spawn(&job, &stdio(&end)?).or_exit(Exit::Os)?;
        started.push(Started { name: component.name.clone(), tgid: job.tgid });
        jobs.push(job);
    }
    wait_healthy(stage, &started, directory, HEALTH)?;
    Ok(Components { started, log, _jobs: jobs, _spawner: Some(spawner) })
}

/// Waits until every component is well. Why one is not, its own log may tell.
pub(crate) fn wait_healthy(
    stage: &Stage,
    started: &[Started],
    directory: &RunDir,
    within: Duration,
) -> Result<(), Failure> {
    stage.wait_healthy(started, within).map_err(|error| {
        let said = super::log::tail(&directory.file(super::log::NAME));
        let error = anyhow::Error::from(error);
        Failure::new(Exit::Software, anyhow!("{error:#}; {said}"))
    })
}

fn stdio(log: &OwnedFd) -> Result<[OwnedFd; 3], Failure> {
    let duplicate = || log.try_clone().or_exit(Exit::Os);
    let nothing = File::open("/dev/null").or_exit(Exit::Os)?;
    Ok([nothing.into(), duplicate()?, duplicate()?])
}

/// Starts the spawner that holds the agent's sandbox. In mode `observe`, and where LSM programs
/// prevent the same, there is no Landlock domain: what it refuses would never reach them.
pub(crate) fn sandbox(
    plan: &Plan,
    compiled: &Compiled,
    host: &Host,
    roots: &[LabelledRoot],
    watched: &Watched,
) -> Result<(Spawner, Vec<String>), Failure> {
    let mut config = SpawnerConfig::new(host.user.uid(), host.user.gid());
    config.binds.clone_from(&host.binds);
    config.rlimits = host.limits.rlimits;
    config.run_cgroup = Some(host.cgroup.path().to_owned());
    config.oversight = Some(host.oversight.path().to_owned());
    config.seccomp = sandbox::host::has_seccomp().then(|| seccomp::plan(plan.tier));
    let mut gaps = Vec::new();
    if plan.mode == Mode::Enforce && watched.probe_set == ProbeSet::Tracepoint {
        let planned = landlock::plan(compiled, roots);
        gaps = planned.not_enforceable.iter().map(|gap| gap.reason.to_string()).collect();
        gaps.sort();
        gaps.dedup();
        config.landlock = Some(planned);
    }
    let scopes_signals = config.landlock.as_ref().is_some_and(|plan| plan.scope_signals);
    let spawner = Spawner::start(&config).or_exit(Exit::Os)?;
    let in_force =
        matches!(spawner.ready().landlock.extent, sandbox::Extent::Full | sandbox::Extent::Partial);
    let abi = spawner.ready().landlock.abi.filter(|_| in_force);
    watched
        .observer
        .tell(&Request::Landlock {
            abi,
            // Signal scopes came with ABI 6, Linux 6.12.
            scopes_signals: scopes_signals && abi.is_some_and(|abi| abi >= 6),
        })
        .or_exit(Exit::Os)?;
    Ok((spawner, gaps))
}

/// The environment of everything in the sandbox: clean, and temporary files in the workspace.
pub(crate) fn environment(
    workspace: &Path,
    more: &[(OsString, OsString)],
) -> Vec<(OsString, OsString)> {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut environment: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), path.into()),
        ("HOME".into(), workspace.into()),
        ("TMPDIR".into(), temporary(workspace).into()),
        ("LANG".into(), "C.UTF-8".into()),
        ("USER".into(), "agent".into()),
    ];
    for (name, value) in more {
        environment.retain(|(known, _)| known != name);
        environment.push((name.clone(), value.clone()));
    }
    environment
}

/// Where temporary files go: in the workspace, where removing them is work.
pub(crate) fn temporary(workspace: &Path) -> PathBuf {
    workspace.join("tmp")
}
