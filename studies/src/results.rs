//! What the runs of a sweep come to: rates, differences between levels, and what the next sweep needs.

use std::collections::{BTreeMap, BTreeSet};

use scoring::RunVerdict;

use crate::{
    row::{Measure, Row},
    stats::{
        clusters::{self, Cluster},
        holm, power,
        proportion::{Interval, wilson},
    },
    table::{Column, Datum, Kind, count, text},
};

/// What runs are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Factor {
    /// Nothing: all runs.
    All,
    /// The agent.
    Agent,
    /// The scenario.
    Scenario,
    /// The granted tier.
    Tier,
    /// The mode.
    Mode,
    /// The instructions.
    Instructions,
}

impl Factor {
    /// Those that have levels.
    pub const LEVELLED: [Self; 5] =
        [Self::Agent, Self::Scenario, Self::Tier, Self::Mode, Self::Instructions];

    /// The name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Agent => "agent",
            Self::Scenario => "scenario",
            Self::Tier => "tier",
            Self::Mode => "mode",
            Self::Instructions => "instructions",
        }
    }

    /// Its level in a row.
    #[must_use]
    pub fn level(self, row: &Row) -> String {
        match self {
            Self::All => "all runs".to_owned(),
            Self::Agent => row.cell.agent.clone(),
            Self::Scenario => row.cell.scenario.clone(),
            Self::Tier => row.cell.tier.to_string(),
            Self::Mode => row.cell.mode.clone(),
            Self::Instructions => row.cell.instructions.clone(),
        }
    }

    /// Its levels in the order of the grid.
    #[must_use]
    pub fn levels(self, rows: &[Row]) -> Vec<String> {
        let mut levels: Vec<String> = Vec::new();
        for row in rows {
            let level = self.level(row);
            if !levels.contains(&level) {
                levels.push(level);
            }
        }
        if self == Self::Tier {
            levels.sort();
        }
        levels
    }
}

/// How often runs of one level are in something.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// What the runs are told apart by.
    pub factor: Factor,
    /// The level.
    pub level: String,
    /// What they are in.
    pub measure: Measure,
    /// Runs that are, of those that count.
    pub hits: u64,
    /// Runs that count: complete evidence, and judged by it.
    pub trials: u64,
    /// Runs with incomplete evidence, which do not count.
    pub invalid: u64,
    /// Of these, runs that show it all the same.
    pub invalid_hits: u64,
    /// Runs that say nothing about it.
    pub not_judged: u64,
    /// Cells without a run.
    pub refused: u64,
    /// Wilson's interval; `None` where no run counts.
    pub interval: Option<Interval>,
}

impl Rate {
    /// The rate; `None` where no run counts.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        (self.trials > 0).then(|| self.hits as f64 / self.trials as f64)
    }

    /// Of all runs, the rates that it could be had every run been whole.
    #[must_use]
    pub fn bounds(&self) -> Option<Interval> {
        let runs = (self.trials + self.invalid) as f64;
        (runs > 0.0).then(|| Interval {
            low: (self.hits + self.invalid_hits) as f64 / runs,
            high: (self.hits + self.invalid) as f64 / runs,
        })
    }
}

/// How two levels of a factor differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The factor.
    pub factor: Factor,
    /// The level that is compared with: the first of the grid.
    pub before: String,
    /// The other.
    pub after: String,
    /// What is compared.
    pub measure: Measure,
    /// Hits and trials of the one, over what both have.
    pub before_runs: (u64, u64),
    /// Likewise of the other.
    pub after_runs: (u64, u64),
    /// The difference.
    pub difference: clusters::Difference,
    /// The p-value, adjusted for all comparisons of its family.
    pub adjusted_p: f64,
    /// How many comparisons the family has.
    pub family: usize,
    /// What the next sweep needs.
    pub plan: Plan,
}

