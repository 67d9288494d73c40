//! The measure: windows, proxy and watches of one run, on a thread of their own.

mod source;
mod thread;
mod watches;

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use journal::scenario::{Baseline, Constraint, Ended, Sample};
use nix::{dir::Dir, fcntl::OFlag, sys::stat::Mode};

use crate::{
    affinity,
    load::LoadTotals,
    stage::{METRICS, PrepareError, Stage, Started},
    status::THROUGHPUT,
};
use source::Source;
use thread::{Measure, Proxy};
use watches::Watches;

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
        what: String,
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
    /// The measure gave no number in the whole baseline.
    #[error("{objective} could not be measured in the baseline: {problem}")]
    NoFigures {
        /// The objective.
        objective: String,
        /// What the measure said instead.
        problem: String,
    },
    /// A text of the scenario's could not be filled in.
    #[error("cannot prepare the measure")]
    Text {
        /// Why not.
        source: PrepareError,
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
    /// Components that had ended by then.
    pub ended: Vec<Ended>,
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
    baseline: Mutex<Option<Result<Option<Baseline>, MeterError>>>,
    baseline_done: Condvar,
}

impl Control {
    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    fn finishing(&self) -> bool {
        self.finish.load(Ordering::Relaxed) || self.cancelled()
    }

    fn announce(&self, baseline: Result<Option<Baseline>, MeterError>) {
        *self.baseline.lock().expect("nobody panics with the lock") = Some(baseline);
        self.baseline_done.notify_all();
    }
}

impl Stage {
    /// Starts load, measure and watches; `None` where the scenario has nothing to look at. Call it
    /// when [`Self::wait_healthy`] has returned. Each window goes to `sink`, on the measure's thread.
    ///
    /// # Errors
    ///
    /// [`MeterError`] if something cannot be opened or was not started.
    pub fn start_meter(
        &self,
        started: &[Started],
        sink: impl FnMut(&Sample) + Send + 'static,
    ) -> Result<Option<Meter>, MeterError> {
        let scenario = &self.scenario;
        if scenario.objective.is_none() && scenario.constraints.is_empty() && started.is_empty() {
            return Ok(None);
        }
        let now = Instant::now();
        let source = Source::new(self)?;
        let control = Arc::new(Control::default());
        let measure = Measure {
            control: Arc::clone(&control),
            objective: scenario
                .objective
                .as_ref()
                .map(|objective| objective.get_ref().name.clone()),
            durations: scenario.durations,
            proxy: self.proxy()?,
            watches: Watches::begin(self, started, now)?,
            looked: now,
            sink: Box::new(sink),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| MeterError::Thread { source })?;
        let has_load = scenario.load.is_some();
        let thread = std::thread::Builder::new()
            .name("measure".to_owned())
            .spawn(move || {
                if let Some(cpu) = affinity::components().filter(|_| has_load) {
                    // Without it the measure is less steady, but still right.
                    let _ = affinity::keep_off_components(cpu);
                }
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, measure.run(source))
            })
            .map_err(|source| MeterError::Thread { source })?;
        Ok(Some(Meter { control, thread }))
    }

    /// What the system says of itself, and where.
    fn proxy(&self) -> Result<Option<Proxy>, MeterError> {
        let Some(objective) = &self.scenario.objective else { return Ok(None) };
        let (path, key) = match (&objective.get_ref().proxy, &self.service) {
            (Some(proxy), _) => (self.root.join(proxy.path.get_ref()), proxy.key.clone()),
            (None, Some(service)) => (service.status.join(METRICS), THROUGHPUT.to_owned()),
            (None, None) => return Ok(None),
        };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let parent = path.parent().unwrap_or(&self.root);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = Dir::open(parent, flags, Mode::empty()).map_err(|errno| {
            MeterError::Open { what: format!("the directory of {name}"), source: errno.into() }
        })?;
        Ok(Some(Proxy { directory, name, key }))
    }
}

impl Meter {
    /// Waits for the baseline: settling and baseline take as long as the scenario says. Everything
    /// measured from then on belongs to the agent's part of the run. None where the scenario has no
    /// objective. Can be called once.
    ///
    /// # Errors
    ///
    /// [`MeterError::NoAnswers`], [`MeterError::NoFigures`] and [`MeterError::Cancelled`].
    pub fn baseline(&self) -> Result<Option<Baseline>, MeterError> {
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
