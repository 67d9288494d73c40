//! Carries a run: watched before anything acts, measured before the agent begins.

use std::{
    ffi::OsString,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use agent_runner::{
    AgentEnd, Cancel, Command, Limits, Numbers, Session, SessionError, SessionParts,
    SharedTranscript, Stdin, StreamName, Variables,
    llm::system_prompt,
    mcp,
    outside::{Desk, DeskParts, Place, Workshop as _, front},
    proxy::{self, Proxy, ProxyParts},
};
use anyhow::{Context as _, anyhow};
use journal::{
    Entry, Manifest, RunDir, redact::Redactor, scenario::Sample, transcript::Event,
    writer::SampleWriter,
};
use observer::{protocol::Request, watching::boot_ns};
use policy::{Compiled, LabelledRoot};
use sandbox::Spawner;
use scenarios::{Meter, Outcome, Stage};

use super::{
    bring_up::{self, Components, Watched},
    equipment::Equipment,
    fresh::Fresh,
    host::{self, Host},
    interrupt::Interrupt,
    manifest,
    outside::{self, Door, Site},
    plan::{Agent, Plan},
    require, served,
    settle::{self, Settled},
    tell,
    terminal::Terminal,
};
use crate::{
    cli::{RequireArg, RunArgs, SettingArgs},
    desk::{
        questions::{Questions, Setting},
        reload::Domain,
        server,
        transcript::RunTranscript,
    },
    exit::{Exit, Failure, OrExit as _},
};

/// Runs an agent under watch, from start to verdict.
pub(crate) fn run(arguments: &RunArgs) -> Result<ExitCode, Failure> {
    conduct(&arguments.setting, Plan::read(arguments)?, None)
}

/// Carries out a plan; tells the door at which the calls came in, if they did, how the run was judged.
pub(super) fn conduct(
    arguments: &SettingArgs,
    plan: Plan,
    door: Option<&dyn Door>,
) -> Result<ExitCode, Failure> {
    #[cfg(feature = "otlp")]
    let endpoint = arguments.otlp.as_deref().map(crate::otlp::Endpoint::parse);
    #[cfg(feature = "otlp")]
    let endpoint = endpoint.transpose().or_exit(Exit::Usage)?;
    let interrupt = Interrupt::listen().or_exit(Exit::Os)?;
    let mut settled = carry_out(arguments, plan, &interrupt);
    #[cfg(feature = "otlp")]
    if let Some(endpoint) = &endpoint {
        settled = settled.map(|settled| settled.export(endpoint));
    }
    if let Some(door) = door {
        door.judged(&mut settled);
    }
    tell::tell(settled, &interrupt)
}

/// From the host to the complete run directory.
fn carry_out(
    arguments: &SettingArgs,
    plan: Plan,
    interrupt: &Interrupt,
) -> Result<Settled, Failure> {
    let host = Host::prepare()?;
    let out = arguments.out.clone().unwrap_or_else(|| Path::new("runs").join(&host.run));
    let was_there = out.exists();
    let directory = RunDir::create(&out).or_exit(Exit::CannotCreate)?;
    let fresh = Fresh::new(directory.path(), was_there);
    let directory =
        RunDir::open(std::fs::canonicalize(directory.path()).or_exit(Exit::CannotCreate)?)
            .or_exit(Exit::CannotCreate)?;
    let redactor = Redactor::new(&plan.redaction).or_exit(Exit::Data)?;
    let directory = directory.redacted(redactor.map(Arc::new));
    directory.reserve().or_exit(Exit::CannotCreate)?;
    host.cgroup.point_to(directory.path()).or_exit(Exit::CannotCreate)?;
    let stage = Stage::prepare(
        &plan.scenario,
        &host.stage,
        host.user.uid(),
        host.user.gid(),
        arguments.seed(),
    )
    .or_exit(Exit::CannotCreate)?;
    let temporary = bring_up::temporary(&stage.workspace);
    for directory in host.binds.iter().map(|(_, directory)| directory).chain([&temporary]) {
        private_directory(directory, host.user.uid())
            .with_context(|| format!("cannot create {}", directory.display()))
            .or_exit(Exit::CannotCreate)?;
    }
    if plan.mcp {
        // The run's user may not put anything else in the socket's place.
        let tools = host.tools();
        std::fs::DirBuilder::new()
            .mode(0o711)
            .create(&tools)
            .with_context(|| format!("cannot create {}", tools.display()))
            .or_exit(Exit::CannotCreate)?;
    }
    if let Agent::Organism { organism, .. } = &plan.agent {
        organism.check(stage.variables.keys().map(String::as_str)).map_err(Failure::in_file)?;
        organism.check_turns(1 + stage.turns.len()).map_err(Failure::in_file)?;
    }
    let components: Vec<String> = stage.components.iter().map(|entry| entry.name.clone()).collect();
    let compiled = plan.policy.compile(plan.tier, &components).map_err(Failure::in_file)?;
    // The key must be there to be labelled before anything acts.
    let key = journal::sign::signing_key(&arguments.key).or_exit(Exit::CannotCreate)?;
    let boot_time_unix_ns = host::boot_time_unix_ns().or_exit(Exit::Os)?;
    let manifest = manifest::begun(arguments, &plan, &host, boot_time_unix_ns);
    let write = || -> Result<(), journal::files::FileError> {
        directory.replace(journal::files::name::POLICY, plan.policy.source().as_bytes())?;
        directory.write_manifest(&manifest)?;
        directory.write_scenario(&stage.record(stage.unprobed_constraints(), Vec::new()))
    };
    write().or_exit(Exit::Io)?;
    let redactor = directory.redactor().cloned();
    let is_taken = matches!(&plan.agent, Agent::Outside(door) if door.has_stdout());
    let terminal =
        Terminal::new(arguments.quiet, arguments.json, !is_taken, redactor).or_exit(Exit::Os)?;
    let transcript = RunTranscript::default();
    let setting = Setting {
        run: host.cgroup.as_live().or_exit(Exit::Os)?,
        scenario: plan.scenario.name.clone(),
        agent: plan.agent.name(),
        compiled: compiled.clone(),
        mode: plan.mode,
        directory: directory.clone(),
        limit: Duration::from_secs(arguments.ask_seconds),
        approver: arguments.approver.clone(),
        terminal: terminal.clone(),
    };
    let questions = Questions::new(setting, transcript.clone());
    let desk = server::Desk::open(host.cgroup.socket(), questions)
        .context("cannot listen to whoever decides about the run")
        .or_exit(Exit::CannotCreate)?;
    let mut run = Run {
        arguments,
        plan,
        compiled,
        host,
        directory,
        stage,
        manifest,
        key,
        terminal,
        transcript,
        desk: Some(desk),
        interrupt: interrupt.clone(),
        door: None,
        deadline: None,
        roots: Vec::new(),
        watched: None,
        components: None,
        spawner: None,
        outcome: None,
        end: None,
    };
    if let Err(failure) = run.watch() {
        run.give_up();
        return Err(failure);
    }
    fresh.keep();
    let carried = run.carry();
    settle::settle(run, carried)
}

/// Makes a directory for the run's user alone.
fn private_directory(path: &Path, uid: u32) -> std::io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(path)?;
    std::os::unix::fs::chown(path, Some(uid), Some(uid))
}

