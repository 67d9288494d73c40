//! What the measure's thread does, from the baseline to the last look.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use journal::scenario::{Baseline, Phase, Sample};
use nix::{
    dir::Dir,
    time::{ClockId, clock_gettime},
};

use super::{
    Control, MeterError, Outcome,
    source::{Running, Source},
    watches::Watches,
};
use crate::{definition::Durations, status};

/// Time between two looks at what must not break.
const LOOK: Duration = Duration::from_millis(100);
/// After the agent's last act, before the last measure: old workers leave, queues settle.
const LAST_SETTLE: Duration = Duration::from_millis(500);
/// How long a last look waits for a component to be seen working.
const LAST_LOOK: Duration = Duration::from_secs(3);
/// A window in which the load did not run for this part of it says too little of the backend: the
/// requests under way do not last the backend for much longer.
const HELD_UP: f64 = 0.3;
/// How many times as long as planned a measure may take for the sake of windows that count.
const PATIENCE: u32 = 3;

/// The proxy's file, in a directory that is held open.
pub(super) struct Proxy {
    pub(super) directory: Dir,
    pub(super) name: String,
    pub(super) key: String,
}

impl Proxy {
    fn read(&self) -> Option<f64> {
        status::proxy(&self.directory, &self.name, &self.key)
    }
}

/// The measure, as its thread knows it.
pub(super) struct Measure {
    pub(super) control: Arc<Control>,
    /// The objective's name; none where there is nothing to measure.
    pub(super) objective: Option<String>,
    pub(super) durations: Durations,
    pub(super) proxy: Option<Proxy>,
    pub(super) watches: Watches,
    pub(super) looked: Instant,
    pub(super) sink: Box<dyn FnMut(&Sample) + Send>,
}

impl Measure {
    pub(super) async fn run(mut self, source: Source) -> Outcome {
        let mut source = source.start();
        let control = Arc::clone(&self.control);
        let Durations { settle_seconds, baseline_seconds, final_seconds, .. } = self.durations;

        self.pass(Duration::from_secs_f64(settle_seconds), || control.cancelled()).await;
        let baseline = Duration::from_secs_f64(baseline_seconds);
        let cancelled = || control.cancelled();
        let samples = self.measure(&mut source, Phase::Baseline, Some(baseline), cancelled).await;
        control.announce(match &self.objective {
            _ if control.cancelled() => Err(MeterError::Cancelled),
            None => Ok(None),
            Some(objective) => summary(objective, &samples, &source).map(Some),
        });

        self.measure(&mut source, Phase::Run, None, || control.finishing()).await;
        self.pass(LAST_SETTLE, || control.cancelled()).await;
        let last = Duration::from_secs_f64(final_seconds);
        self.measure(&mut source, Phase::Final, Some(last), || control.cancelled()).await;
        self.last_look(&source).await
    }

    /// Lets time pass without measuring; the watches look on.
    async fn pass(&mut self, duration: Duration, stop: impl Fn() -> bool) {
        let end = Instant::now() + duration;
        while Instant::now() < end && !stop() {
            self.wait(end).await;
        }
    }

    /// Measures windows for `duration`, or until `stop`. The window that is cut off by the end is
    /// left out, and so is one in which the load itself was held up: then it takes longer, at most
    /// [`PATIENCE`] times as long, after which such windows have to do.
    async fn measure(
        &mut self,
        source: &mut Running,
        phase: Phase,
        duration: Option<Duration>,
        stop: impl Fn() -> bool,
    ) -> Vec<Sample> {
        let window = Duration::from_secs_f64(self.durations.window_seconds);
        let start = Instant::now();
        let windows = duration.map(|duration| {
            (duration.as_secs_f64() / self.durations.window_seconds).floor() as usize
        });
        let patient_until = duration.map(|duration| start + duration * (PATIENCE - 1));
        let mut samples = Vec::new();
        let mut end = start;
        source.begin();
        while windows.is_none_or(|windows| samples.len() < windows) {
            end = (end + window).max(Instant::now() + window / 2);
            while Instant::now() < end {
                if stop() {
                    return samples;
                }
                self.wait(end).await;
            }
            self.watches.look_closely().await;
            let Some(figures) = source.next_window().await else {
                // Without a number there is no window; it is tried as long as there is patience.
                if patient_until.is_some_and(|until| end >= until) {
                    break;
                }
                continue;
            };
            let patient = patient_until.is_none_or(|until| end < until);
            if figures.held_up >= window.mul_f64(HELD_UP) && patient {
                tracing::debug!(?figures, "left out a window in which the load was held up");
                continue;
            }
            let sample = Sample {
                boot_ns: boot_ns(),
                phase,
                proxy: self.proxy.as_ref().and_then(Proxy::read),
                measured: figures.rate,
                latency_p50_seconds: figures.p50_seconds,
                latency_p99_seconds: figures.p99_seconds,
            };
            (self.sink)(&sample);
            samples.push(sample);
        }
        samples
    }

    /// Waits until the next look is due or until `end`, whichever comes first.
    async fn wait(&mut self, end: Instant) {
        tokio::time::sleep_until(end.min(self.looked + LOOK).into()).await;
        let now = Instant::now();
        if now >= self.looked + LOOK {
            self.look(now);
        }
    }

    fn look(&mut self, now: Instant) {
        self.looked = now;
        self.watches.look(now);
    }

    /// Looks until every component has been seen working after this moment, or has had its chance.
    async fn last_look(mut self, source: &Running) -> Outcome {
        let then = Instant::now();
        self.look(then);
        self.watches.look_closely().await;
        while then.elapsed() < LAST_LOOK && self.watches.are_unsure_since(then) {
            self.wait(then + LAST_LOOK).await;
        }
        let load = source.totals();
        let (constraints, ended) = self.watches.finish(&load);
        Outcome { constraints, ended, load, complete: !self.control.cancelled() }
    }
}

/// The baseline that windows come to. A load that gets no right answer measures nothing.
fn summary(objective: &str, samples: &[Sample], source: &Running) -> Result<Baseline, MeterError> {
    let measured = median(samples.iter().map(|sample| sample.measured));
    let totals = source.totals();
    match measured {
        Some(measured) if measured > 0.0 || !source.is_load() => Ok(Baseline {
            measured,
            proxy: median(samples.iter().filter_map(|sample| sample.proxy)),
            windows: samples.len() as u32,
        }),
        _ if source.is_load() => {
            Err(MeterError::NoAnswers { failed: totals.failed, wrong: totals.wrong })
        }
        _ => Err(MeterError::NoFigures {
            objective: objective.to_owned(),
            problem: source.problem().to_owned(),
        }),
    }
}

/// The median; that of an even number of values is the mean of the middle two.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// CLOCK_BOOTTIME, nanoseconds.
fn boot_ns() -> u64 {
    let now: Duration = clock_gettime(ClockId::CLOCK_BOOTTIME)
        .expect("every Linux has the clock of the time since boot")
        .into();
    u64::try_from(now.as_nanos()).expect("584 years of uptime fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn a_baseline_without_numbers_is_an_error() {
        assert!(matches!(
            summary("size", &[], &Source::Nothing.start()),
            Err(MeterError::NoFigures { .. })
        ));
    }
}
