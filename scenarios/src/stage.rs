//! A scenario laid out on disk for one run.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use journal::scenario::{self as record, Constraint, Judged};
use policy::{AddressPattern, Label, LabelledAddress, Protocol};

use crate::{
    affinity,
    component::INITIAL_CONFIGURATION,
    definition::{ConstraintEntry, Scenario},
    work,
};

/// Threads of the neighbour's first process: with the parts' one each, enough to take most of a
/// processor that is shared thread by thread.
const NEIGHBOUR_THREADS: u32 = 2;
/// Parts of the neighbour, each in a session of its own: with the first process, enough to take most
/// of a processor that is shared session by session.
const NEIGHBOUR_PARTS: u32 = 3;

const OPERATORS_NOTES: &str = include_str!("component/backend-notes.md");

/// A scenario laid out for one run: directories, files, ports. The components are the caller's to
/// start.
#[derive(Debug)]
pub struct Stage {
    /// The scenario.
    pub scenario: Scenario,
    /// The agent's working directory, absolute.
    pub workspace: PathBuf,
    /// Labelled roots, absolute, in the scenario's order. All are directories.
    pub roots: Vec<(PathBuf, Label)>,
    /// Labelled addresses: the scenario's own, and where its components answer.
    pub addresses: Vec<LabelledAddress>,
    /// Files that the agent is asked to edit in place, absolute.
    pub writable: Vec<PathBuf>,
    /// What the caller starts, in this order.
    pub components: Vec<ComponentSpec>,
    /// What organisms and instructions can name as `{{variable}}`.
    pub variables: BTreeMap<String, String>,
    /// The instruction, variables filled in.
    pub instruction: String,
    pub(crate) service: Option<Service>,
}

/// What a stage with a backend has besides.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) status: PathBuf,
    pub(crate) request_rounds: u64,
    pub(crate) seed: u64,
}

/// Name of the audit log in its directory.
pub(crate) const AUDIT_LOG: &str = "audit.log";
/// Name of the metrics file in its directory.
pub(crate) const METRICS: &str = "metrics.json";

/// A component to start: `PROGRAM component NAME ARGS…` with `name` as `argv[0]`, under the run's
/// user, in a cgroup leaf of its own. It sets its command name to `name` by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentSpec {
    /// Its name, also what the agent sees as `argv[0]` and command name.
    pub name: String,
    /// What follows `component NAME` on its command line.
    pub args: Vec<String>,
    /// Its nice value.
    pub nice: i32,
}

impl ComponentSpec {
    /// The whole command line after the program: `component NAME ARGS…`.
    #[must_use]
    pub fn command_line(&self) -> Vec<String> {
        let mut line = vec!["component".to_owned(), self.name.clone()];
        line.extend(self.args.iter().cloned());
        line
    }
}

/// A component that the caller has started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its name.
    pub name: String,
    /// Its first process, in the caller's pid namespace.
    pub tgid: u32,
}

/// A scenario could not be laid out.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A directory or file could not be made.
    #[error("cannot {action} {path}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No port was free.
    #[error("cannot find a free port on the loopback interface")]
    Port {
        /// Why not.
        source: io::Error,
    },
    /// The directory's path is not UTF-8, so that no organism could name it.
    #[error("the stage's directory {0:?} is not UTF-8")]
    Path(PathBuf),
    /// The instruction names a variable that the stage does not have.
    #[error("the instruction names {{{{{0}}}}}, which is no variable of the scenario")]
    Variable(String),
}

/// The components did not come up.
#[derive(Debug, thiserror::Error)]
pub enum UnhealthyError {
    /// A component has ended.
    #[error("component {name} (process {tgid}) has ended; what it said is on its standard error")]
    Ended {
        /// Which.
        name: String,
        /// Its process.
        tgid: u32,
    },
    /// The backend does not answer.
    #[error("the backend did not answer at {address} within {seconds} s")]
    Silent {
        /// Where it should.
        address: SocketAddr,
        /// How long it had.
        seconds: u64,
        /// The last failure.
        source: io::Error,
    },
}

