//! The measure: load, windows, proxy and watches of one run, on a thread of their own.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use journal::scenario::{Baseline, Constraint, Phase, Sample};
use nix::{
    dir::Dir,
    fcntl::OFlag,
    sys::stat::Mode,
    time::{ClockId, clock_gettime},
};

use crate::{
    affinity,
    definition::{ConstraintEntry, Durations, Probe},
    load::{Load, LoadTotals, Plan},
    stage::{AUDIT_LOG, METRICS, Stage, Started, constraint},
    status,
    watch::{ComponentWatch, Finding, LogWatch},
};

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

/// A run could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// The thread could not be started.
    #[error("cannot start the measure's thread")]
    Thread {
        /// Why not.
        source: io::Error,
    },
    /// Something to be watched could not be opened.
    #[error("cannot open {what}")]
    Open {
        /// What.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A constraint's component is not among the started ones.
    #[error("component {0:?} has not been started")]
    NotStarted(String),
    /// No answer was right in the whole baseline.
    #[error(
        "the backend gave no right answer in the baseline ({failed} requests failed, {wrong} answers were wrong)"
    )]
    NoAnswers {
        /// Requests without an answer.
        failed: u64,
        /// Wrong answers.
        wrong: u64,
    },
    /// The measure was cancelled.
    #[error("the measure was cancelled")]
    Cancelled,
}

/// What a whole measure came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The scenario's constraints, probed before anything was taken down.
    pub constraints: Vec<Constraint>,
    /// What the load came to.
    pub load: LoadTotals,
    /// False where the last measure was cut short by [`Meter::cancel`].
    pub complete: bool,
}

/// A measure under way. It is steered from any thread.
pub struct Meter {
    control: Arc<Control>,
    thread: JoinHandle<Outcome>,
}

/// What the measure and those who steer it share.
#[derive(Default)]
struct Control {
    finish: AtomicBool,
    cancel: AtomicBool,
    baseline: Mutex<Option<Result<Baseline, MeterError>>>,
    baseline_done: Condvar,
}

impl Control {
    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    fn finishing(&self) -> bool {
        self.finish.load(Ordering::Relaxed) || self.cancelled()
    }

    fn announce(&self, baseline: Result<Baseline, MeterError>) {
        *self.baseline.lock().expect("nobody panics with the lock") = Some(baseline);
        self.baseline_done.notify_all();
    }
}

impl Stage {
    /// Starts load, measure and watches; `None` where the scenario has no load. Call it when
    /// [`Self::wait_healthy`] has returned. Each window goes to `sink`, on the measure's thread.
    ///
    /// # Errors
    ///
    /// [`MeterError`] if something cannot be opened or was not started.
    pub fn start_meter(
        &self,
        started: &[Started],
        sink: impl FnMut(&Sample) + Send + 'static,
    ) -> Result<Option<Meter>, MeterError> {
        let (Some(service), Some(load)) = (&self.service, &self.scenario.load) else {
            return Ok(None);
        };
        let now = Instant::now();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let status = Dir::open(&service.status, flags, Mode::empty()).map_err(|errno| {
            MeterError::Open { what: "the metrics file's directory", source: errno.into() }
        })?;
        let watches = self
            .scenario
            .constraints
            .iter()
            .map(|entry| {
                let watch = match &entry.probe {
                    Probe::ComponentAlive { component } => {
                        let started = started
                            .iter()
                            .find(|started| started.name == *component)
                            .ok_or_else(|| MeterError::NotStarted(component.clone()))?;
                        Watch::Component(ComponentWatch::new(component, started.tgid, now))
                    }
                    Probe::AuditLogKept => Watch::Log(
                        LogWatch::open(&service.data, AUDIT_LOG, now)
                            .map_err(|source| MeterError::Open { what: "the audit log", source })?,
                    ),
                };
                Ok((entry.clone(), watch))
            })
            .collect::<Result<Vec<_>, MeterError>>()?;
        let plan = Plan {
            address: service.address,
            rate_per_second: load.rate_per_second,
            connections: load.connections,
            request_rounds: service.request_rounds,
            seed: service.seed,
        };
        let control = Arc::new(Control::default());
        let measure = Measure {
            control: Arc::clone(&control),
            durations: self.scenario.durations,
            status,
            watches,
            looked: now,
            sink: Box::new(sink),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| MeterError::Thread { source })?;
        let thread = std::thread::Builder::new()
            .name("measure".to_owned())
            .spawn(move || {
                if let Some(cpu) = affinity::components() {
                    // Without it the measure is less steady, but still right.
                    let _ = affinity::keep_off_components(cpu);
                }
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, measure.run(plan))
            })
            .map_err(|source| MeterError::Thread { source })?;
        Ok(Some(Meter { control, thread }))
    }
}

impl Meter {
    /// Waits for the baseline: settling and baseline take as long as the scenario says. Everything
    /// measured from then on belongs to the agent's part of the run. Can be called once.
    ///
    /// # Errors
    ///
    /// [`MeterError::NoAnswers`] and [`MeterError::Cancelled`].
    pub fn baseline(&self) -> Result<Baseline, MeterError> {
        let mut baseline = self.control.baseline.lock().expect("nobody panics with the lock");
        loop {
            if let Some(baseline) = baseline.take() {
                return baseline;
            }
            if self.thread.is_finished() {
                return Err(MeterError::Cancelled);
            }
            let wait = Duration::from_millis(200);
            baseline = self
                .control
                .baseline_done
                .wait_timeout(baseline, wait)
                .expect("nobody panics with the lock")
                .0;
        }
    }

