//! Axes: from moments and values to places in a drawing.

use scoring::{Record, Report};

/// Nanoseconds of a second.
const SECOND_NS: f64 = 1e9;

/// The time that a run's record spans, CLOCK_BOOTTIME, nanoseconds. Seconds count from its begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

impl Span {
    /// From the first to the last of samples, calls and effects that the report repeats.
    pub(crate) fn of(report: &Report, record: &Record) -> Self {
        let samples = record.samples.iter().map(|sample| sample.boot_ns);
        let effects = report.notable.iter().map(|effect| effect.boot_ns);
        let calls = report.calls.iter().filter_map(|call| call.start_boot_ns);
        let ends = report.calls.iter().filter_map(|call| {
            Some(call.start_boot_ns?.saturating_add(call.duration_ns.unwrap_or(0)))
        });
        let (mut begin, mut end) = (u64::MAX, 0);
        for moment in samples.chain(effects).chain(calls).chain(ends) {
            begin = begin.min(moment);
            end = end.max(moment);
        }
        if begin > end { Self { begin: 0, end: 0 } } else { Self { begin, end } }
    }

    /// Seconds from the begin to a moment; one before it counts as the begin.
    pub(crate) fn seconds(self, boot_ns: u64) -> f64 {
        boot_ns.saturating_sub(self.begin) as f64 / SECOND_NS
    }

    /// The whole span; never 0, so that it can be divided by.
    pub(crate) fn length(self) -> f64 {
        self.seconds(self.end).max(0.001)
    }
}

/// A moment as a reader counts it.
pub(crate) fn moment(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.3} s") } else { format!("{seconds:.1} s") }
}

/// How long something took.
pub(crate) fn duration(ns: u64) -> String {
    let seconds = ns as f64 / SECOND_NS;
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { moment(seconds) }
}

/// A linear axis from 0 to `limit` over `length` units of a drawing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    limit: f64,
    length: f64,
}

impl Axis {
    pub(crate) fn new(limit: f64, length: f64) -> Self {
        Self { limit: if limit > 0.0 && limit.is_finite() { limit } else { 1.0 }, length }
    }

    /// Where a value lies; what is beyond either end lies at it.
    pub(crate) fn place(self, value: f64) -> f64 {
        (value / self.limit).clamp(0.0, 1.0) * self.length
    }

    /// Round values along the axis, at most `most` and one more.
    pub(crate) fn ticks(self, most: u32) -> Vec<f64> {
        let step = step(self.limit, most);
        // The rounding keeps the last tick where the limit is a multiple of the step.
        let count = (self.limit / step + 1e-9).floor() as u32;
        (0..=count.min(most)).map(|index| f64::from(index) * step).collect()
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that divides `limit` into at most `most` parts.
fn step(limit: f64, most: u32) -> f64 {
    let least = limit / f64::from(most.max(1));
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// The least round limit at or above a value.
pub(crate) fn round_up(value: f64, most: u32) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let step = step(value, most);
    (value / step - 1e-9).ceil() * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_end() {
        assert_eq!(
            Axis::new(40.0, 1.0).ticks(8),
            [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0]
        );
        assert_eq!(Axis::new(33.0, 1.0).ticks(8), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(round_up(812.0, 5), 1000.0);
        assert_eq!(round_up(1000.0, 5), 1000.0);
    }

    #[test]
    fn limits_that_no_axis_can_have_do_no_harm() {
        for limit in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, f64::MAX] {
            let axis = Axis::new(limit, 100.0);
            assert!(axis.ticks(5).len() <= 6, "{limit}");
            assert!((0.0..=100.0).contains(&axis.place(1.0)), "{limit}");
            assert!(round_up(limit, 5) > 0.0, "{limit}");
        }
    }
}