/// What the next sweep needs to tell two levels apart, at a level of 0.05 and a power of 0.8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// How alike runs of one scenario are, 0 to 1; the more so of both sides. `None` where it cannot be
    /// told, and they are taken to be wholly alike.
    pub intraclass: Option<f64>,
    /// How many clustered runs are worth one independent run.
    pub design_effect: f64,
    /// The least difference that as many runs as there are would find; `None` for none.
    pub detectable: Option<f64>,
    /// Runs a side for the difference that was seen, in as many runs a scenario as there are, and in no fewer
    /// scenarios than the test needs; `None` for no difference.
    pub runs_for_observed: Option<u64>,
    /// Scenarios that these take.
    pub scenarios_for_observed: Option<u64>,
}

/// All that is told of a sweep.
#[derive(Clone, Debug)]
pub struct Results {
    /// Rates: of all runs, and by each factor that has levels to tell apart, agent and scenario in any
    /// case.
    pub rates: Vec<Rate>,
    /// Differences from the first level of each factor but the scenario, which is what runs are
    /// clustered by.
    pub comparisons: Vec<Comparison>,
    /// Factors with more than one level.
    pub varied: Vec<Factor>,
}

impl Results {
    /// Works them out.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let varied: Vec<Factor> =
            Factor::LEVELLED.into_iter().filter(|factor| is_varied(*factor, rows)).collect();
        let mut rates = Vec::new();
        let told = Factor::LEVELLED.into_iter().filter(|factor| {
            varied.contains(factor) || matches!(factor, Factor::Agent | Factor::Scenario)
        });
        for factor in std::iter::once(Factor::All).chain(told) {
            for level in factor.levels(rows) {
                rates.extend(Measure::all().map(|measure| rate(rows, factor, &level, measure)));
            }
        }
        Self { rates, comparisons: comparisons(rows, &varied), varied }
    }

    /// The rates of a factor and a measure, by level.
    pub fn rates_of(&self, factor: Factor, measure: Measure) -> impl Iterator<Item = &Rate> {
        self.rates.iter().filter(move |it| it.factor == factor && it.measure == measure)
    }
}

/// Whether a factor has several levels. Tiers and instructions that merely come with their scenarios tell
/// nothing that the scenarios do not.
fn is_varied(factor: Factor, rows: &[Row]) -> bool {
    if factor == Factor::Scenario {
        return factor.levels(rows).len() > 1;
    }
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    rows.iter().any(|row| {
        let level = factor.level(row);
        *seen.entry(&row.cell.scenario).or_insert_with(|| level.clone()) != level
    })
}

/// The rate of those rows for which `level` holds.
fn rate(rows: &[Row], factor: Factor, level: &str, measure: Measure) -> Rate {
    let mut rate = Rate {
        factor,
        level: level.to_owned(),
        measure,
        hits: 0,
        trials: 0,
        invalid: 0,
        invalid_hits: 0,
        not_judged: 0,
        refused: 0,
        interval: None,
    };
    for row in rows.iter().filter(|row| factor.level(row) == level) {
        let shows = row.shows(measure);
        match row.verdict() {
            None => rate.refused += 1,
            Some(RunVerdict::Invalid) => {
                rate.invalid += 1;
                rate.invalid_hits += u64::from(shows == Some(true));
            }
            Some(RunVerdict::Clean | RunVerdict::Misaligned) => match shows {
                Some(is_in) => {
                    rate.trials += 1;
                    rate.hits += u64::from(is_in);
                }
                None => rate.not_judged += 1,
            },
        }
    }
    rate.interval = wilson(rate.hits, rate.trials);
    rate
}

fn comparisons(rows: &[Row], varied: &[Factor]) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for &factor in varied.iter().filter(|factor| **factor != Factor::Scenario) {
        let levels = factor.levels(rows);
        let Some((first, others)) = levels.split_first() else { continue };
        for other in others {
            for measure in Measure::all() {
                comparisons.extend(comparison(rows, factor, (first, other), measure));
            }
        }
    }
    // What the sweep asks first is one family, which class it is another.
    for is_first in [true, false] {
        let family: Vec<usize> = (0..comparisons.len())
            .filter(|at| (comparisons[*at].measure == Measure::Misaligned) == is_first)
            .collect();
        let p: Vec<f64> = family.iter().map(|at| comparisons[*at].difference.p).collect();
        for (at, adjusted) in family.iter().zip(holm::adjust(&p)) {
            comparisons[*at].adjusted_p = adjusted;
            comparisons[*at].family = family.len();
        }
    }
    comparisons
}

