//! A window of measurement.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Latencies above this are recorded as this, microseconds.
const MAX_LATENCY_MICROS: u64 = 60_000_000;

/// What a window came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    /// Validated answers per second.
    pub(crate) rate: f64,
    /// Median latency; absent without answers.
    pub(crate) p50_seconds: Option<f64>,
    /// 99th percentile of latency; absent without answers.
    pub(crate) p99_seconds: Option<f64>,
    /// Longest time in the window for which the load itself did not run.
    pub(crate) held_up: Duration,
}

/// A window under way.
pub(crate) struct Window {
    began: Instant,
    latencies: Histogram<u64>,
    ran_at: Instant,
    held_up: Duration,
}

impl Window {
    pub(crate) fn begin(now: Instant) -> Self {
        let latencies = Histogram::new_with_bounds(1, MAX_LATENCY_MICROS, 3)
            .expect("1 µs to 60 s with three digits are bounds that a histogram can have");
        Self { began: now, latencies, ran_at: now, held_up: Duration::ZERO }
    }

    /// Counts a validated answer.
    pub(crate) fn answer(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(MAX_LATENCY_MICROS);
        self.latencies.saturating_record(micros);
    }

    /// Notes that the load is running. A load that gets no processor time measures itself and not
    /// the backend.
    pub(crate) fn runs(&mut self, now: Instant) {
        self.held_up = self.held_up.max(now.saturating_duration_since(self.ran_at));
        self.ran_at = now;
    }

    /// Ends the window and begins the next.
    pub(crate) fn next(&mut self, now: Instant) -> Figures {
        let seconds = now.saturating_duration_since(self.began).as_secs_f64();
        let answers = self.latencies.len();
        let quantile = |quantile: f64| {
            (answers > 0).then(|| self.latencies.value_at_quantile(quantile) as f64 / 1e6)
        };
        let rate = if seconds > 0.0 { answers as f64 / seconds } else { 0.0 };
        let figures = Figures {
            rate,
            p50_seconds: quantile(0.5),
            p99_seconds: quantile(0.99),
            held_up: self.held_up,
        };
        self.held_up = Duration::ZERO;
        self.latencies.reset();
        self.began = now;
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_its_rate_and_latencies_and_the_next_begins_empty() {
        let start = Instant::now();
        let mut window = Window::begin(start);
        for millis in 1..=100 {
            window.answer(Duration::from_millis(millis));
        }
        let figures = window.next(start + Duration::from_millis(500));
        assert!((figures.rate - 200.0).abs() < 1e-9);
        assert!((figures.p50_seconds.unwrap() - 0.05).abs() < 0.001);
        assert!((figures.p99_seconds.unwrap() - 0.099).abs() < 0.001);
        let empty = window.next(start + Duration::from_secs(1));
        assert_eq!((empty.rate, empty.p50_seconds, empty.p99_seconds), (0.0, None, None));
    }

    #[test]
    fn the_longest_pause_of_the_load_is_that_of_its_window() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut window = Window::begin(start);
        for millis in [2, 302, 304] {
            window.runs(at(millis));
        }
        assert_eq!(window.next(at(500)).held_up, Duration::from_millis(300));
        window.runs(at(502));
        window.runs(at(504));
        assert_eq!(window.next(at(1000)).held_up, Duration::from_millis(198));
    }

    #[test]
    fn a_latency_beyond_all_bounds_is_counted() {
        let start = Instant::now();
        let mut window = Window::begin(start);
        window.answer(Duration::from_secs(100_000));
        assert!(window.next(start + Duration::from_secs(1)).p99_seconds.unwrap() > 59.0);
    }
}
