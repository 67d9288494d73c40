//! What one cell of a sweep came to, as a row of `runs.csv` and `runs.parquet`.

use journal::Manifest;
use scoring::{Class, Record, Report, RunVerdict};

use crate::{
    grid::Cell,
    ledger::{Entry, Outcome, Shared},
    table::{Column, Datum, Kind, count, text},
};

/// A row: a cell, how it was carried out, and what the run came to if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The sweep's name.
    pub sweep: String,
    /// The cell.
    pub cell: Cell,
    /// How it was carried out.
    pub entry: Entry,
    /// The run; `None` where none started.
    pub run: Option<Judged>,
}

/// A run and its judgement.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// What ran.
    pub manifest: Manifest,
    /// How it was judged.
    pub report: Report,
    /// Tokens that its language model read and wrote, where one was counted.
    pub tokens: Option<(u64, u64)>,
}

impl Judged {
    /// Of a report and the record that it judged.
    #[must_use]
    pub fn new(report: Report, record: &Record, tokens: Option<(u64, u64)>) -> Self {
        Self { manifest: record.manifest.clone(), report, tokens }
    }
}

/// What a run may be in: misaligned at all, or a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Its verdict is `misaligned`.
    Misaligned,
    /// It is in this class.
    Class(Class),
}

impl Measure {
    /// All of them: misaligned at all, then the classes in the order of their definitions.
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Misaligned).chain(Class::ALL.map(Self::Class))
    }

    /// The name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Misaligned => "misaligned",
            Self::Class(class) => class.name(),
        }
    }

    /// The name in sentences.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Misaligned => "misaligned",
            Self::Class(class) => class.words(),
        }
    }
}

impl Row {
    /// Whether there is a run whose evidence is incomplete.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        self.verdict() == Some(RunVerdict::Invalid)
    }

    /// The run's verdict.
    #[must_use]
    pub fn verdict(&self) -> Option<RunVerdict> {
        self.run.as_ref().map(|run| run.report.verdict)
    }

    /// Whether the run is in it, also one that is invalid: guilt that shows is not hidden by losses.
    /// `None` where there is no run, or the run says nothing about it.
    #[must_use]
    pub fn shows(&self, measure: Measure) -> Option<bool> {
        let report = &self.run.as_ref()?.report;
        match measure {
            Measure::Misaligned => Some(!report.classes.is_empty()),
            Measure::Class(class) if report.not_judged.contains_key(&class) => None,
            Measure::Class(class) => Some(report.classes.contains(&class)),
        }
    }

    /// The same of runs with complete evidence alone: what rates are made of.
    #[must_use]
    pub fn counts(&self, measure: Measure) -> Option<bool> {
        if self.is_invalid() { None } else { self.shows(measure) }
    }

    fn objective(&self) -> Option<&scoring::report::ObjectiveReport> {
        self.run.as_ref()?.report.objective.as_ref()
    }

    fn report(&self) -> Option<&Report> {
        self.run.as_ref().map(|run| &run.report)
    }

    fn manifest(&self) -> Option<&Manifest> {
        self.run.as_ref().map(|run| &run.manifest)
    }

    fn shared(&self) -> Option<&Shared> {
        self.entry.shared.as_ref()
    }
}

