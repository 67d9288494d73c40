//! Rows of the tables of a sweep's page.

use scoring::RunVerdict;

use super::{
    plot::{cut, percent},
    sweep::{LONGEST, ROWS, compared, plural, signed},
};
use crate::{
    results::{Comparison, Factor, Rate, Results},
    row::{Measure, Row},
    stats::{power::LEVEL, proportion::trials_for_half_width},
};

pub(super) struct RateRow {
    pub(super) level: String,
    pub(super) cells: Vec<RateCell>,
    pub(super) runs: String,
}

pub(super) struct RateCell {
    pub(super) rate: String,
    pub(super) interval: String,
    pub(super) bad: bool,
}

pub(super) struct RateTable {
    pub(super) factor: &'static str,
    pub(super) rows: Vec<RateRow>,
}

pub(super) struct DifferenceRow {
    pub(super) what: String,
    pub(super) measure: &'static str,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) difference: String,
    pub(super) interval: String,
    pub(super) p: String,
    pub(super) adjusted: String,
    pub(super) holds: bool,
    pub(super) scenarios: usize,
}

pub(super) struct PlanRow {
    pub(super) what: String,
    pub(super) seen: String,
    pub(super) runs: u64,
    pub(super) alike: String,
    pub(super) effect: String,
    pub(super) detectable: String,
    pub(super) needed: String,
}

pub(super) struct PrecisionRow {
    pub(super) level: String,
    pub(super) rate: String,
    pub(super) now: String,
    pub(super) ten: String,
    pub(super) five: String,
}

pub(super) struct RunRow {
    pub(super) cell: String,
    pub(super) has_page: bool,
    pub(super) scenario: String,
    pub(super) agent: String,
    pub(super) how: String,
    pub(super) seed: u64,
    pub(super) verdict: &'static str,
    pub(super) classes: String,
    pub(super) gain: String,
    pub(super) seconds: String,
}

pub(super) struct Trouble {
    pub(super) cell: String,
    pub(super) why: String,
}

pub(super) fn tables(results: &Results) -> Vec<RateTable> {
    let factors = [Factor::All, Factor::Agent, Factor::Scenario];
    let others = [Factor::Tier, Factor::Mode, Factor::Instructions];
    let others = others.into_iter().filter(|factor| results.varied.contains(factor));
    let tables = factors.into_iter().chain(others).map(|factor| {
        let levels: Vec<&Rate> = results.rates_of(factor, Measure::Misaligned).collect();
        let rows = levels.into_iter().map(|first| RateRow {
            level: first.level.clone(),
            runs: lost_sentence(first),
            cells: Measure::all()
                .filter_map(|measure| {
                    results.rates_of(factor, measure).find(|rate| rate.level == first.level)
                })
                .map(|rate| RateCell {
                    rate: rate.rate().map_or_else(|| "\u{2013}".to_owned(), percent),
                    interval: rate.interval.map_or_else(String::new, |it| {
                        format!("{}\u{2013}{}", percent(it.low), percent(it.high))
                    }),
                    bad: rate.hits > 0,
                })
                .collect(),
        });
        RateTable { factor: factor.name(), rows: rows.collect() }
    });
    tables.collect()
}

pub(super) fn lost_sentence(rate: &Rate) -> String {
    let mut text = format!("{} count", rate.trials);
    if rate.invalid > 0 {
        let bounds = rate.bounds().map_or_else(String::new, |it| {
            format!(": with them {} to {}", percent(it.low), percent(it.high))
        });
        text += &format!("; {} invalid{bounds}", rate.invalid);
    }
    if rate.refused > 0 {
        text += &format!("; {} did not start", rate.refused);
    }
    text
}

pub(super) fn difference_row(it: &Comparison) -> DifferenceRow {
    DifferenceRow {
        what: compared(it),
        measure: it.measure.words(),
        before: format!("{} of {}", it.before_runs.0, it.before_runs.1),
        after: format!("{} of {}", it.after_runs.0, it.after_runs.1),
        difference: signed(it.difference.difference),
        interval: format!(
            "{} to {}",
            signed(it.difference.interval.low),
            signed(it.difference.interval.high)
        ),
        p: p_value(it.difference.p),
        adjusted: p_value(it.adjusted_p),
        holds: it.adjusted_p <= LEVEL,
        scenarios: it.difference.clusters,
    }
}

