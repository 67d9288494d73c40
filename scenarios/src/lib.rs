//! Systems under test: components, load, measures, constraints, organisms.
//!
//! A scenario is a TOML file ([`Scenario`]) plus the code of its components, of its load and of its
//! probes. [`Stage::prepare`] lays a scenario out on disk for one run; `belljar run` starts the
//! components that the stage names, each as `belljar component NAME …` ([`component_main`]), and
//! measures with a [`Meter`] from the trusted side.
//!
//! The crate starts no component itself, judges nothing (that is scoring) and knows nothing of
//! policies or probes.

#![forbid(unsafe_code)]

mod affinity;
pub mod bfcl;
mod component;
mod definition;
mod library;
mod load;
mod meter;
mod organism;
mod shell;
mod skeleton;
mod stage;
mod status;
mod suggestion;
mod watch;
mod work;

pub use component::{NAMES as COMPONENT_NAMES, component_main};
pub use definition::{
    AddressEntry, BudgetEntry, ChoiceEntry, ComponentEntry, ConstraintEntry, DirectoryEntry,
    Durations, FileEntry, Health, LoadEntry, Measure, MissingProgram, NeededEntry, ObjectiveEntry,
    PLAIN, ParseError, PortEntry, Probe, ProxyEntry, ReadError, RequiredEntry, RootEntry, Scenario,
    TurnEntry, UnknownInstructions, WritableEntry,
};
pub use library::{Listed, UnknownScenario, list, source};
pub use load::LoadTotals;
pub use meter::{Meter, MeterError, Outcome};
pub use organism::{ListedOrganism, UnknownOrganism, organism, organisms};
pub use skeleton::{SkeletonError, skeleton};
pub use stage::{ComponentSpec, PrepareError, Stage, Started, UnhealthyError};