/// Compares like with like: of each scenario only what both levels have under the same other factors.
fn comparison(
    rows: &[Row],
    factor: Factor,
    (before, after): (&str, &str),
    measure: Measure,
) -> Option<Comparison> {
    let mut strata: BTreeMap<(String, Vec<String>), Cluster> = BTreeMap::new();
    for row in rows {
        let Some(is_in) = row.counts(measure) else { continue };
        let level = factor.level(row);
        let others = Factor::LEVELLED.into_iter().filter(|other| *other != factor);
        let key = (row.cell.scenario.clone(), others.map(|other| other.level(row)).collect());
        let stratum = strata.entry(key).or_default();
        let side = match level.as_str() {
            level if level == before => &mut stratum.before,
            level if level == after => &mut stratum.after,
            _ => continue,
        };
        side.0 += u64::from(is_in);
        side.1 += 1;
    }
    let mut by_scenario: BTreeMap<String, Cluster> = BTreeMap::new();
    for ((scenario, _), stratum) in strata {
        if stratum.before.1 > 0 && stratum.after.1 > 0 {
            let cluster = by_scenario.entry(scenario).or_default();
            let add = |to: &mut (u64, u64), from: (u64, u64)| {
                to.0 += from.0;
                to.1 += from.1;
            };
            add(&mut cluster.before, stratum.before);
            add(&mut cluster.after, stratum.after);
        }
    }
    let clusters: Vec<Cluster> = by_scenario.into_values().collect();
    let difference = clusters::difference(&clusters)?;
    let sum = |side: fn(&Cluster) -> (u64, u64)| {
        clusters.iter().map(side).fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
    };
    let (before_runs, after_runs) = (sum(|it| it.before), sum(|it| it.after));
    Some(Comparison {
        factor,
        before: before.to_owned(),
        after: after.to_owned(),
        measure,
        before_runs,
        after_runs,
        difference,
        adjusted_p: difference.p,
        family: 1,
        plan: plan(&clusters, before_runs, after_runs),
    })
}

fn plan(clusters: &[Cluster], before: (u64, u64), after: (u64, u64)) -> Plan {
    let side = |side: fn(&Cluster) -> (u64, u64)| {
        clusters::intraclass(&clusters.iter().map(side).collect::<Vec<_>>())
    };
    let intraclass = [side(|it| it.before), side(|it| it.after)];
    let intraclass = intraclass.into_iter().flatten().reduce(f64::max);
    let runs = before.1.min(after.1) as f64;
    let a_scenario = (runs / clusters.len().max(1) as f64).max(1.0);
    // Where nobody can tell, another seed may tell nothing new.
    let design_effect = power::design_effect(intraclass.unwrap_or(1.0), a_scenario);
    let rate = |(hits, trials): (u64, u64)| hits as f64 / trials.max(1) as f64;
    let independent = power::runs_for(power::effect_size(rate(before), rate(after)));
    let scenarios = independent.map(|needed| {
        let scenarios = (needed as f64 * design_effect / a_scenario).ceil() as u64;
        scenarios.max(power::least_clusters())
    });
    Plan {
        intraclass,
        design_effect,
        detectable: power::detectable(rate(before), runs / design_effect),
        runs_for_observed: scenarios.map(|it| (it as f64 * a_scenario).ceil() as u64),
        scenarios_for_observed: scenarios,
    }
}

/// Scenarios of the rows.
#[must_use]
pub fn scenarios(rows: &[Row]) -> BTreeSet<&str> {
    rows.iter().map(|row| row.cell.scenario.as_str()).collect()
}

macro_rules! columns {
    ($($name:literal $kind:ident $doc:literal $of:expr;)+) => {
        &[$(Column { name: $name, kind: Kind::$kind, doc: $doc, of: $of }),+]
    };
}

