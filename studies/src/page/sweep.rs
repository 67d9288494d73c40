//! The page of a sweep.

use std::collections::BTreeMap;

use askama::Template;
use scoring::RunVerdict;

use super::{
    figures::{differences, rates, where_misaligned, which_class},
    plot::{Forest, Heat, cut, percent},
    rows::{
        DifferenceRow, PlanRow, PrecisionRow, RateTable, RunRow, Trouble, difference_row, invalid,
        plans, precisions, refused, run_row, tables,
    },
};
use crate::{
    results::{Comparison, Factor, Rate, Results, scenarios},
    row::{Measure, Row, cpus},
    stats::{
        clusters::DRAWS,
        power::{LEVEL, POWER},
    },
};

/// How many rows a table has.
pub(super) const ROWS: usize = 5000;
/// The longest text that is repeated.
pub(super) const LONGEST: usize = 400;
/// Below so many scenarios, statistics by scenario are weak.
const FEW_SCENARIOS: usize = 10;
const STYLE: &str = include_str!("../../templates/studies.css");

/// What is told of a sweep beside its rows.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its grid's text.
    pub grid: String,
    /// Cells of the grid, also those that are not done.
    pub cells: usize,
    /// Run directories in the sweep's directory that belong to no cell of the grid.
    pub strangers: usize,
    /// Version of Belljar.
    pub belljar: String,
}

struct Card {
    name: &'static str,
    figure: String,
    unit: String,
    line: String,
    bad: bool,
}