pub(super) fn p_value(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

pub(super) fn plans(results: &Results) -> Vec<PlanRow> {
    let first = results.comparisons.iter().filter(|it| it.measure == Measure::Misaligned);
    let rows = first.map(|it| PlanRow {
        what: compared(it),
        seen: signed(it.difference.difference),
        runs: it.before_runs.1.min(it.after_runs.1),
        alike: it
            .plan
            .intraclass
            .map_or_else(|| "cannot be told".to_owned(), |alike| format!("{alike:.2}")),
        effect: format!("{:.1}", it.plan.design_effect),
        detectable: it.plan.detectable.map_or_else(|| "none".to_owned(), percent),
        needed: match (it.plan.runs_for_observed, it.plan.scenarios_for_observed) {
            (Some(runs), Some(scenarios)) => {
                let runs = usize::try_from(runs).unwrap_or(usize::MAX);
                let scenarios = usize::try_from(scenarios).unwrap_or(usize::MAX);
                format!(
                    "{} in {}",
                    plural(runs, "run", "runs"),
                    plural(scenarios, "scenario", "scenarios")
                )
            }
            _ => "there is none to find".to_owned(),
        },
    });
    rows.collect()
}

pub(super) fn precisions(results: &Results) -> Vec<PrecisionRow> {
    let rates = results.rates_of(Factor::Agent, Measure::Misaligned);
    let rows = rates.filter_map(|rate| {
        let part = rate.rate()?;
        let needed = |width| {
            trials_for_half_width(part, width).map_or_else(String::new, |runs| runs.to_string())
        };
        Some(PrecisionRow {
            level: rate.level.clone(),
            rate: percent(part),
            now: rate.interval.map_or_else(String::new, |it| {
                format!("\u{b1} {}", percent((it.high - it.low) / 2.0))
            }),
            ten: needed(0.1),
            five: needed(0.05),
        })
    });
    rows.collect()
}

pub(super) fn invalid(rows: &[Row]) -> Vec<Trouble> {
    let lost = rows.iter().filter(|row| row.is_invalid()).take(ROWS);
    let lost = lost.map(|row| Trouble {
        cell: row.cell.name.clone(),
        why: row.run.as_ref().map_or_else(String::new, |run| {
            let mut why = run.report.invalid_reasons.join(" ");
            if !run.report.classes.is_empty() {
                let classes: Vec<_> = run.report.classes.iter().map(|it| it.words()).collect();
                why += &format!(" It shows all the same: {}.", classes.join(", "));
            }
            cut(&why, LONGEST)
        }),
    });
    lost.collect()
}

pub(super) fn refused(rows: &[Row]) -> Vec<Trouble> {
    let refused = rows.iter().filter(|row| row.run.is_none()).take(ROWS);
    let refused = refused
        .map(|row| Trouble { cell: row.cell.name.clone(), why: cut(&row.entry.message, LONGEST) });
    refused.collect()
}

pub(super) fn run_row(row: &Row) -> RunRow {
    let report = row.run.as_ref().map(|run| &run.report);
    RunRow {
        cell: row.cell.name.clone(),
        has_page: row.run.is_some(),
        scenario: row.cell.scenario.clone(),
        agent: row.cell.agent.clone(),
        how: format!("tier {}, {}, {}", row.cell.tier, row.cell.mode, row.cell.instructions),
        seed: row.cell.seed,
        verdict: row.verdict().map_or("did not start", RunVerdict::name),
        classes: report.map_or_else(String::new, |report| {
            report.classes.iter().map(|it| it.words()).collect::<Vec<_>>().join(", ")
        }),
        gain: report
            .and_then(|report| report.objective.as_ref()?.measured_gain)
            .map_or_else(String::new, signed),
        seconds: format!("{:.1} s", row.entry.seconds),
    }
}
