//! How well scores tell two kinds apart.
//!
//! Equal scores are never put into an order: a threshold takes all of them or none, and in the area
//! under the curve each such pair counts half.

use super::proportion::{CONFIDENCE, Interval, normal_quantile, wilson};

/// One score, and whether it is of the kind to be found.
pub type Scored = (f64, bool);

/// A point of the curve: what is found when everything from `threshold` on is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The threshold; above every score at the first point.
    pub threshold: f64,
    /// What is found rightly.
    pub hits: u64,
    /// False alarms.
    pub alarms: u64,
}

/// The curve: a point for each different score, from nothing found to everything.
#[must_use]
pub fn curve(scored: &[Scored]) -> Vec<Point> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut points = vec![Point { threshold: f64::INFINITY, hits: 0, alarms: 0 }];
    let (mut hits, mut alarms) = (0, 0);
    for equal in sorted.chunk_by(|a, b| a.0 == b.0) {
        hits += equal.iter().filter(|(_, is_one)| *is_one).count() as u64;
        alarms += equal.iter().filter(|(_, is_one)| !*is_one).count() as u64;
        points.push(Point { threshold: equal[0].0, hits, alarms });
    }
    points
}

/// How many there are of the kind to be found, and of the other.
#[must_use]
pub fn kinds(scored: &[Scored]) -> (u64, u64) {
    let ones = scored.iter().filter(|(_, is_one)| *is_one).count() as u64;
    (ones, scored.len() as u64 - ones)
}

/// The area under the curve: how likely one of the kind to be found has the greater score, a tie
/// counting half. `None` where one of the kinds is missing.
#[must_use]
pub fn area(scored: &[Scored]) -> Option<f64> {
    let (ones, others) = kinds(scored);
    if ones == 0 || others == 0 {
        return None;
    }
    let mut area = 0.0;
    for pair in curve(scored).windows(2) {
        let width = (pair[1].alarms - pair[0].alarms) as f64;
        area += width * (pair[0].hits + pair[1].hits) as f64 / 2.0;
    }
    Some(area / (ones as f64 * others as f64))
}

/// Newcombe's score interval for the area (method 5 of Statistics in Medicine 25, 2006, 559–573), at 95 %.
///
/// It is not empty where the area is 1 or 0, as that of DeLong is.
#[must_use]
pub fn area_interval(area: f64, ones: u64, others: u64) -> Option<Interval> {
    if ones == 0 || others == 0 {
        return None;
    }
    let (m, n) = (ones as f64, others as f64);
    let z = normal_quantile(0.5 + CONFIDENCE / 2.0);
    let size = f64::midpoint(m, n) - 1.0;
    let distance = |at: f64| {
        let spread = 1.0 + size * ((1.0 - at) / (2.0 - at) + at / (1.0 + at));
        z * (at * (1.0 - at) * spread / (m * n)).sqrt()
    };
    // On either side the distance that is allowed meets the one that there is exactly once.
    let meet = |mut near: f64, mut far: f64| {
        for _ in 0..200 {
            let middle = f64::midpoint(near, far);
            if (area - middle).abs() <= distance(middle) { near = middle } else { far = middle }
        }
        near
    };
    Some(Interval { low: meet(area, 0.0), high: meet(area, 1.0) })
}

/// What is found with at most so many false alarms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operating {
    /// The point of the curve.
    pub point: Point,
    /// Of the kind to be found, the part that is.
    pub recall: f64,
    /// Its Wilson interval.
    pub recall_interval: Interval,
    /// Of the other kind, the part that is found: at most what was allowed, and mostly less.
    pub false_alarms: f64,
    /// Its Wilson interval.
    pub false_alarms_interval: Interval,
}

/// The point of the curve that finds most with a part of at most `allowed` false alarms. Nothing is put
/// between two points: no threshold is there.
#[must_use]
pub fn at_false_alarms(scored: &[Scored], allowed: f64) -> Option<Operating> {
    let (ones, others) = kinds(scored);
    let recalled = |point: &Point| wilson(point.hits, ones);
    let points = curve(scored);
    let fits =
        points.iter().take_while(|point| point.alarms as f64 <= allowed * others as f64 + 1e-9);
    // Of the points that find as much, the strictest: the others only add false alarms.
    let most = fits.clone().map(|point| point.hits).max()?;
    let point = *fits.clone().find(|point| point.hits == most)?;
    Some(Operating {
        point,
        recall: point.hits as f64 / ones.max(1) as f64,
        recall_interval: recalled(&point)?,
        false_alarms: point.alarms as f64 / others.max(1) as f64,
        false_alarms_interval: wilson(point.alarms, others)?,
    })
}

/// The median and its interval by order statistics, which holds whatever the distribution. With fewer than
/// six values no interval reaches 95 %.
#[must_use]
pub fn median(values: &[f64]) -> Option<(f64, Option<Interval>)> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if sorted.is_empty() {
        return None;
    }
    sorted.sort_by(f64::total_cmp);
    let number = sorted.len();
    let median = f64::midpoint(sorted[(number - 1) / 2], sorted[number / 2]);
    // The greatest number of values that may be cut off at each end.
    let mut cut = None;
    let (mut term, mut sum) = (0.5_f64.powi(i32::try_from(number).unwrap_or(i32::MAX)), 0.0);
    for at in 0..number.div_ceil(2) {
        sum += term;
        if sum > (1.0 - CONFIDENCE) / 2.0 {
            break;
        }
        cut = Some(at);
        term *= (number - at) as f64 / (at + 1) as f64;
    }
    let interval = cut.map(|cut| Interval { low: sorted[cut], high: sorted[number - 1 - cut] });
    Some((median, interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_are_taken_together() {
        let scored = [(0.9, true), (0.5, true), (0.5, false), (0.1, false)];
        let counts: Vec<_> = curve(&scored).iter().map(|it| (it.hits, it.alarms)).collect();
        assert_eq!(counts, [(0, 0), (1, 0), (2, 1), (2, 2)]);
        assert_eq!(area(&scored), Some(0.875));
        assert_eq!(area(&[(0.5, true), (0.5, false)]), Some(0.5));
        assert_eq!(area(&[(0.5, true)]), None);
    }

    #[test]
    fn no_threshold_is_invented_between_two_scores() {
        let scored = [(0.9, true), (0.5, true), (0.5, false), (0.1, false)];
        let found = at_false_alarms(&scored, 0.4).unwrap();
        assert_eq!((found.point.threshold, found.recall, found.false_alarms), (0.9, 0.5, 0.0));
        assert_eq!(at_false_alarms(&scored, 0.5).unwrap().recall, 1.0);
        let nothing = at_false_alarms(&[(0.5, true), (0.5, false)], 0.1).unwrap();
        assert_eq!((nothing.recall, nothing.point.threshold), (0.0, f64::INFINITY));
    }

    #[test]
    fn the_interval_of_a_perfect_area_is_not_empty() {
        let interval = area_interval(1.0, 6, 4).unwrap();
        assert_eq!(interval.high, 1.0);
        assert!(interval.low > 0.5 && interval.low < 0.9, "{interval:?}");
    }
}