/// The columns of `rates.csv`.
pub const RATE_COLUMNS: &[Column<Rate>] = columns! {
    "factor" Text "what runs are told apart by: `all`, `agent`, `scenario`, `tier`, `mode`, `instructions`" |it| text(it.factor.name());
    "level" Text "its level" |it| text(&it.level);
    "measure" Text "`misaligned`, or a class" |it| text(it.measure.name());
    "hits" Integer "runs that are in it, of those that count" |it| count(it.hits);
    "runs" Integer "runs that count: evidence complete, and judged by it" |it| count(it.trials);
    "rate" Number "`hits` of `runs`" |it| Datum::Number(it.rate());
    "low" Number "lower end of Wilson's interval, 95 %" |it| Datum::Number(it.interval.map(|it| it.low));
    "high" Number "upper end" |it| Datum::Number(it.interval.map(|it| it.high));
    "invalid" Integer "runs with incomplete evidence, not counted" |it| count(it.invalid);
    "invalid_hits" Integer "of these, runs that show it all the same" |it| count(it.invalid_hits);
    "least" Number "the rate of all runs if no invalid run were in it but those that show it" |it| Datum::Number(it.bounds().map(|it| it.low));
    "most" Number "the rate of all runs if every invalid run were in it" |it| Datum::Number(it.bounds().map(|it| it.high));
    "not_judged" Integer "runs that say nothing about it" |it| count(it.not_judged);
    "refused" Integer "cells of which no run started" |it| count(it.refused);
};

/// The columns of `differences.csv`.
pub const COMPARISON_COLUMNS: &[Column<Comparison>] = columns! {
    "factor" Text "the factor" |it| text(it.factor.name());
    "before" Text "the level that is compared with, the first of the grid" |it| text(&it.before);
    "after" Text "the other level" |it| text(&it.after);
    "measure" Text "`misaligned`, or a class" |it| text(it.measure.name());
    "before_hits" Integer "runs of `before` that are in it, over what both levels have" |it| count(it.before_runs.0);
    "before_runs" Integer "runs of `before` that count" |it| count(it.before_runs.1);
    "after_hits" Integer "likewise of `after`" |it| count(it.after_runs.0);
    "after_runs" Integer "likewise" |it| count(it.after_runs.1);
    "difference" Number "rate of `after` less that of `before`" |it| Datum::Number(Some(it.difference.difference));
    "low" Number "lower end of the interval, 95 %: percentile bootstrap of whole scenarios" |it| Datum::Number(Some(it.difference.interval.low));
    "high" Number "upper end" |it| Datum::Number(Some(it.difference.interval.high));
    "p" Number "two-sided p-value: both levels swapped within whole scenarios" |it| Datum::Number(Some(it.difference.p));
    "least_p" Number "the least that so few scenarios allow" |it| Datum::Number(Some(it.difference.least_p));
    "adjusted_p" Number "Holm's, within the family" |it| Datum::Number(Some(it.adjusted_p));
    "family" Integer "comparisons of the family: those of `misaligned` are one, those of classes another" |it| count(it.family as u64);
    "scenarios" Integer "scenarios that have runs of both levels" |it| count(it.difference.clusters as u64);
    "intraclass" Number "how alike runs of one scenario are, 0 to 1; null where it cannot be told, and they are taken to be wholly alike" |it| Datum::Number(it.plan.intraclass);
    "design_effect" Number "how many such runs are worth one independent run" |it| Datum::Number(Some(it.plan.design_effect));
    "detectable" Number "least difference that as many runs find with a power of 0.8" |it| Datum::Number(it.plan.detectable);
    "runs_for_observed" Integer "runs a level that find the difference that was seen with a power of 0.8" |it| Datum::Integer(it.plan.runs_for_observed.and_then(|it| i64::try_from(it).ok()));
    "scenarios_for_observed" Integer "scenarios that these take, with as many runs in each as here" |it| Datum::Integer(it.plan.scenarios_for_observed.and_then(|it| i64::try_from(it).ok()));
};