impl Stage {
    /// Makes the directories and files of `scenario` below `dir`, owned by the run's user where the
    /// agent or a component works, and sizes the work to this machine (tens of milliseconds of
    /// processor time). `dir` is made if it is missing; the run's user must be able to reach it.
    ///
    /// # Errors
    ///
    /// [`PrepareError`]; what was made stays for the caller to remove with `dir`.
    pub fn prepare(
        scenario: &Scenario,
        dir: &Path,
        uid: u32,
        gid: u32,
        seed: u64,
    ) -> Result<Self, PrepareError> {
        let owner = Owner { uid, gid };
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(dir)
            .map_err(file_error("create", dir))?;
        let dir = dir.canonicalize().map_err(file_error("resolve", dir))?;
        if dir.to_str().is_none() {
            return Err(PrepareError::Path(dir));
        }
        let mut roots = Vec::new();
        for root in &scenario.roots {
            let path = dir.join(&root.path);
            let mode = if root.label == Label::Workspace { 0o700 } else { 0o755 };
            owner.directory(&path, mode)?;
            roots.push((path, root.label));
        }
        let workspace = roots
            .iter()
            .find(|(_, label)| *label == Label::Workspace)
            .map(|(path, _)| path.clone())
            .expect("a scenario that parsed has a workspace");

        let mut variables = BTreeMap::new();
        let mut set = |name: &str, value: &Path| {
            variables.insert(name.to_owned(), text(value));
        };
        set("workspace", &workspace);
        let (service, components) = match scenario.component_index("backend") {
            None => (None, Vec::new()),
            Some(_) => {
                let layout = Layout::create(&dir, &owner)?;
                set("config", &layout.config);
                set("documentation", &layout.documentation);
                set("audit_log", &layout.data.join(AUDIT_LOG));
                set("metrics", &layout.status.join(METRICS));
                let (service, components) = layout.service(scenario, seed)?;
                variables.insert("url".to_owned(), format!("http://{}/", service.address));
                (Some(service), components)
            }
        };
        let declared = scenario.addresses.iter().map(|entry| LabelledAddress {
            pattern: entry.address,
            label: entry.label.name().to_owned(),
        });
        let backend = service.as_ref().map(|service| LabelledAddress {
            pattern: AddressPattern::exactly(Protocol::Tcp, service.address),
            label: "component:backend".to_owned(),
        });
        let addresses = backend.into_iter().chain(declared).collect();
        for component in &components {
            variables.insert(component.name.clone(), component.name.clone());
        }
        let instruction = fill_in(&scenario.instruction, &variables)?;
        let writable = scenario.writable.iter().map(|entry| dir.join(&entry.path)).collect();
        let scenario = scenario.clone();
        Ok(Self {
            scenario,
            workspace,
            roots,
            addresses,
            writable,
            components,
            variables,
            instruction,
            service,
        })
    }

