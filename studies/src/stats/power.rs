//! How many runs the next sweep needs.

use super::proportion::{normal_cdf, normal_quantile};

/// The level of tests.
pub const LEVEL: f64 = 0.05;
/// The power that is planned for.
pub const POWER: f64 = 0.8;

/// Cohen's effect size of two proportions.
#[must_use]
pub fn effect_size(one: f64, other: f64) -> f64 {
    2.0 * one.clamp(0.0, 1.0).sqrt().asin() - 2.0 * other.clamp(0.0, 1.0).sqrt().asin()
}

/// The power of the two-sided test of two proportions with so many independent runs a side.
#[must_use]
pub fn power(effect: f64, runs: f64) -> f64 {
    let z = normal_quantile(1.0 - LEVEL / 2.0);
    let shift = effect.abs() * (runs / 2.0).sqrt();
    normal_cdf(shift - z) + normal_cdf(-shift - z)
}

/// Independent runs a side that the test needs for this effect; `None` for none at all.
#[must_use]
pub fn runs_for(effect: f64) -> Option<u64> {
    if effect.abs() < 1e-9 {
        return None;
    }
    // Found by bisection, since the lower tail counts as well.
    let (mut low, mut high) = (0_u64, 1_u64 << 40);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if power(effect, middle as f64) >= POWER { high = middle } else { low = middle }
    }
    Some(high)
}

/// The least other proportion, further from `one` towards the middle, that so many independent runs a
/// side would find.
#[must_use]
pub fn detectable(one: f64, runs: f64) -> Option<f64> {
    let towards = if one <= 0.5 { 1.0 } else { 0.0 };
    if power(effect_size(one, towards), runs) < POWER {
        return None;
    }
    let (mut near, mut far) = (one, towards);
    for _ in 0..60 {
        let middle = f64::midpoint(near, far);
        if power(effect_size(one, middle), runs) >= POWER { far = middle } else { near = middle }
    }
    Some((far - one).abs())
}

/// So many clusters the permutation test of [`super::clusters`] needs before its p-value can reach the level.
#[must_use]
pub fn least_clusters() -> u64 {
    (1..).find(|clusters| 2.0 / 2_f64.powi(*clusters) <= LEVEL).map_or(u64::MAX, |it| it as u64)
}

/// By how much fewer independent runs so many are that come in clusters: the design effect.
#[must_use]
pub fn design_effect(intraclass: f64, runs_a_cluster: f64) -> f64 {
    1.0 + (runs_a_cluster - 1.0).max(0.0) * intraclass.clamp(0.0, 1.0)
}
