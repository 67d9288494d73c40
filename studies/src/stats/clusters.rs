//! Differences of two proportions where trials come in clusters: runs of one scenario are alike.
//!
//! The interval is that of the percentile bootstrap that draws whole clusters; the p-value that of the
//! permutation test that swaps both sides within whole clusters. With few clusters both go through
//! every possibility instead of drawing at random.

use super::{Random, proportion::Interval};

/// How often is drawn at random where there are too many possibilities.
pub const DRAWS: usize = 20_000;
/// So many clusters can be drawn in too many ways to go through all.
const MOST_BOOTSTRAPPED: usize = 8;
/// So many clusters can be swapped in too many ways.
const MOST_SWAPPED: usize = 16;
/// The seed of what is drawn: the same figures give the same answer.
const SEED: u64 = 0x6265_6c6c_6a61_7200;

/// The trials of two sides in one cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Hits and trials of the one side.
    pub before: (u64, u64),
    /// Hits and trials of the other.
    pub after: (u64, u64),
}

/// A difference of two proportions.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Difference {
    /// The other side's proportion less the one side's, over the clusters that have both.
    pub difference: f64,
    /// The bootstrap's interval.
    pub interval: Interval,
    /// The permutation test's p-value, two-sided.
    pub p: f64,
    /// The least p-value that so many clusters can have.
    pub least_p: f64,
    /// Clusters that have trials of both sides.
    pub clusters: usize,
}

/// The difference over those clusters that have trials of both sides; `None` where none has.
#[must_use]
pub fn difference(clusters: &[Cluster]) -> Option<Difference> {
    let both: Vec<Cluster> =
        clusters.iter().copied().filter(|it| it.before.1 > 0 && it.after.1 > 0).collect();
    if both.is_empty() {
        return None;
    }
    let observed = pooled(both.iter().map(|cluster| (1.0, *cluster)));
    let (p, least_p) = swap_test(&both, observed);
    Some(Difference {
        difference: observed,
        interval: bootstrap(&both),
        p,
        least_p,
        clusters: both.len(),
    })
}

fn pooled(weighted: impl Iterator<Item = (f64, Cluster)>) -> f64 {
    let (mut before, mut after) = ((0.0, 0.0), (0.0, 0.0));
    for (weight, cluster) in weighted {
        before.0 += weight * cluster.before.0 as f64;
        before.1 += weight * cluster.before.1 as f64;
        after.0 += weight * cluster.after.0 as f64;
        after.1 += weight * cluster.after.1 as f64;
    }
    after.0 / after.1 - before.0 / before.1
}

fn bootstrap(clusters: &[Cluster]) -> Interval {
    let mut draws: Vec<(f64, f64)> = Vec::new();
    if clusters.len() <= MOST_BOOTSTRAPPED {
        let mut counts = vec![0; clusters.len()];
        every_draw(clusters, &mut counts, 0, clusters.len(), &mut draws);
    } else {
        let mut random = Random::new(SEED);
        for _ in 0..DRAWS {
            let drawn = (0..clusters.len()).map(|_| (1.0, clusters[random.below(clusters.len())]));
            draws.push((pooled(drawn), 1.0));
        }
    }
    draws.sort_by(|a, b| a.0.total_cmp(&b.0));
    Interval { low: quantile(&draws, 0.025), high: quantile(&draws, 0.975) }
}

/// Every way to draw as many clusters as there are, with the number of orders in which it comes.
fn every_draw(
    clusters: &[Cluster],
    counts: &mut [usize],
    at: usize,
    left: usize,
    draws: &mut Vec<(f64, f64)>,
) {
    if at + 1 == counts.len() {
        counts[at] = left;
        let orders = counts
            .iter()
            .fold(factorial(clusters.len()), |orders, count| orders / factorial(*count));
        let weighted = counts.iter().zip(clusters).map(|(count, it)| (*count as f64, *it));
        draws.push((pooled(weighted), orders));
        return;
    }
    for count in 0..=left {
        counts[at] = count;
        every_draw(clusters, counts, at + 1, left - count, draws);
    }
}

fn factorial(number: usize) -> f64 {
    (1..=number).map(|factor| factor as f64).product()
}

/// The least value up to which at least this part of the weight lies.
fn quantile(sorted: &[(f64, f64)], part: f64) -> f64 {
    let whole: f64 = sorted.iter().map(|(_, weight)| weight).sum();
    let mut sum = 0.0;
    for (value, weight) in sorted {
        sum += weight;
        // Weights are whole numbers: what rounding takes from the product is far below one.
        if sum >= part * whole - 1e-6 {
            return *value;
        }
    }
    sorted.last().map_or(f64::NAN, |(value, _)| *value)
}

/// The part of all swaps that part the sides at least as far; and the least that this can be.
fn swap_test(clusters: &[Cluster], observed: f64) -> (f64, f64) {
    // Different orders of summation must not make a swap look milder than the one that was seen.
    let is_as_far = |difference: f64| difference.abs() >= observed.abs() - 1e-12;
    let swapped = |cluster: &Cluster, swap: bool| {
        let other = Cluster { before: cluster.after, after: cluster.before };
        (1.0, if swap { other } else { *cluster })
    };
    if clusters.len() <= MOST_SWAPPED {
        let ways = 1_u32 << clusters.len();
        let far = (0..ways).filter(|way| {
            let swaps = clusters.iter().enumerate();
            is_as_far(pooled(swaps.map(|(at, cluster)| swapped(cluster, way >> at & 1 == 1))))
        });
        let ways = f64::from(ways);
        return (far.count() as f64 / ways, 2.0_f64.min(ways) / ways);
    }
    let mut random = Random::new(SEED);
    let far = (0..DRAWS).filter(|_| {
        is_as_far(pooled(clusters.iter().map(|cluster| swapped(cluster, random.coin()))))
    });
    // The arrangement that was seen is one of them.
    let draws = DRAWS as f64;
    ((far.count() as f64 + 1.0) / (draws + 1.0), 1.0 / (draws + 1.0))
}

/// How alike trials of one cluster are: the intraclass correlation by analysis of variance, for hits and
/// trials by cluster. `None` where it cannot be estimated; one below 0 counts as 0.
#[must_use]
pub fn intraclass(clusters: &[(u64, u64)]) -> Option<f64> {
    let clusters: Vec<(f64, f64)> =
        clusters.iter().filter(|it| it.1 > 0).map(|it| (it.0 as f64, it.1 as f64)).collect();
    let number = clusters.len() as f64;
    let trials: f64 = clusters.iter().map(|it| it.1).sum();
    let hits: f64 = clusters.iter().map(|it| it.0).sum();
    if clusters.len() < 2 || trials <= number {
        return None;
    }
    let mean = hits / trials;
    let between: f64 = clusters.iter().map(|(hits, n)| n * (hits / n - mean).powi(2)).sum();
    let within: f64 = clusters.iter().map(|(hits, n)| hits * (1.0 - hits / n)).sum();
    let (between, within) = (between / (number - 1.0), within / (trials - number));
    let squares: f64 = clusters.iter().map(|it| it.1 * it.1).sum();
    let size = (trials - squares / trials) / (number - 1.0);
    let whole = between + (size - 1.0) * within;
    (whole > 0.0).then(|| ((between - within) / whole).clamp(0.0, 1.0))
}
