//! What one endpoint serves: the runs that are watched, those that ended a little while ago, what was
//! counted of all of them, and the observer's own state.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use prometheus::{
    Encoder as _, Gauge, IntCounterVec, IntGauge, Opts, Registry, TextEncoder, proto::MetricFamily,
};

use crate::{
    canary::CanaryResult,
    metrics::{Metrics, help},
    totals::Totals,
};

/// How long the last figures of a run are served after its end: long enough for a scrape or two.
const AFTERGLOW: Duration = Duration::from_secs(120);
/// How many ended runs are served at most.
pub(crate) const MOST_ENDED: usize = 64;

/// How the watch over a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The evidence is complete.
    Complete,
    /// It is not.
    Incomplete,
    /// The supervisor went away first.
    Abandoned,
}

impl End {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Complete, Self::Incomplete, Self::Abandoned];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Abandoned => "abandoned",
        }
    }
}

/// What is served.
pub struct Exposition {
    registry: Registry,
    totals: Arc<Totals>,
    watched: IntGauge,
    free: IntGauge,
    ended: IntCounterVec,
    canary: IntCounterVec,
    age: Gauge,
    beat: Mutex<Instant>,
    runs: Mutex<Runs>,
}

#[derive(Default)]
struct Runs {
    live: BTreeMap<u32, Arc<Metrics>>,
    ended: VecDeque<(Instant, Arc<Metrics>)>,
}

impl Default for Exposition {
    fn default() -> Self {
        Self::new()
    }
}

