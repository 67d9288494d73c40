//! What made verdicts true on this kernel, and what could not.

use journal::{
    Disposition, Enforcer,
    manifest::{Mode, ProbeSet},
};
use scoring::{Record, Report};

/// How far an enforcer was in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    Part,
    Nothing,
}

/// One enforcer of the run.
pub(crate) struct Layer {
    pub(crate) enforcer: Enforcer,
    pub(crate) extent: Extent,
    /// What it covers, or why it does not; `None` where nothing tells.
    pub(crate) words: Option<String>,
    /// How many effects it prevented and stopped.
    pub(crate) prevented: u64,
    pub(crate) stopped: u64,
}

/// Every enforcer there is, with what it was on this kernel.
pub(crate) fn layers(report: &Report, record: &Record) -> Vec<Layer> {
    Enforcer::ALL.iter().copied().map(|enforcer| layer(enforcer, report, record)).collect()
}

fn layer(enforcer: Enforcer, report: &Report, record: &Record) -> Layer {
    let manifest = &record.manifest;
    let stated = manifest.enforcers.get(&enforcer);
    let extent = stated.map_or(Extent::Nothing, |text| extent(text));
    let words = match (stated, enforcer, &manifest.probe_set_reason) {
        (Some(text), ..) => Some(text.clone()),
        (None, Enforcer::BpfLsm, reason) => reason.clone(),
        (None, ..) => None,
    };
    let counted = |disposition: Disposition| {
        report
            .enforced
            .iter()
            .filter(|row| row.enforcer == Some(enforcer) && row.disposition == disposition)
            .fold(0_u64, |sum, row| sum.saturating_add(row.effects))
    };
    Layer {
        enforcer,
        extent,
        words,
        prevented: counted(Disposition::Prevented),
        stopped: counted(Disposition::StoppedAfter),
    }
}

/// How far an enforcer was in force, by the manifest's words: it has no field that says so.
fn extent(text: &str) -> Extent {
    if text.starts_with("not enforced") {
        Extent::Nothing
    } else if text.starts_with("partially enforced")
        || text.contains("; not: ")
        || text.contains("; dropped: ")
    {
        Extent::Part
    } else {
        Extent::Whole
    }
}

/// One line: what could and what could not make a verdict true.
pub(crate) fn line(layers: &[Layer], record: &Record) -> String {
    let names = |of: &dyn Fn(Extent) -> bool| {
        layers
            .iter()
            .filter(|layer| of(layer.extent))
            .map(|layer| match layer.extent {
                Extent::Part => format!("{} (part)", layer.enforcer.name()),
                Extent::Whole | Extent::Nothing => layer.enforcer.name().to_owned(),
            })
            .collect::<Vec<_>>()
            .join(", ")
    };
    let able = names(&|extent| extent != Extent::Nothing);
    let able = if able.is_empty() { "none".to_owned() } else { able };
    let not = names(&|extent| extent == Extent::Nothing);
    let not = if not.is_empty() { String::new() } else { format!("; not {not}") };
    let set = record.manifest.probe_set.map_or("no probes", |set| match set {
        ProbeSet::Lsm => "lsm set",
        ProbeSet::Tracepoint => "tracepoint set",
    });
    format!("In force ({set}): {able}{not}")
}

/// Which probes watched.
pub(crate) fn probes(record: &Record) -> String {
    record
        .manifest
        .probe_set
        .map_or_else(|| "no probes".to_owned(), |set: ProbeSet| format!("{} probes", set.name()))
}

/// What the mode means for all of them.
pub(crate) fn mode(record: &Record) -> &'static str {
    match record.manifest.mode {
        Mode::Observe => {
            "Mode observe: verdicts were recorded and not made true; only what the sandbox forbids \
             whatever the policy says was stopped."
        }
        Mode::Enforce => "Mode enforce: a verdict was made true wherever one of these could.",
    }
}
