//! The catalogue of evasions: ways around a tier that are known, each with what comes of it.
//!
//! An entry is a declaration. The evasion layer carries every one out in a run at tier 0 in mode
//! `enforce`, and compares what came of it with what is declared here; the page of the catalogue
//! (`docs/evasion.md`) is made from the same declarations. So a status on that page is a test's.

mod control;
mod destruction;
mod identity;
mod kernel;
mod names;
mod network;
mod oversight;
mod page;
mod signals;

use ebpf_common::Verb;
use journal::Enforcer;

pub use page::page;

/// What an evasion is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Roads to a signal.
    Signals,
    /// Changing or destroying a file without removing its name.
    Destruction,
    /// The same file by another name.
    Names,
    /// Acting on a process without a signal, and leaving one's cgroup.
    Control,
    /// Other hosts, and services of this one.
    Network,
    /// Another identity, another view of the system.
    Identity,
    /// The kernel's own powers, second ABIs, and roads on which nobody looks.
    Kernel,
    /// Attacks on who watches, and lies to them.
    Oversight,
}

impl Group {
    /// Every group, in the page's order.
    pub const ALL: [Self; 8] = [
        Self::Signals,
        Self::Destruction,
        Self::Names,
        Self::Control,
        Self::Network,
        Self::Identity,
        Self::Kernel,
        Self::Oversight,
    ];

    /// Its heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Signals => "Signals by other roads",
            Self::Destruction => "Destruction without a removal",
            Self::Names => "Other names for the same file",
            Self::Control => "Processes without signals",
            Self::Network => "Other hosts and services",
            Self::Identity => "Another identity, another view",
            Self::Kernel => "The kernel's powers and second doors",
            Self::Oversight => "Attacks on the watch, and lies",
        }
    }
}

/// What an evasion is after; the test knows by it whether it succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The evasion's own labelled directory, with a file of the run's user in it: nothing there may
    /// change.
    Data,
    /// A process of the run's user outside of the run: it must live, run, and keep its priority,
    /// limits and affinity.
    Process,
    /// The run's observer and its record: it must live, and no file of the run may go or shrink.
    Oversight,
    /// Nothing but a power: the last act must fail.
    Power,
}

/// What comes of an evasion under one probe set with the enforcers that go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It fails, and is on record as a violation.
    Prevented(Enforcer, Verb, &'static str),
    /// It fails, and no violation tells of it.
    Refused(Enforcer),
    /// It happens, and is on record as a violation.
    Seen(Verb, &'static str, &'static str),
    /// It happens, and nothing tells of it.
    Unseen(&'static str),
}

/// One way around.
#[derive(Clone, Copy, Debug)]
pub struct Evasion {
    /// Its name, unique.
    pub name: &'static str,
    /// What it is about.
    pub group: Group,
    /// What is done, in words.
    pub what: &'static str,
    /// What the actor does: acts separated by ` , `, with the names of places in braces.
    pub acts: &'static str,
    /// What it is after.
    pub victim: Victim,
    /// With the `lsm` probes and all enforcers.
    pub lsm: Came,
    /// With the `tracepoint` probes and all enforcers but `bpf-lsm`.
    pub tracepoint: Came,
}

impl Evasion {
    /// What comes of it under a probe set.
    #[must_use]
    pub const fn came(&self, has_lsm: bool) -> Came {
        if has_lsm { self.lsm } else { self.tracepoint }
    }
}

/// Every evasion.
pub fn all() -> impl Iterator<Item = &'static Evasion> {
    [
        signals::ALL,
        destruction::ALL,
        names::ALL,
        control::ALL,
        network::ALL,
        identity::ALL,
        kernel::ALL,
        oversight::ALL,
    ]
    .into_iter()
    .flatten()
}

/// An act on labelled data that a hook prevents where there are hooks, and Landlock elsewhere.
const fn on_data(
    group: Group,
    name: &'static str,
    what: &'static str,
    acts: &'static str,
    verb: Verb,
) -> Evasion {
    Evasion {
        name,
        group,
        what,
        acts,
        victim: Victim::Data,
        lsm: Came::Prevented(Enforcer::BpfLsm, verb, "data"),
        tracepoint: Came::Prevented(Enforcer::Landlock, verb, "data"),
    }
}

/// A power that one enforcer refuses everywhere.
const fn power(
    group: Group,
    name: &'static str,
    what: &'static str,
    acts: &'static str,
    by: Enforcer,
    verb: Verb,
) -> Evasion {
    let label = match verb.fixed_label() {
        Some(label) => label.name(),
        None => "host",
    };
    let came = Came::Prevented(by, verb, label);
    Evasion { name, group, what, acts, victim: Victim::Power, lsm: came, tracepoint: came }
}

impl Evasion {
    const fn after(mut self, victim: Victim) -> Self {
        self.victim = victim;
        self
    }

    const fn without_violation(self, by: Enforcer) -> Self {
        self.with_lsm(Came::Refused(by)).with_tracepoints(Came::Refused(by))
    }

    const fn with_lsm(mut self, came: Came) -> Self {
        self.lsm = came;
        self
    }

    const fn with_tracepoints(mut self, came: Came) -> Self {
        self.tracepoint = came;
        self
    }
}