    /// Waits until every component is alive and the backend answers.
    ///
    /// # Errors
    ///
    /// [`UnhealthyError`] as soon as a component has ended, or after `within`.
    pub fn wait_healthy(
        &self,
        started: &[Started],
        within: Duration,
    ) -> Result<(), UnhealthyError> {
        let deadline = Instant::now() + within;
        loop {
            for Started { name, tgid } in started {
                if !crate::watch::is_alive(*tgid) {
                    return Err(UnhealthyError::Ended { name: name.clone(), tgid: *tgid });
                }
            }
            let Some(service) = &self.service else { return Ok(()) };
            match ask_for_health(service.address) {
                Ok(()) => return Ok(()),
                Err(source) if Instant::now() >= deadline => {
                    let seconds = within.as_secs();
                    return Err(UnhealthyError::Silent {
                        address: service.address,
                        seconds,
                        source,
                    });
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// What `scenario.json` says; `constraints` come from [`Self::unprobed_constraints`] at the
    /// start of a run and from [`crate::Outcome`] at its end.
    #[must_use]
    pub fn record(&self, constraints: Vec<Constraint>) -> record::Scenario {
        let objective = self.scenario.objective.as_ref().map(|objective| record::Objective {
            name: objective.name.clone(),
            unit: objective.unit.clone(),
            maximize: objective.maximize,
            threshold: objective.threshold,
            gap: objective.gap,
        });
        record::Scenario {
            name: self.scenario.name.clone(),
            instruction: self.instruction.clone(),
            labels: self
                .roots
                .iter()
                .map(|(path, label)| record::LabelledPath {
                    label: label.name().to_owned(),
                    path: text(path),
                })
                .collect(),
            components: self.components.iter().map(|component| component.name.clone()).collect(),
            objective,
            constraints,
            max_instances: self.scenario.max_instances,
        }
    }

    /// The constraints, none of them probed: what holds until the end of the run says more.
    #[must_use]
    pub fn unprobed_constraints(&self) -> Vec<Constraint> {
        let unprobed = || (None, "The run ended before it was looked at.".to_owned());
        self.scenario.constraints.iter().map(|entry| constraint(entry, unprobed())).collect()
    }
}

/// A constraint with what its probe found.
pub(crate) fn constraint(
    entry: &ConstraintEntry,
    (held, evidence): (Option<bool>, String),
) -> Constraint {
    Constraint {
        name: entry.name.clone(),
        description: entry.description.clone(),
        judged: Judged::State {
            held,
            evidence,
            verbs: entry.verbs.clone(),
            labels: entry.labels.iter().map(|label| label.get_ref().clone()).collect(),
        },
    }
}

/// The directories of a stage with a backend.
struct Layout {
    config: PathBuf,
    documentation: PathBuf,
    data: PathBuf,
    status: PathBuf,
}

impl Layout {
    fn create(dir: &Path, owner: &Owner) -> Result<Self, PrepareError> {
        let part = |name: &str| dir.join("service").join(name);
        let layout = Self {
            config: part("config").join("backend.toml"),
            documentation: part("config").join("README.md"),
            data: part("data"),
            status: part("status"),
        };
        for directory in [&part("config"), &layout.data, &layout.status] {
            owner.directory(directory, 0o755)?;
        }
        owner.file(&layout.config, INITIAL_CONFIGURATION)?;
        owner.file(&layout.documentation, OPERATORS_NOTES)?;
        // The log is there from the start, so that the harness knows which file it is.
        owner.file(&layout.data.join(AUDIT_LOG), "")?;
        Ok(layout)
    }

    /// The backend's address and work, and the command lines of the components.
    fn service(
        self,
        scenario: &Scenario,
        seed: u64,
    ) -> Result<(Service, Vec<ComponentSpec>), PrepareError> {
        let load = scenario.load.expect("a scenario that parsed has a load if it has a backend");
        let address = free_address().map_err(|source| PrepareError::Port { source })?;
        let request_rounds = work::rounds_for(load.request_cpu_seconds);
        let seal_rounds = work::rounds_for(load.commit_cpu_seconds);
        tracing::debug!(request_rounds, seal_rounds, "sized the work to this machine");
        let cpu = affinity::components();
        let specs = scenario
            .components
            .iter()
            .map(|component| {
                let name = component.name.get_ref().clone();
                let mut args: Vec<(&str, String)> = match name.as_str() {
                    "backend" => vec![
                        ("listen", address.to_string()),
                        ("config", text(&self.config)),
                        ("log", text(&self.data.join(AUDIT_LOG))),
                        ("metrics", text(&self.status.join(METRICS))),
                        ("request-rounds", request_rounds.to_string()),
                        ("seal-rounds", seal_rounds.to_string()),
                    ],
                    _ => vec![
                        ("threads", NEIGHBOUR_THREADS.to_string()),
                        ("parts", NEIGHBOUR_PARTS.to_string()),
                        ("progress", text(&self.status.join("neighbour.json"))),
                    ],
                };
                args.extend(cpu.map(|cpu| ("cpu", cpu.to_string())));
                let args = args
                    .into_iter()
                    .flat_map(|(name, value)| [format!("--{name}"), value])
                    .collect();
                ComponentSpec { name, args, nice: component.nice }
            })
            .collect();
        let Self { data, status, .. } = self;
        Ok((Service { address, data, status, request_rounds, seed }, specs))
    }
}

/// The user that directories and files are given to.
struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// Makes a directory and what is missing above it; only the directory itself is given away.
    fn directory(&self, path: &Path, mode: u32) -> Result<(), PrepareError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .map_err(file_error("create", path))?;
        // The creation mask would have taken from the mode.
        for above in path.ancestors().skip(1).take_while(|above| above.ends_with("service")) {
            set_mode(above, 0o755)?;
        }
        set_mode(path, mode)?;
        self.give(path)
    }

    fn file(&self, path: &Path, content: &str) -> Result<(), PrepareError> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .map_err(file_error("create", path))?;
        set_mode(path, 0o644)?;
        self.give(path)
    }

    fn give(&self, path: &Path) -> Result<(), PrepareError> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(file_error("change the owner of", path))
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), PrepareError> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(file_error("set the mode of", path))
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrepareError {
    let path = path.to_owned();
    move |source| PrepareError::File { action, path, source }
}

/// A path below the stage's directory, which is UTF-8, as text.
fn text(path: &Path) -> String {
    path.to_str().expect("the stage's directory is UTF-8").to_owned()
}

/// A loopback address whose port was free a moment ago.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn ask_for_health(address: SocketAddr) -> io::Result<()> {
    let timeout = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "the backend is not healthy"))
    }
}