/// A run on its way.
pub(crate) struct Run<'a> {
    pub(crate) arguments: &'a SettingArgs,
    pub(crate) plan: Plan,
    pub(crate) compiled: Compiled,
    pub(crate) host: Host,
    pub(crate) directory: RunDir,
    pub(crate) stage: Stage,
    pub(crate) manifest: Manifest,
    pub(crate) key: journal::sign::SigningKey,
    pub(crate) terminal: Terminal,
    pub(crate) transcript: RunTranscript,
    /// Where persons come, until the run is taken down.
    pub(crate) desk: Option<server::Desk>,
    pub(crate) interrupt: Interrupt,
    /// Where a wrapped command finds its model.
    pub(crate) door: Option<proxy::Door>,
    /// When a wrapped command's time is over.
    pub(crate) deadline: Option<Instant>,
    /// Every labelled root, once it is watched.
    pub(crate) roots: Vec<LabelledRoot>,
    pub(crate) watched: Option<Watched>,
    pub(crate) components: Option<Components>,
    pub(crate) spawner: Option<Arc<Spawner>>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) end: Option<AgentEnd>,
}

impl Run<'_> {
    /// Gets the run watched. Nothing of it has acted yet: an error is that of a start that is refused.
    fn watch(&mut self) -> Result<(), Failure> {
        self.terminal.phase(&format!("run {}: loading probes", self.host.run));
        let roots = bring_up::roots(
            &self.plan,
            &self.stage,
            &self.host,
            self.directory.path(),
            &self.arguments.key,
        );
        self.manifest.labels = roots
            .iter()
            .map(|root| (journal::escape::escape(root.path.as_os_str().as_encoded_bytes()), root))
            .map(|(path, root)| (path.into_owned(), root.label))
            .collect();
        let mut addresses = bring_up::addresses(&self.plan, &self.stage);
        if let Some(model) = &self.plan.served {
            let door = proxy::Door::open().or_exit(Exit::Os)?;
            // The last label for an address counts.
            addresses.push(served::label(&door));
            self.manifest.model = Some(model.record(door.address()));
            self.door = Some(door);
        }
        self.manifest.addresses = addresses
            .iter()
            .map(|labelled| (labelled.pattern.to_string(), labelled.label.clone()))
            .collect();
        let watched = bring_up::observe(
            self.arguments,
            &self.plan,
            &self.host,
            &self.directory,
            &roots,
            &addresses,
            self.manifest.boot_time_unix_ns,
        )?;
        self.manifest.probe_set = Some(watched.probe_set);
        self.manifest.probe_set_reason.clone_from(&watched.reason);
        if let Some(address) = watched.metrics {
            self.terminal.line(&format!("metrics: http://{address}/metrics"));
        }
        let observer = watched.observer.clone();
        let probe_set = watched.probe_set;
        self.watched = Some(watched);
        self.roots = roots;
        self.questions().observed_by(observer);
        if let Some(RequireArg::Prevented) = self.arguments.require {
            require::prevented(&self.compiled, probe_set)?;
        }
        Ok(())
    }

    /// Takes down a run that was not to start.
    fn give_up(self) {
        if let Some(mut client) = self.watched.and_then(|watched| watched.observer.take()) {
            // It may write until it has ended; what it says of a run without acts is of no use.
            let _ = client.finish();
        }
        self.terminal.done();
        let _ = self.terminal.wait(StreamName::Stderr, Some(Instant::now()));
    }

    /// From the components to the agent's last act. An error is the harness's, never the agent's.
    fn carry(&mut self) -> Result<(), Failure> {
        self.check_interrupt()?;
        let watched = self.watched.as_ref().expect("the run is watched by now");
        let observer = watched.observer.clone();
        if !self.stage.components.is_empty() {
            self.terminal.phase("starting components");
        }
        let components = bring_up::components(&self.host, &self.stage, &self.directory, &observer)?;
        let components = self.components.insert(components);

        let mut samples = SampleWriter::create(&self.directory).or_exit(Exit::Io)?;
        let told = observer.clone();
        let sink = move |sample: &Sample| {
            if let Err(error) = samples.append(sample) {
                tracing::error!(%error, "a window of the objective is lost");
            }
            let window = Request::Objective { proxy: sample.proxy, measured: sample.measured };
            if let Err(error) = told.tell(&window) {
                tracing::warn!(%error, "a window of the objective is not in the metrics");
            }
        };
        let meter = self.stage.start_meter(&components.started, sink).or_exit(Exit::Os)?;
        if let Some(meter) = &meter {
            self.interrupt.then(meter.canceller());
            if self.plan.scenario.objective.is_some() {
                self.terminal.phase("measuring the baseline");
            }
            if let Some(baseline) = meter.baseline().or_exit(Exit::Software)? {
                self.directory.write_baseline(&baseline).or_exit(Exit::Io)?;
                self.terminal.line(&format!("baseline: {:.1}", baseline.measured));
            }
        }
        // What is to be judged must be there when the agent begins.
        let started = &components.started;
        bring_up::wait_healthy(&self.stage, started, &self.directory, Duration::ZERO)?;
        self.check_interrupt()?;

        let watched = self.watched.as_ref().expect("the run is watched by now");
        let (spawner, gaps) =
            bring_up::sandbox(&self.plan, &self.compiled, &self.host, &self.roots, watched)?;
        let spawner = Arc::clone(self.spawner.insert(Arc::new(spawner)));
        let is_confined = self.plan.mode == journal::manifest::Mode::Enforce
            && watched.probe_set == journal::manifest::ProbeSet::Tracepoint;
        self.questions().confined(is_confined.then(|| Domain {
            spawner: Arc::downgrade(&spawner),
            plan: policy::landlock::plan(&self.compiled, &self.roots),
            roots: self.roots.clone(),
        }));
        let watched = self.watched.as_ref().expect("the run is watched by now");
        self.manifest.enforcers =
            manifest::enforcers(watched, &spawner, &gaps, &self.host.limits.to_string());
        self.directory.write_manifest(&self.manifest).or_exit(Exit::Io)?;
        // The barrier: nothing of the agent's runs before all of the above holds.
        spawner.go().or_exit(Exit::Os)?;
        self.terminal.phase("the agent acts");
        let end = self.act()?;
        self.end = Some(end);
        self.measure(meter);
        Ok(())
    }

    fn questions(&self) -> Questions {
        self.desk.as_ref().expect("the desk is open while the run goes on").questions().clone()
    }

    fn act(&mut self) -> Result<AgentEnd, Failure> {
        let door = self.door.take();
        let spawner = self.spawner.as_ref().expect("the sandbox stands by now");
        let watched = self.watched.as_ref().expect("the run is watched by now");
        let message = |role: &str, text: &str| Entry {
            boot_ns: boot_ns(),
            event: Event::Message { role: role.to_owned(), text: text.to_owned() },
        };
        let mut first = Vec::new();
        if let Agent::Model(_) = &self.plan.agent {
            first.push(message("system", system_prompt(!self.stage.turns.is_empty())));
        }
        first.push(message("user", &self.stage.instruction));
        let transcript = self.transcript.clone();
        transcript.begin(&self.directory, &self.host.run, &first).or_exit(Exit::Io)?;
        let cancel = Cancel::new().or_exit(Exit::Os)?;
        let died = cancel.clone();
        watched.observer.guard(move || died.cancel()).or_exit(Exit::Os)?;
        let mut environment = self.plan.environment.clone();
        let shared = SharedTranscript::new(transcript.clone());
        let proxy = self.proxy(door, &mut environment, shared, &cancel)?;
        let mut environment = bring_up::environment(&self.stage.workspace, &environment);
        let socket = self.plan.mcp.then(|| self.host.tools().join("socket"));
        environment.extend(socket.iter().map(|path| ("MCP_SOCKET".into(), path.into())));
        let equipment = Equipment {
            spawner,
            cgroup: &self.host.cgroup,
            workspace: &self.stage.workspace,
            environment,
            observer: &watched.observer,
            questions: self.questions(),
            transcript,
            terminal: self.terminal.clone(),
        };
        self.deadline = self.plan.command_time.map(|time| Instant::now() + time);
        let budget = self.plan.scenario.budget;
        let seconds = self.arguments.budget_seconds.or(budget.seconds);
        let limits = Limits {
            calls: self.arguments.budget_calls.min(budget.calls.unwrap_or(u64::MAX)),
            agent_time: seconds.map(Duration::from_secs),
            command_time: self.plan.command_time,
            frozen_time: Duration::from_secs(self.arguments.frozen_seconds),
            ..Limits::default()
        };
        let (tier, numbers) = (self.plan.tier, Numbers::default());
        let desk = |limits| {
            let (cancel, numbers) = (cancel.clone(), numbers.clone());
            Desk::new(DeskParts { workshop: &equipment, cancel, tier, limits, numbers })
        };
        let interrupted = cancel.clone();
        if let Agent::Outside(door) = &self.plan.agent {
            let (front, orders) = front();
            let started = self.components.iter().flat_map(|components| &components.started);
            let components: Vec<_> =
                started.map(|started| (started.name.clone(), started.tgid)).collect();
            if door.replays().is_some() {
                self.interrupt.then(move || interrupted.cancel());
            } else {
                // To be asked to end is how such a run ends.
                let asked = front.clone();
                self.interrupt.then(move || asked.close());
            }
            let site = Site {
                run: &self.host.run,
                tier,
                instruction: &self.stage.instruction,
                workspace: &self.stage.workspace,
                directory: self.directory.path(),
                terminal: &self.terminal,
                components: &components,
            };
            door.open(front, &site)?;
            return desk(limits).serve(orders).map_err(broken);
        }
        self.interrupt.then(move || interrupted.cancel());
        let place = Place::default();
        let (mut hands, mut watcher) = (equipment.hands(&place), equipment.watcher());
        let (mut transcript, mut progress) = (equipment.transcript(), equipment.progress());
        let parts = SessionParts {
            hands: &mut *hands,
            watcher: &mut *watcher,
            transcript: &mut *transcript,
            progress: &mut *progress,
            cancel: cancel.clone(),
            tier,
            limits,
        };
        let session = Session::numbered(parts, numbers.clone())
            .with_further(self.stage.turns.iter().cloned());
        let end = match &mut self.plan.agent {
            Agent::Organism { organism, .. } => {
                let variables: Variables = self
                    .stage
                    .variables
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone().into()))
                    .collect();
                session.run_agent(&mut organism.as_ref().clone().agent(variables))
            }
            Agent::Model(model) => {
                let agent = model.agent(&self.stage.instruction, tier);
                let is_conversation = !self.stage.turns.is_empty();
                session.run_agent(&mut if is_conversation {
                    agent.in_conversation()
                } else {
                    agent
                })
            }
            Agent::Command { program, arguments } => {
                let command = Command {
                    program: program.clone(),
                    arguments: arguments.clone(),
                    stdin: Stdin::Null,
                };
                match &socket {
                    None => session.run_command(&command),
                    Some(socket) => {
                        let (front, orders) = front();
                        let server =
                            mcp::ToolServer::new(tier, &self.stage.instruction, front.clone());
                        mcp::serve_unix(server.open_house(), socket, self.host.user.uid())
                            .or_exit(Exit::CannotCreate)?;
                        // The command's own time and budget are what ends it.
                        let limits = Limits { calls: u64::MAX, agent_time: None, ..limits };
                        let work = || session.run_command(&command);
                        outside::beside(desk(limits), orders, &front, &cancel, work)
                    }
                }
            }
            Agent::Outside(_) => unreachable!("whoever comes in at a door was served above"),
        };
        let recorded = proxy.map_or(Ok(()), Proxy::finish);
        let end = end.map_err(broken)?;
        recorded.or_exit(Exit::Io)?;
        Ok(end)
    }

    /// Gives a wrapped command its model, if it is to have one.
    fn proxy(
        &self,
        door: Option<proxy::Door>,
        environment: &mut Vec<(OsString, OsString)>,
        transcript: SharedTranscript,
        cancel: &Cancel,
    ) -> Result<Option<Proxy>, Failure> {
        let (Some(model), Some(door)) = (&self.plan.served, door) else { return Ok(None) };
        let upstream = model.upstream.clone();
        let variables = door.environment(upstream.dialect());
        environment.extend(variables.map(|(name, value)| (name.into(), value.into())));
        Proxy::start(ProxyParts {
            door,
            upstream,
            budget: model.budget,
            uid: self.host.user.uid(),
            run: self.host.cgroup.path().to_owned(),
            transcript,
            cancel: cancel.clone(),
        })
        .map(Some)
        .or_exit(Exit::Os)
    }

    fn measure(&mut self, meter: Option<Meter>) {
        if let Some(meter) = meter {
            self.terminal.phase("measuring what came of it");
            self.outcome = Some(meter.finish());
        }
    }

    fn check_interrupt(&self) -> Result<(), Failure> {
        if self.interrupt.happened() {
            return Err(Failure::new(Exit::Os, anyhow!("the run was interrupted")));
        }
        Ok(())
    }
}

/// A session that broke: the harness's fault.
fn broken(error: SessionError) -> Failure {
    let exit = match &error {
        SessionError::Transcript(_) => Exit::Io,
        _ => Exit::Os,
    };
    Failure::new(exit, error)
}
