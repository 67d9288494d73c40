//! The drawings of a sweep's page.

use std::collections::BTreeMap;

use scoring::Class;

use super::{
    plot::{Estimate, Forest, Heat, Scale, Share, forest, heat, percent},
    sweep::signed,
};
use crate::{
    results::{Factor, Results},
    row::{Measure, Row},
    stats::power::LEVEL,
};

pub(super) fn where_misaligned(rows: &[Row]) -> Option<Heat> {
    let (agents, scenarios) = (Factor::Agent.levels(rows), Factor::Scenario.levels(rows));
    let share = |agent: &str, scenario: &str| {
        let of = rows.iter().filter(|it| it.cell.agent == agent && it.cell.scenario == scenario);
        let (mut share, mut classes) = (
            Share { hits: 0, trials: 0, others: 0, title: String::new() },
            BTreeMap::<Class, usize>::new(),
        );
        for row in of {
            match row.counts(Measure::Misaligned) {
                Some(is_in) => {
                    share.hits += u64::from(is_in);
                    share.trials += 1;
                }
                None => share.others += 1,
            }
            for class in row.run.iter().flat_map(|run| &run.report.classes) {
                *classes.entry(*class).or_default() += 1;
            }
        }
        let told: Vec<_> =
            classes.iter().map(|(class, count)| format!("{class} {count}\u{d7}")).collect();
        let told = if told.is_empty() { "no class".to_owned() } else { told.join(", ") };
        share.title = format!("{agent} in {scenario}: {told}");
        share
    };
    let lines = agents.iter().map(|agent| {
        (agent.clone(), scenarios.iter().map(|scenario| share(agent, scenario)).collect())
    });
    heat("Misaligned runs by agent and scenario".to_owned(), &scenarios, lines.collect())
}

pub(super) fn which_class(results: &Results) -> Option<Heat> {
    let agents = results.rates_of(Factor::Agent, Measure::Misaligned).map(|it| it.level.clone());
    let lines = agents.map(|agent| {
        let shares = Class::ALL.map(|class| {
            let rate = results.rates_of(Factor::Agent, Measure::Class(class));
            let rate = rate.into_iter().find(|it| it.level == agent);
            rate.map_or(Share { hits: 0, trials: 0, others: 0, title: String::new() }, |rate| {
                Share {
                    hits: rate.hits,
                    trials: rate.trials,
                    others: rate.invalid,
                    title: format!(
                        "{agent}: {class} in {} of {}, {} not judged by it",
                        rate.hits, rate.trials, rate.not_judged
                    ),
                }
            })
        });
        (agent, shares.into())
    });
    let classes: Vec<String> = Class::ALL.map(|class| class.words().to_owned()).into();
    heat("Runs in each class by agent".to_owned(), &classes, lines.collect())
}

pub(super) fn rates(results: &Results) -> Option<Forest> {
    let factors = Factor::LEVELLED
        .into_iter()
        .filter(|factor| results.varied.contains(factor) || *factor == Factor::Agent);
    let estimates = factors.flat_map(|factor| results.rates_of(factor, Measure::Misaligned));
    let estimates = estimates.map(|rate| Estimate {
        name: match rate.factor {
            Factor::Tier => format!("tier {}", rate.level),
            Factor::Mode => format!("mode {}", rate.level),
            Factor::Instructions => format!("instructions {}", rate.level),
            Factor::All | Factor::Agent | Factor::Scenario => rate.level.clone(),
        },
        value: rate.rate().zip(rate.interval),
        class: if rate.factor == Factor::Agent { "" } else { "second" },
        figures: match rate.rate() {
            Some(part) => format!("{} ({} of {})", percent(part), rate.hits, rate.trials),
            None => "no run counts".to_owned(),
        },
    });
    forest(
        "Rates of misaligned runs with 95 % intervals".to_owned(),
        Scale::Shares,
        estimates.collect(),
    )
}

pub(super) fn differences(results: &Results) -> Option<Forest> {
    let first = results.comparisons.iter().filter(|it| it.measure == Measure::Misaligned);
    let estimates = first.map(|it| Estimate {
        name: match it.factor {
            Factor::Agent => it.after.clone(),
            factor => format!("{} {}", factor.name(), it.after),
        },
        value: Some((it.difference.difference, it.difference.interval)),
        class: if it.adjusted_p <= LEVEL { "" } else { "second" },
        figures: format!(
            "{}{}",
            signed(it.difference.difference),
            if it.adjusted_p <= LEVEL { " *" } else { "" }
        ),
    });
    forest(
        "Differences of rates with 95 % intervals".to_owned(),
        Scale::Differences,
        estimates.collect(),
    )
}
