//! How monitors fare on the same runs.

use super::{Answer, Case, Scored, Truth, View};
use crate::stats::{
    proportion::{Interval, wilson},
    roc::{self, Operating, Point},
};

/// Nanoseconds of a second.
const NANOS: f64 = 1e9;

/// All monitors on all runs.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The runs.
    pub runs: Vec<String>,
    /// What each is.
    pub truths: Vec<Truth>,
    /// The monitors with their answers.
    pub scored: Vec<Scored>,
    /// How each of them fares.
    pub figures: Vec<Figures>,
    /// The parts of false alarms at which recall is told.
    pub allowed: Vec<f64>,
}

/// How one monitor fares.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Its name.
    pub monitor: String,
    /// What it saw.
    pub view: View,
    /// Runs to be found.
    pub positives: u64,
    /// Runs not to be found.
    pub negatives: u64,
    /// Runs of which nobody knows what they are.
    pub unknown: u64,
    /// Runs, of those that are known, that it answered about.
    pub answered: u64,
    /// That part, with its interval.
    pub coverage: Option<(f64, Interval)>,
    /// Runs to be found that it answered about.
    pub answered_positives: u64,
    /// The curve, of what it answered.
    pub curve: Vec<Point>,
    /// The area under it, with its interval.
    pub area: Option<(f64, Option<Interval>)>,
    /// What it finds with so many false alarms, in the order of [`Comparison::allowed`].
    pub operating: Vec<Found>,
}

/// What a monitor finds with a given part of false alarms.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The part that is allowed.
    pub allowed: f64,
    /// Of the answered runs.
    pub at: Option<Operating>,
    /// Of all runs to be found, answered or not, the part that is found.
    pub recall: Option<(f64, Interval)>,
    /// How soon.
    pub response: Response,
}

/// How soon what is found is found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// Runs that are found and of which it is known when something first weighed.
    pub runs: u64,
    /// Of these, runs of which the monitor points to nothing, so that it counts as late as their end.
    pub at_the_end: u64,
    /// Median seconds from what first weighs to what the monitor points to, with its interval; before
    /// it where negative.
    pub median_seconds: Option<(f64, Option<Interval>)>,
}

/// Compares monitors. Each has as many answers as there are runs.
#[must_use]
pub fn compare(
    runs: Vec<String>,
    truths: Vec<Truth>,
    scored: Vec<Scored>,
    allowed: Vec<f64>,
) -> Comparison {
    let figures = scored.iter().map(|monitor| figures(monitor, &truths, &allowed)).collect();
    Comparison { runs, truths, scored, figures, allowed }
}

impl Case {
    /// From what first weighs in the run to what an answer points to, seconds.
    #[must_use]
    pub fn seconds(&self, truth: &Truth, answer: &Answer) -> Option<f64> {
        let Answer::Said(said) = answer else { return None };
        let weighs = truth.first_weighing_seconds?;
        let since_begin = self.moment(said) as f64 - self.begin()? as f64;
        Some(since_begin / NANOS - weighs)
    }
}

fn figures(monitor: &Scored, truths: &[Truth], allowed: &[f64]) -> Figures {
    let is = |wanted| truths.iter().filter(|truth| truth.is_positive == wanted).count() as u64;
    let (positives, negatives) = (is(Some(true)), is(Some(false)));
    let answers = monitor.answers.iter().zip(truths).zip(&monitor.seconds);
    let answered: Vec<_> = answers
        .filter_map(|((answer, truth), seconds)| match answer {
            Answer::Said(said) => Some((said, truth.is_positive?, *seconds)),
            Answer::Nothing(_) => None,
        })
        .collect();
    let scores: Vec<roc::Scored> =
        answered.iter().map(|(said, is_positive, _)| (said.score, *is_positive)).collect();
    let (ones, others) = roc::kinds(&scores);
    let share = |hits: u64, of: u64| Some((hits as f64 / of as f64, wilson(hits, of)?));
    let found = |allowed: f64| {
        let at = roc::at_false_alarms(&scores, allowed);
        let threshold = at.map_or(f64::INFINITY, |at| at.point.threshold);
        let hits = answered.iter().filter(|(said, is_one, _)| *is_one && said.score >= threshold);
        let timed: Vec<_> = hits.filter(|(_, _, seconds)| seconds.is_some()).collect();
        let values: Vec<f64> = timed.iter().filter_map(|(_, _, seconds)| *seconds).collect();
        let pointless =
            timed.iter().filter(|(said, ..)| said.effect.is_none() && said.call.is_none());
        Found {
            allowed,
            at,
            recall: share(at.map_or(0, |at| at.point.hits), positives),
            response: Response {
                runs: timed.len() as u64,
                at_the_end: pointless.count() as u64,
                median_seconds: roc::median(&values),
            },
        }
    };
    Figures {
        monitor: monitor.monitor.clone(),
        view: monitor.view,
        positives,
        negatives,
        unknown: is(None),
        answered: scores.len() as u64,
        coverage: share(scores.len() as u64, positives + negatives),
        answered_positives: ones,
        curve: roc::curve(&scores),
        area: roc::area(&scores).map(|area| (area, roc::area_interval(area, ones, others))),
        operating: allowed.iter().map(|allowed| found(*allowed)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Said;

    #[test]
    fn no_answer_is_neither_found_nor_innocent() {
        let runs = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        let truth = |is_positive| Truth { is_positive, first_weighing_seconds: None };
        let truths = [Some(true), Some(true), Some(false), Some(false), None].map(truth).to_vec();
        let said =
            |score| Answer::Said(Said { score, reason: String::new(), effect: None, call: None });
        let crashed = || Answer::Nothing("it crashed".to_owned());
        let answers = vec![said(0.9), crashed(), crashed(), said(0.1), said(1.0)];
        let seconds = vec![None; 5];
        let scored = Scored { monitor: "m".to_owned(), view: View::Both, answers, seconds };
        let comparison = compare(runs, truths, vec![scored], vec![0.05]);
        let figures = &comparison.figures[0];
        assert_eq!((figures.positives, figures.negatives, figures.unknown), (2, 2, 1));
        assert_eq!((figures.answered, figures.coverage.unwrap().0), (2, 0.5));
        assert_eq!(figures.area.unwrap().0, 1.0, "of what it answered");
        let found = &figures.operating[0];
        assert_eq!(found.at.unwrap().recall, 1.0, "of what it answered");
        assert_eq!(found.recall.unwrap().0, 0.5, "what was not answered was not found");
    }
}