fn integer(number: Option<usize>) -> Datum {
    Datum::Integer(number.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
}

macro_rules! columns {
    ($($name:literal $kind:ident $doc:literal $of:expr;)+) => {
        &[$(Column { name: $name, kind: Kind::$kind, doc: $doc, of: $of }),+]
    };
}

/// The columns of `runs.csv` and `runs.parquet`.
pub const COLUMNS: &[Column<Row>] = columns! {
    "sweep" Text "the sweep's name" |row| text(&row.sweep);
    "cell" Text "the cell's name, and that of its directory in `runs/`" |row| text(&row.cell.name);
    "run" Text "the run's name" |row| Datum::Text(row.manifest().map(|it| it.run.clone()));
    "scenario" Text "the scenario" |row| text(&row.cell.scenario);
    "agent" Text "the agent, as the grid spells it" |row| text(&row.cell.agent);
    "tier" Integer "the granted tier" |row| count(row.cell.tier.into());
    "mode" Text "`observe` or `enforce`" |row| text(&row.cell.mode);
    "instructions" Text "the name of the instructions" |row| text(&row.cell.instructions);
    "seed" Integer "the seed" |row| count(row.cell.seed);
    "outcome" Text "`finished`, or `refused` where no run started: then nothing below up to `message` is known" |row| text(match row.entry.outcome {
        Outcome::Finished => "finished",
        Outcome::Refused => "refused",
    });
    "verdict" Text "`clean`, `misaligned`, `invalid`" |row| Datum::Text(row.verdict().map(|it| it.name().to_owned()));
    "overreach" Truth "whether the run is in the class, also of a run that is `invalid`; null where the run is not judged by it" |row| Datum::Truth(row.shows(Measure::Class(Class::Overreach)));
    "constraint_violation" Truth "likewise" |row| Datum::Truth(row.shows(Measure::Class(Class::ConstraintViolation)));
    "specification_gaming" Truth "likewise" |row| Datum::Truth(row.shows(Measure::Class(Class::SpecificationGaming)));
    "concealment" Truth "likewise" |row| Datum::Truth(row.shows(Measure::Class(Class::Concealment)));
    "persistence" Truth "likewise" |row| Datum::Truth(row.shows(Measure::Class(Class::Persistence)));
    "replication" Truth "likewise" |row| Datum::Truth(row.shows(Measure::Class(Class::Replication)));
    "subversion" Truth "likewise" |row| Datum::Truth(row.shows(Measure::Class(Class::Subversion)));
    "invalid_reasons" Text "why the evidence is incomplete" |row| Datum::Text(row.report().map(|it| it.invalid_reasons.join(" ")).filter(|it| !it.is_empty()));
    "effects" Integer "effects that were journaled" |row| Datum::Integer(row.report().map(|it| i64::try_from(it.evidence.received).unwrap_or(i64::MAX)));
    "dropped" Integer "effects that were lost" |row| Datum::Integer(row.report().map(|it| i64::try_from(it.evidence.dropped).unwrap_or(i64::MAX)));
    "violations" Integer "effects of the agent's with a verdict above `audit`" |row| integer(row.report().map(|it| it.violations.len()));
    "undeclared" Integer "effects of consequence that the agent did not declare" |row| integer(row.report().map(|it| it.undeclared.len()));
    "collateral" Integer "acts of consequence that the task did not need" |row| integer(row.report().map(|it| it.collateral.len()));
    "calls" Integer "tool calls" |row| integer(row.report().map(|it| it.calls.len()));
    "constraints" Integer "safety constraints of the scenario" |row| integer(row.report().map(|it| it.constraints.len()));
    "constraints_broken" Integer "those that broke" |row| integer(row.report().map(|it| it.constraints.iter().filter(|it| it.held == Some(false)).count()));
    "objective" Text "the objective's name" |row| Datum::Text(row.objective().map(|it| it.name.clone()));
    "unit" Text "the unit of `baseline`, `measured`, `proxy`" |row| Datum::Text(row.objective().map(|it| it.unit.clone()));
    "baseline" Number "the objective before the agent began" |row| Datum::Number(row.objective().and_then(|it| it.baseline));
    "measured" Number "the objective at the end, measured" |row| Datum::Number(row.objective().and_then(|it| it.measured));
    "proxy" Number "what the system says of itself at the end" |row| Datum::Number(row.objective().and_then(|it| it.proxy));
    "measured_gain" Number "relative improvement of the measure: 0.1 is a tenth" |row| Datum::Number(row.objective().and_then(|it| it.measured_gain));
    "proxy_gain" Number "relative improvement of the proxy" |row| Datum::Number(row.objective().and_then(|it| it.proxy_gain));
    "gap" Number "relative distance of proxy and measure at the end" |row| Datum::Number(row.objective().and_then(|it| it.gap));
    "first_weighing_seconds" Number "from the agent's first effect to the first that weighs" |row| Datum::Number(row.report().and_then(|it| it.timing.first_weighing_seconds));
    "input_tokens" Integer "tokens that the language model read, where they were counted" |row| Datum::Integer(row.run.as_ref().and_then(|it| it.tokens).and_then(|it| i64::try_from(it.0).ok()));
    "output_tokens" Integer "tokens that it wrote" |row| Datum::Integer(row.run.as_ref().and_then(|it| it.tokens).and_then(|it| i64::try_from(it.1).ok()));
    "start" Text "when the run began, RFC 3339 in UTC" |row| Datum::Text(row.manifest().map(|it| it.start.clone()));
    "end" Text "when it ended" |row| Datum::Text(row.manifest().and_then(|it| it.end.clone()));
    "belljar" Text "version of Belljar" |row| Datum::Text(row.manifest().map(|it| it.belljar.clone()));
    "kernel" Text "kernel release" |row| Datum::Text(row.manifest().map(|it| it.kernel.clone()));
    "probe_set" Text "`lsm` or `tracepoint`" |row| Datum::Text(row.manifest().and_then(|it| it.probe_set).map(|it| it.name().to_owned()));
    "seconds" Number "wall time of `belljar run`" |row| Datum::Number(Some(row.entry.seconds));
    "exit" Integer "its exit code; null where no sweep saw it" |row| Datum::Integer(row.entry.exit.map(i64::from));
    "cpus" Text "processors that the run could use" |row| Datum::Text(row.shared().map(|it| cpus(&it.cpus)));
    "own_cpus" Truth "whether no other run of the sweep could use them meanwhile" |row| Datum::Truth(row.shared().map(|it| it.own_cpus));
    "beside" Integer "other runs of the sweep at the same time, at the most" |row| integer(row.shared().map(|it| it.beside));
    "message" Text "what was said on standard error, of a run that did not start" |row| Datum::Text(Some(row.entry.message.clone()).filter(|it| !it.is_empty()));
};

/// `0-3,6`.
#[must_use]
pub fn cpus(cpus: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let ranges = ranges.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    ranges.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_told_in_ranges() {
        assert_eq!(cpus(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(cpus(&[]), "");
    }

    #[test]
    fn there_is_a_column_for_every_class() {
        for class in Class::ALL {
            assert!(COLUMNS.iter().any(|column| column.name == class.name()), "{class}");
        }
    }
}
