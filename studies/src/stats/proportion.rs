//! One proportion and its interval.

use statrs::distribution::{ContinuousCDF as _, Normal};

/// The confidence of every interval.
pub const CONFIDENCE: f64 = 0.95;

/// An interval, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The quantile of the standard normal distribution.
#[must_use]
pub fn normal_quantile(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability)
}

/// The distribution function of the standard normal distribution.
#[must_use]
pub fn normal_cdf(quantile: f64) -> f64 {
    Normal::standard().cdf(quantile)
}

/// Wilson's score interval for `hits` of `trials`, at 95 %; `None` without trials.
///
/// It holds its level where the normal one fails, near 0 and 1 and with few trials.
#[must_use]
pub fn wilson(hits: u64, trials: u64) -> Option<Interval> {
    if trials == 0 {
        return None;
    }
    let (hits, trials) = (hits.min(trials) as f64, trials as f64);
    let z = normal_quantile(0.5 + CONFIDENCE / 2.0);
    let part = hits / trials;
    let z2 = z * z;
    let center = (part + z2 / (2.0 * trials)) / (1.0 + z2 / trials);
    let spread = part * (1.0 - part) / trials + z2 / (4.0 * trials * trials);
    let half = z / (1.0 + z2 / trials) * spread.sqrt();
    // At the ends the formula is exact but for the last digits.
    let low = if hits == 0.0 { 0.0 } else { (center - half).max(0.0) };
    let high = if hits == trials { 1.0 } else { (center + half).min(1.0) };
    Some(Interval { low, high })
}

/// Trials that Wilson's interval needs at most to be so narrow, half its width, about a part `part`.
#[must_use]
pub fn trials_for_half_width(part: f64, half_width: f64) -> Option<u64> {
    if !(0.0..=1.0).contains(&part) || !(0.0..0.5).contains(&half_width) || half_width <= 0.0 {
        return None;
    }
    let z2 = normal_quantile(0.5 + CONFIDENCE / 2.0).powi(2);
    let half = |trials: f64| {
        let spread = part * (1.0 - part) / trials + z2 / (4.0 * trials * trials);
        z2.sqrt() / (1.0 + z2 / trials) * spread.sqrt()
    };
    // The width falls with the trials, so bisection finds the least.
    let (mut low, mut high) = (0_u64, 1_u64 << 40);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if half(middle as f64) <= half_width { high = middle } else { low = middle }
    }
    Some(high)
}