    /// Ends the measure soon: a waiting [`Self::baseline`] returns, and [`Self::finish`] only probes
    /// the constraints.
    pub fn cancel(&self) {
        self.control.cancel.store(true, Ordering::Relaxed);
    }

    /// A handle that cancels, for a signal's handler.
    pub fn canceller(&self) -> impl Fn() + Send + Sync + 'static {
        let control = Arc::clone(&self.control);
        move || control.cancel.store(true, Ordering::Relaxed)
    }

    /// Measures once more, for as long as the scenario says, then probes the constraints. Call it
    /// after the agent's last act and before anything is taken down.
    ///
    /// # Panics
    ///
    /// If the measure's thread has panicked, as when `sink` has.
    #[must_use]
    pub fn finish(self) -> Outcome {
        self.control.finish.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Something that is watched for a constraint.
enum Watch {
    Component(ComponentWatch),
    Log(LogWatch),
}

impl Watch {
    fn look(&mut self, now: Instant) {
        match self {
            Self::Component(watch) => watch.look(now),
            Self::Log(watch) => watch.look(now),
        }
    }

    fn finding(&mut self, load: &LoadTotals) -> Finding {
        match self {
            Self::Component(watch) => watch.finding(),
            Self::Log(watch) => watch.finding(load.validated),
        }
    }

    fn is_unsure_since(&self, then: Instant) -> bool {
        match self {
            Self::Component(watch) => watch.is_unsure_since(then),
            Self::Log(_) => false,
        }
    }
}

/// The measure, as its thread knows it.
struct Measure {
    control: Arc<Control>,
    durations: Durations,
    status: Dir,
    watches: Vec<(ConstraintEntry, Watch)>,
    looked: Instant,
    sink: Box<dyn FnMut(&Sample) + Send>,
}

impl Measure {
    async fn run(mut self, plan: Plan) -> Outcome {
        let load = Load::start(plan);
        let control = Arc::clone(&self.control);
        let Durations { settle_seconds, baseline_seconds, final_seconds, .. } = self.durations;

        self.pass(Duration::from_secs_f64(settle_seconds), || control.cancelled()).await;
        let baseline = Duration::from_secs_f64(baseline_seconds);
        let samples =
            self.measure(&load, Phase::Baseline, Some(baseline), || control.cancelled()).await;
        control.announce(summary(&samples, &load.totals(), control.cancelled()));

        self.measure(&load, Phase::Run, None, || control.finishing()).await;
        self.pass(LAST_SETTLE, || control.cancelled()).await;
        let last = Duration::from_secs_f64(final_seconds);
        self.measure(&load, Phase::Final, Some(last), || control.cancelled()).await;
        self.last_look(&load).await
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
        load: &Load,
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
        let _ = load.next_window();
        while windows.is_none_or(|windows| samples.len() < windows) {
            end = (end + window).max(Instant::now() + window / 2);
            while Instant::now() < end {
                if stop() {
                    return samples;
                }
                self.wait(end).await;
            }
            let figures = load.next_window();
            let patient = patient_until.is_none_or(|until| end < until);
            if figures.held_up >= window.mul_f64(HELD_UP) && patient {
                tracing::debug!(?figures, "left out a window in which the load was held up");
                continue;
            }
            let sample = Sample {
                boot_ns: boot_ns(),
                phase,
                proxy: status::proxy(&self.status, METRICS),
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
        for (_, watch) in &mut self.watches {
            watch.look(now);
        }
    }

    /// Looks until every component has been seen working after this moment, or has had its chance.
    async fn last_look(mut self, load: &Load) -> Outcome {
        let then = Instant::now();
        self.look(then);
        while then.elapsed() < LAST_LOOK
            && self.watches.iter().any(|(_, watch)| watch.is_unsure_since(then))
        {
            self.wait(then + LAST_LOOK).await;
        }
        let totals = load.totals();
        let constraints = self
            .watches
            .iter_mut()
            .map(|(entry, watch)| constraint(entry, watch.finding(&totals)))
            .collect();
        Outcome { constraints, load: totals, complete: !self.control.cancelled() }
    }
}

/// The baseline that windows come to.
fn summary(
    samples: &[Sample],
    totals: &LoadTotals,
    cancelled: bool,
) -> Result<Baseline, MeterError> {
    if cancelled {
        return Err(MeterError::Cancelled);
    }
    let measured = median(samples.iter().map(|sample| sample.measured));
    match measured {
        Some(measured) if measured > 0.0 => Ok(Baseline {
            measured,
            proxy: median(samples.iter().filter_map(|sample| sample.proxy)),
            windows: samples.len() as u32,
        }),
        _ => Err(MeterError::NoAnswers { failed: totals.failed, wrong: totals.wrong }),
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
    fn a_baseline_without_answers_is_an_error() {
        let totals = LoadTotals { failed: 9, ..LoadTotals::default() };
        assert!(matches!(
            summary(&[], &totals, false),
            Err(MeterError::NoAnswers { failed: 9, .. })
        ));
        assert!(matches!(summary(&[], &totals, true), Err(MeterError::Cancelled)));
    }
}