#[derive(Template)]
#[template(path = "sweep.html")]
struct Page {
    headline: String,
    summary: Vec<String>,
    cards: Vec<Card>,
    where_misaligned: Option<Heat>,
    which_class: Option<Heat>,
    rates: Option<Forest>,
    measures: Vec<&'static str>,
    tables: Vec<RateTable>,
    differences: Option<Forest>,
    difference_rows: Vec<DifferenceRow>,
    difference_rows_left_out: usize,
    difference_notes: Vec<String>,
    plans: Vec<PlanRow>,
    precisions: Vec<PrecisionRow>,
    invalid: Vec<Trouble>,
    refused: Vec<Trouble>,
    runs: Vec<RunRow>,
    runs_left_out: usize,
    conditions: Vec<String>,
    facts: Vec<(&'static str, String)>,
    grid: String,
    draws: usize,
    policy: String,
    style: String,
}

/// Makes the page.
///
/// # Panics
///
/// Never: rendering into memory does not fail.
#[must_use]
pub fn sweep(setting: &Setting, rows: &[Row], results: &Results) -> String {
    let style = report::house::style(STYLE);
    let told: Vec<&Comparison> = results.comparisons.iter().filter(|it| is_told(it)).collect();
    let page = Page {
        headline: format!("Sweep {}", cut(&setting.name, 80)),
        summary: summary(setting, rows),
        cards: cards(setting, rows, results),
        where_misaligned: where_misaligned(rows),
        which_class: which_class(results),
        rates: rates(results),
        measures: Measure::all().map(Measure::words).collect(),
        tables: tables(results),
        differences: differences(results),
        difference_rows: told.iter().copied().map(difference_row).collect(),
        difference_rows_left_out: results.comparisons.len() - told.len(),
        difference_notes: difference_notes(rows, results),
        plans: plans(results),
        precisions: precisions(results),
        invalid: invalid(rows),
        refused: refused(rows),
        runs: rows.iter().take(ROWS).map(run_row).collect(),
        runs_left_out: rows.len().saturating_sub(ROWS),
        conditions: conditions(rows),
        facts: facts(setting, rows),
        grid: setting.grid.clone(),
        draws: DRAWS,
        policy: report::house::policy(&style),
        style,
    };
    page.render().expect("memory is enough")
}

fn of_verdict(rows: &[Row], verdict: RunVerdict) -> usize {
    rows.iter().filter(|row| row.verdict() == Some(verdict)).count()
}

pub(super) fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn summary(setting: &Setting, rows: &[Row]) -> Vec<String> {
    let levels = |factor: Factor| factor.levels(rows).len();
    let mut summary = vec![format!(
        "{} in {}, {}: {}.",
        plural(levels(Factor::Agent), "agent", "agents"),
        plural(levels(Factor::Scenario), "scenario", "scenarios"),
        plural(
            rows.iter().map(|row| row.cell.seed).collect::<std::collections::BTreeSet<_>>().len(),
            "seed",
            "seeds"
        ),
        plural(setting.cells, "cell", "cells"),
    )];
    let missing = setting.cells.saturating_sub(rows.len());
    if missing > 0 {
        summary
            .push(format!("{missing} of the cells are not done yet: what follows is of the rest."));
    }
    let lost = of_verdict(rows, RunVerdict::Invalid);
    if lost > 0 {
        summary.push(format!(
            "{} invalid: evidence is incomplete. No rate counts them; they are listed below, and each \
             table says how far they could move a rate.",
            plural(lost, "run is", "runs are")
        ));
    }
    let refused = rows.iter().filter(|row| row.run.is_none()).count();
    if refused > 0 {
        summary.push(format!(
            "{} without a run, since it did not start; the next start of the sweep tries again.",
            plural(refused, "cell is", "cells are")
        ));
    }
    if setting.strangers > 0 {
        summary.push(format!(
            "{} of no cell of this grid in the directory, left out here.",
            plural(setting.strangers, "run is", "runs are")
        ));
    }
    summary
}

fn cards(setting: &Setting, rows: &[Row], results: &Results) -> Vec<Card> {
    let runs = rows.iter().filter(|row| row.run.is_some()).count();
    let all = results.rates_of(Factor::All, Measure::Misaligned).next();
    let lost = of_verdict(rows, RunVerdict::Invalid);
    let refused = rows.len() - runs;
    let dropped: u64 =
        rows.iter().filter_map(|row| Some(row.run.as_ref()?.report.evidence.dropped)).sum();
    let seconds: f64 = rows.iter().map(|row| row.entry.seconds).sum();
    vec![
        Card {
            name: "runs",
            figure: runs.to_string(),
            unit: format!("of {} cells", setting.cells),
            line: format!("{refused} did not start"),
            bad: runs < setting.cells,
        },
        Card {
            name: "misaligned",
            figure: all.and_then(Rate::rate).map_or_else(|| "\u{2013}".to_owned(), percent),
            unit: all.map(|it| format!("{} of {}", it.hits, it.trials)).unwrap_or_default(),
            line: all.and_then(|it| it.interval).map_or_else(String::new, |it| {
                format!("95 %: {} to {}", percent(it.low), percent(it.high))
            }),
            bad: false,
        },
        Card {
            name: "invalid",
            figure: lost.to_string(),
            unit: if lost == 1 { "run" } else { "runs" }.to_owned(),
            line: format!("{dropped} effects lost"),
            bad: lost > 0,
        },
        Card {
            name: "time of all runs",
            figure: duration(seconds),
            unit: String::new(),
            line: format!("{:.1} s a run", seconds / rows.len().max(1) as f64),
            bad: false,
        },
    ]
}

fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

/// How many runs count, and how far those that do not could move the rate.
/// Whether anything is to be seen in a comparison: a class that no run of either side is in is left out.
fn is_told(it: &Comparison) -> bool {
    it.measure == Measure::Misaligned || it.before_runs.0 + it.after_runs.0 > 0
}

pub(super) fn compared(it: &Comparison) -> String {
    match it.factor {
        Factor::Agent => format!("{} against {}", it.after, it.before),
        factor => format!("{} {} against {}", factor.name(), it.after, it.before),
    }
}

pub(super) fn signed(part: f64) -> String {
    format!("{}{}", if part > 0.0 { "+" } else { "" }, percent(part).replace('-', "\u{2212}"))
}

fn difference_notes(rows: &[Row], results: &Results) -> Vec<String> {
    let mut notes = Vec::new();
    let Some(first) = results.comparisons.first() else {
        notes.push(
            "There is nothing to compare: no factor but the scenario has more than one level."
                .to_owned(),
        );
        return notes;
    };
    let of = |is_first: bool| {
        let all = results.comparisons.iter();
        all.filter(|it| (it.measure == Measure::Misaligned) == is_first).count()
    };
    notes.push(format!(
        "Of {} comparisons, {} ask whether runs are misaligned and {} in which class; Holm\u{2019}s \
         adjusted p-value counts those of the same question. A star marks what stays at or below {LEVEL}.",
        results.comparisons.len(),
        of(true),
        of(false)
    ));
    let scenarios = scenarios(rows).len();
    if scenarios < FEW_SCENARIOS {
        let least = first.difference.least_p;
        let cannot = if least * of(true) as f64 > LEVEL {
            format!(
                " The least p-value that {} can have is {least:.4}, before adjustment: no difference can \
                 earn a star here, however large. More scenarios are needed, not more seeds.",
                plural(scenarios, "scenario", "scenarios")
            )
        } else {
            String::new()
        };
        notes.push(format!(
            "Runs of one scenario are alike, and there are only {scenarios} of them: intervals drawn from \
             so few are too narrow.{cannot}"
        ));
    }
    notes
}

/// Under which conditions runs were carried out, each with how many.
fn conditions(rows: &[Row]) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        let condition = match &row.entry.shared {
            None => "while no sweep was there to see what it shared".to_owned(),
            Some(shared) if shared.own_cpus => {
                format!("on processors of its own ({})", cpus(&shared.cpus))
            }
            Some(shared) if shared.beside == 0 => {
                format!("alone on processors {}", cpus(&shared.cpus))
            }
            Some(shared) => format!(
                "on processors {} shared with up to {}",
                cpus(&shared.cpus),
                plural(shared.beside, "other run", "other runs")
            ),
        };
        *counts.entry(condition).or_default() += 1;
    }
    let told = counts.into_iter();
    told.map(|(condition, count)| format!("{} {condition}.", plural(count, "run", "runs")))
        .collect()
}

fn facts(setting: &Setting, rows: &[Row]) -> Vec<(&'static str, String)> {
    let values = |of: fn(&Row) -> Option<String>| {
        let mut values: Vec<String> = rows.iter().filter_map(of).collect();
        values.sort();
        values.dedup();
        cut(&values.join(", "), LONGEST)
    };
    vec![
        ("Belljar", setting.belljar.clone()),
        ("host", values(|row| Some(row.run.as_ref()?.manifest.host.clone()))),
        ("kernel", values(|row| Some(row.run.as_ref()?.manifest.kernel.clone()))),
        ("probes", values(|row| Some(row.run.as_ref()?.manifest.probe_set?.name().to_owned()))),
        (
            "first start",
            rows.iter()
                .filter_map(|row| Some(row.run.as_ref()?.manifest.start.clone()))
                .min()
                .unwrap_or_default(),
        ),
        (
            "last end",
            rows.iter()
                .filter_map(|row| row.run.as_ref()?.manifest.end.clone())
                .max()
                .unwrap_or_default(),
        ),
        ("power planned for", format!("{POWER} at a level of {LEVEL}, two-sided")),
    ]
}
