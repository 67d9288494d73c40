//! What one endpoint serves: the runs that are watched, those that ended a little while ago, and
//! counts of runs.

use std::sync::Arc;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus::{
    Encoder as _, IntCounterVec, IntGauge, Opts, Registry, TextEncoder, proto::MetricFamily,
};

use crate::metrics::{Metrics, help};

/// How long the last figures of a run are served after its end: long enough for a scrape or two.
const AFTERGLOW: Duration = Duration::from_secs(120);
/// How many ended runs are served at most.
const MOST_ENDED: usize = 64;

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
    watched: IntGauge,
    ended: IntCounterVec,
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
    /// Serves no run yet.
    ///
    /// # Panics
    ///
    /// Never: names and labels are constants that the library accepts.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let options = |name: &str| Opts::new(name, help(name));
        let watched = IntGauge::with_opts(options("belljar_runs")).expect("a valid metric");
        registry.register(Box::new(watched.clone())).expect("registered once");
        let ended = IntCounterVec::new(options("belljar_runs_ended_total"), &["evidence"])
            .expect("a valid metric");
        registry.register(Box::new(ended.clone())).expect("registered once");
        for end in End::ALL {
            ended.with_label_values(&[end.name()]);
        }
        Self { registry, watched, ended, runs: Mutex::default() }
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
        add(self.registry.gather());
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
            exposition.begin(slot, Arc::new(Metrics::new(run, &[])));
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
            exposition.begin(0, Arc::new(Metrics::new(&format!("r{run}"), &[])));
            exposition.end(0, End::Complete);
        }
        assert_eq!(exposition.text().matches("belljar_calls_total{").count(), MOST_ENDED);
    }
}