impl Exposition {
    /// Serves no run yet. Its observer is alive by now.
    ///
    /// # Panics
    ///
    /// Never: names and labels are constants that the library accepts.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let options = |name: &str| Opts::new(name, help(name));
        let count = |name: &str| {
            let gauge = IntGauge::with_opts(options(name)).expect("a valid metric");
            registry.register(Box::new(gauge.clone())).expect("registered once");
            gauge
        };
        let gauge = |name: &str| {
            let gauge = Gauge::with_opts(options(name)).expect("a valid metric");
            registry.register(Box::new(gauge.clone())).expect("registered once");
            gauge
        };
        // A clock before 1970 is no worse than another wrong one.
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        gauge("belljar_observer_start_timestamp_seconds").set(start.as_secs_f64());
        let counters = |name: &str, label: &str, values: &[&str]| {
            let counters = IntCounterVec::new(options(name), &[label]).expect("a valid metric");
            registry.register(Box::new(counters.clone())).expect("registered once");
            for value in values {
                counters.with_label_values(&[*value]);
            }
            counters
        };
        let ended = counters("belljar_runs_ended_total", "evidence", &End::ALL.map(End::name));
        let results = CanaryResult::ALL.map(CanaryResult::name);
        let canary = counters("belljar_canary_acts_total", "result", &results);
        Self {
            totals: Totals::new(),
            watched: count("belljar_runs"),
            free: count("belljar_run_slots_free"),
            ended,
            canary,
            age: gauge("belljar_observer_heartbeat_age_seconds"),
            beat: Mutex::new(Instant::now()),
            runs: Mutex::default(),
            registry,
        }
    }

    /// What is counted of all runs.
    #[must_use]
    pub fn totals(&self) -> &Arc<Totals> {
        &self.totals
    }

    /// Serves which observer this is, from now on. Only the first call counts.
    ///
    /// # Panics
    ///
    /// Never: names and labels are ones that the library accepts.
    pub fn describe(&self, probe_set: &str) {
        let kernel = nix::sys::utsname::uname().ok();
        let kernel = kernel.map(|names| names.release().to_string_lossy().into_owned());
        let options = Opts::new("belljar_observer_info", help("belljar_observer_info"))
            .const_label("version", env!("CARGO_PKG_VERSION"))
            .const_label("kernel", kernel.unwrap_or_default())
            .const_label("probe_set", probe_set);
        let info = IntGauge::with_opts(options).expect("a valid metric");
        info.set(1);
        // A second one is refused.
        let _ = self.registry.register(Box::new(info));
    }

    /// Notes that the observer looks after its runs, and how many more it could watch.
    pub fn beat(&self, free: usize) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.free.set(i64::try_from(free).unwrap_or(i64::MAX));
    }

    /// Counts an act of the canary's.
    pub fn tried(&self, result: CanaryResult) {
        self.canary.with_label_values(&[result.name()]).inc();
    }

    /// Serves a run from now on.
    pub fn begin(&self, slot: u32, metrics: Arc<Metrics>) {
        let mut runs = self.runs();
        runs.live.insert(slot, metrics);
        self.watched.set(i64::try_from(runs.live.len()).unwrap_or(i64::MAX));
    }

    /// Serves the last figures of a run a little longer.
    pub fn end(&self, slot: u32, end: End) {
        let mut runs = self.runs();
        if let Some(metrics) = runs.live.remove(&slot) {
            self.ended.with_label_values(&[end.name()]).inc();
            runs.ended.push_back((Instant::now(), metrics));
        }
        self.watched.set(i64::try_from(runs.live.len()).unwrap_or(i64::MAX));
    }

    /// All of it in Prometheus' text format.
    ///
    /// # Panics
    ///
    /// Never: encoding into memory does not fail.
    #[must_use]
    pub fn text(&self) -> String {
        let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
        let mut add = |gathered: Vec<MetricFamily>| {
            for mut family in gathered {
                match families.get_mut(family.name()) {
                    Some(known) => known.mut_metric().extend(family.take_metric()),
                    None => drop(families.insert(family.name().to_owned(), family)),
                }
            }
        };
        // Computed here and not by the observer: one that stands still grows old.
        let beat = *self.beat.lock().unwrap_or_else(PoisonError::into_inner);
        self.age.set(beat.elapsed().as_secs_f64());
        add(self.registry.gather());
        add(self.totals.gather());
        {
            let mut runs = self.runs();
            runs.ended.retain(|(since, _)| since.elapsed() < AFTERGLOW);
            while runs.ended.len() > MOST_ENDED {
                runs.ended.pop_front();
            }
            for metrics in runs.live.values().chain(runs.ended.iter().map(|(_, ended)| ended)) {
                add(metrics.gather());
            }
        }
        let families: Vec<MetricFamily> = families.into_values().collect();
        let mut bytes = Vec::new();
        TextEncoder::new().encode(&families, &mut bytes).expect("memory is enough");
        String::from_utf8(bytes).expect("the format is UTF-8")
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_runs_share_one_family_a_metric_also_when_one_has_ended() {
        let exposition = Exposition::new();
        for (slot, run) in [(0, "one"), (1, "two")] {
            exposition.begin(slot, Arc::new(Metrics::new(run, &[], exposition.totals())));
        }
        exposition.end(0, End::Complete);
        let text = exposition.text();
        assert_eq!(text.matches("# TYPE belljar_effects_total ").count(), 1);
        for line in [
            r#"belljar_effects_total{run="one",verb="kill",verdict="deny"} 0"#,
            r#"belljar_effects_total{run="two",verb="kill",verdict="deny"} 0"#,
            "belljar_runs 1",
            r#"belljar_runs_ended_total{evidence="complete"} 1"#,
            r#"belljar_runs_ended_total{evidence="incomplete"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "no {line}:\n{text}");
        }
    }

    #[test]
    fn ended_runs_are_bounded() {
        let exposition = Exposition::new();
        for run in 0..200 {
            let metrics = Metrics::new(&format!("r{run}"), &[], exposition.totals());
            exposition.begin(0, Arc::new(metrics));
            exposition.end(0, End::Complete);
        }
        assert_eq!(exposition.text().matches("belljar_calls_total{").count(), MOST_ENDED);
    }

    #[test]
    fn an_observer_that_stands_still_grows_old_and_one_that_beats_does_not() {
        let exposition = Exposition::new();
        let age = |text: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with("belljar_observer_heartbeat_age"));
            line.and_then(|line| line.split_once(' ')).unwrap().1.parse().unwrap()
        };
        let long_ago = Instant::now().checked_sub(Duration::from_secs(7)).unwrap();
        *exposition.beat.lock().unwrap() = long_ago;
        assert!(age(&exposition.text()) >= 7.0);
        exposition.beat(3);
        let text = exposition.text();
        assert!(age(&text) < 7.0);
        assert!(text.contains("\nbelljar_run_slots_free 3\n"), "{text}");
    }
}