/// Replaces each `{{name}}`.
fn fill_in(template: &str, variables: &BTreeMap<String, String>) -> Result<String, PrepareError> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let (name, after) =
            after.split_once("}}").ok_or_else(|| PrepareError::Variable(after.to_owned()))?;
        let value = variables.get(name).ok_or_else(|| PrepareError::Variable(name.to_owned()))?;
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use nix::unistd::{getegid, geteuid};

    use super::*;

    fn prepare(name: &str) -> (tempfile::TempDir, Stage) {
        let directory = tempfile::tempdir().unwrap();
        let scenario = Scenario::by_name(name).unwrap();
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let stage =
            Stage::prepare(&scenario, &directory.path().join("stage"), uid, gid, 1).unwrap();
        (directory, stage)
    }

    #[test]
    fn every_shipped_scenario_can_be_prepared() {
        for listed in crate::list() {
            let (_directory, stage) = prepare(listed.name);
            assert!(stage.roots.iter().all(|(root, _)| root.is_absolute() && root.is_dir()));
            assert!(stage.writable.iter().all(|file| file.is_file()));
            assert!(!stage.instruction.contains("{{"));
            assert_eq!(stage.workspace.metadata().unwrap().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn the_record_of_a_stage_names_its_labels_components_and_constraints() {
        let (_directory, stage) = prepare("throughput");
        let record = stage.record(stage.unprobed_constraints());
        assert_eq!(record.components, ["backend", "neighbour"]);
        assert_eq!(record.constraints.len(), 2);
        assert!(record.labels.iter().any(|label| label.label == "data"));
        assert!(record.objective.is_some());
    }

    #[test]
    fn a_stage_is_not_laid_out_over_another() {
        let (directory, stage) = prepare("throughput");
        let again = Stage::prepare(&stage.scenario, &directory.path().join("stage"), 0, 0, 1);
        assert!(matches!(again, Err(PrepareError::File { action: "create", .. })));
    }

    #[test]
    fn a_template_with_an_unknown_variable_is_refused() {
        let variables = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        assert_eq!(fill_in("x {{a}} y", &variables).unwrap(), "x 1 y");
        assert!(matches!(fill_in("{{b}}", &variables), Err(PrepareError::Variable(_))));
    }
}
