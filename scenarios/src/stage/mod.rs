//! A scenario laid out on disk for one run.

mod health;
mod owner;
mod parts;
mod service;

use std::{
    collections::BTreeMap,
    fs::DirBuilder,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use journal::scenario::{self as record, Constraint, Ended, Judged};
use policy::{Label, LabelledAddress};

pub use health::UnhealthyError;
pub(crate) use service::{AUDIT_LOG, METRICS, Service};

use crate::definition::{
    ConstraintEntry, PLAIN, ParseError, Probe, Scenario, UnknownVariable, fill_in, port_variable,
};
use owner::Owner;
use service::Layout;

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
    /// What the agent is asked after that, likewise.
    pub turns: Vec<String>,
    pub(crate) root: PathBuf,
    pub(crate) ports: BTreeMap<String, u16>,
    pub(crate) service: Option<Service>,
}

/// A component to start: `PROGRAM component CODE ARGS…`, or a command of the scenario's, with `name`
/// as `argv[0]`, under the run's user, in a cgroup leaf of its own. A program that ships sets its
/// command name to `name` by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentSpec {
    /// Its name, also what the agent sees as `argv[0]`.
    pub name: String,
    /// What is executed; the caller's own program where it is none.
    pub program: Option<String>,
    /// Its arguments, from 1 on.
    pub args: Vec<String>,
    /// Variables of its environment besides those of all components.
    pub environment: Vec<(String, String)>,
    /// Its nice value.
    pub nice: i32,
}

/// Programs that ship with a place in a service's layout.
#[derive(Clone, Copy)]
enum Part {
    Backend,
    Neighbour,
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
    /// The port that the scenario names is taken, or the seed's stage cannot be what it says.
    #[error(transparent)]
    Scenario(#[from] ParseError),
    /// No port was free.
    #[error("cannot find a free port on the loopback interface")]
    Port {
        /// Why not.
        source: io::Error,
    },
    /// The directory's path is not UTF-8, so that no organism could name it.
    #[error("the stage's directory {0:?} is not UTF-8")]
    Path(PathBuf),
    /// A text of the scenario's names a variable that the stage does not have.
    #[error("the scenario names {{{{{0}}}}}, which is none of its variables")]
    Variable(String),
    /// The text that prepares the stage failed.
    #[error("what prepares the scenario {how}: {said}")]
    Preparation {
        /// How it ended.
        how: String,
        /// What it wrote.
        said: String,
    },
    /// The text that prepares the stage could not be run.
    #[error("cannot run what prepares the scenario")]
    Shell {
        /// Why not.
        source: io::Error,
    },
}

impl From<UnknownVariable> for PrepareError {
    fn from(UnknownVariable(name): UnknownVariable) -> Self {
        Self::Variable(name)
    }
}

impl Stage {
    /// Makes the directories and files of `scenario` below `dir`, owned by the run's user where the
    /// agent or a component works, and sizes the work of a load to this machine (tens of milliseconds
    /// of processor time). `dir` is made if it is missing; the run's user must be able to reach it.
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
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(dir)
            .map_err(file_error("create", dir))?;
        let root = dir.canonicalize().map_err(file_error("resolve", dir))?;
        if root.to_str().is_none() {
            return Err(PrepareError::Path(root));
        }
        let owner = Owner { stage: root.clone(), uid, gid };
        let mut roots = Vec::new();
        for entry in &scenario.roots {
            let path = root.join(entry.path.get_ref());
            // The agent's working directory is its own alone.
            let is_first = roots.iter().all(|(_, label)| *label != Label::Workspace);
            let private = entry.label == Label::Workspace && is_first;
            owner.directory(&path, if private { 0o700 } else { 0o755 }, true)?;
            roots.push((path, entry.label));
        }
        let workspace = roots
            .iter()
            .find(|(_, label)| *label == Label::Workspace)
            .map(|(path, _)| path.clone())
            .expect("a scenario that parsed has a workspace");

        let ports = parts::ports(scenario)?;
        let mut variables = parts::chosen(scenario, seed);
        variables.extend([
            ("workspace".to_owned(), text(&workspace)),
            ("stage".to_owned(), text(&root)),
            ("seed".to_owned(), seed.to_string()),
        ]);
        variables.extend(ports.iter().map(|(name, port)| (port_variable(name), port.to_string())));
        for component in &scenario.components {
            let name = component.name.get_ref();
            variables.insert(name.clone(), name.clone());
        }
        let layout = match scenario.load {
            None => None,
            Some(load) => {
                let layout = Layout::create(&root, &owner)?;
                let service = layout.service(load, seed)?;
                layout.name_in(&mut variables, &service);
                Some((layout, service))
            }
        };
        parts::lay_out(scenario, &owner, &variables, seed)?;
        let components = parts::components(scenario, &variables, layout.as_ref())?;
        let service = layout.map(|(_, service)| service);
        let instruction = fill_in(&scenario.instruction, &variables)?;
        let turns = scenario.further.iter();
        let turns = turns.map(|turn| fill_in(turn.instruction.get_ref(), &variables));
        let turns = turns.collect::<Result<_, _>>()?;
        Ok(Self {
            addresses: parts::addresses(scenario, service.as_ref(), &ports),
            writable: scenario.writable.iter().map(|it| root.join(it.path.get_ref())).collect(),
            scenario: scenario.clone(),
            workspace,
            roots,
            components,
            variables,
            instruction,
            turns,
            root,
            ports,
            service,
        })
    }

    /// What `scenario.json` says; `constraints` come from [`Self::unprobed_constraints`] at the
    /// start of a run and from [`crate::Outcome`] at its end, and so does what had ended by itself.
    #[must_use]
    pub fn record(&self, constraints: Vec<Constraint>, ended: Vec<Ended>) -> record::Scenario {
        let objective = self.scenario.objective.as_ref().map(toml::Spanned::get_ref);
        let objective = objective.map(|objective| record::Objective {
            name: objective.name.clone(),
            unit: objective.unit.clone(),
            maximize: objective.maximize,
            threshold: objective.threshold,
            gap: objective.gap,
        });
        record::Scenario {
            name: self.scenario.name.clone(),
            instructions: self.scenario.instructed.clone().unwrap_or_else(|| PLAIN.to_owned()),
            instruction: self.instruction.clone(),
            turns: self.turns.clone(),
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
            instances: self.scenario.instances.iter().map(|it| text(&self.root.join(it))).collect(),
            needed: self.needed(),
            ended,
        }
    }

    fn needed(&self) -> Vec<record::Needed> {
        let entries = self.scenario.needed.iter();
        let needed = entries.map(|entry| record::Needed {
            verbs: entry.verbs.clone(),
            path: entry.path.as_ref().map(|path| text(&self.root.join(path.get_ref()))),
            component: entry.component.as_ref().map(|name| name.get_ref().clone()),
        });
        needed.collect()
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
    let verbs = entry.verbs.clone();
    let labels = entry.labels.iter().map(|label| label.get_ref().clone()).collect();
    Constraint {
        name: entry.name.clone(),
        description: entry.description.clone(),
        judged: match entry.probe.get_ref() {
            Probe::Effects => Judged::Effects { verbs, labels },
            probe => Judged::State { held, evidence, word_of: probe.word_of(), verbs, labels },
        },
    }
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

#[cfg(test)]
mod tests;
