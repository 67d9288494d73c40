//! The run's metrics. Label sets are closed and initialised to 0; no path, process or command name
//! is ever a label.

use ebpf_common::{Verb, Verdict};
use journal::{Disposition, Effect};
use prometheus::{
    Encoder as _, Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
    proto::MetricFamily,
};

/// Name, kind, labels and help of every metric, for the reference page.
pub const REFERENCE: &[(&str, &str, &str, &str)] = &[
    (
        "belljar_run_info",
        "gauge",
        "run, scenario, tier, mode, probe_set",
        "Always 1; what is watched.",
    ),
    ("belljar_effects_total", "counter", "run, verb, verdict", "Effects journaled."),
    (
        "belljar_violations_total",
        "counter",
        "run, verb, disposition",
        "Effects whose verdict is above audit, by whether they were stopped.",
    ),
    (
        "belljar_effects_dropped_total",
        "counter",
        "run, verb",
        "Effects lost between kernel and journal.",
    ),
    ("belljar_runs", "gauge", "", "Runs that are watched now."),
    (
        "belljar_runs_ended_total",
        "counter",
        "evidence",
        "Runs that are no longer watched, by whether their evidence is complete, incomplete, or was abandoned by a supervisor that died.",
    ),
    ("belljar_calls_total", "counter", "run", "Tool calls begun."),
    ("belljar_responses_total", "counter", "run, response", "Calls frozen or killed."),
    (
        "belljar_observer_heartbeat_seconds",
        "gauge",
        "run",
        "CLOCK_BOOTTIME of the observer's last heartbeat, seconds.",
    ),
    (
        "belljar_objective_measured",
        "gauge",
        "run",
        "The objective by the independent measure, in the scenario's unit.",
    ),
    (
        "belljar_objective_proxy",
        "gauge",
        "run",
        "The objective as the system reports it, in the scenario's unit.",
    ),
];

/// The metrics of one run.
pub struct Metrics {
    registry: Registry,
    effects: IntCounterVec,
    violations: IntCounterVec,
    dropped: IntCounterVec,
    calls: IntCounter,
    responses: IntCounterVec,
    heartbeat: Gauge,
    measured: Gauge,
    proxy: Gauge,
}

/// The two things that a response can do to a call.
pub const RESPONSES: [&str; 2] = ["freeze", "kill"];
const DISPOSITIONS: [Disposition; 3] =
    [Disposition::Prevented, Disposition::StoppedAfter, Disposition::Observed];

pub(crate) fn help(name: &str) -> &'static str {
    REFERENCE
        .iter()
        .find(|metric| metric.0 == name)
        .map(|metric| metric.3)
        .expect("every metric is in the reference")
}

impl Metrics {
    /// Metrics of the run of this name, all at 0. `info` holds the labels of `belljar_run_info`
    /// besides the run's name.
    ///
    /// # Panics
    ///
    /// Never: names and labels are constants that the library accepts.
    #[must_use]
    pub fn new(run: &str, info: &[(&str, &str)]) -> Self {
        let registry = Registry::new();
        let options = |name: &str| Opts::new(name, help(name)).const_label("run", run);
        let counters = |name: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(options(name), labels).expect("a valid metric");
            registry.register(Box::new(counters.clone())).expect("registered once");
            counters
        };
        let gauge = |name: &str| {
            let gauge = Gauge::with_opts(options(name)).expect("a valid metric");
            registry.register(Box::new(gauge.clone())).expect("registered once");
            gauge
        };
        let mut about = options("belljar_run_info");
        for (name, value) in info {
            about = about.const_label(*name, *value);
        }
        let about = IntGauge::with_opts(about).expect("a valid metric");
        about.set(1);
        registry.register(Box::new(about)).expect("registered once");
        let calls = IntCounter::with_opts(options("belljar_calls_total")).expect("a valid metric");
        registry.register(Box::new(calls.clone())).expect("registered once");
        let metrics = Self {
            effects: counters("belljar_effects_total", &["verb", "verdict"]),
            violations: counters("belljar_violations_total", &["verb", "disposition"]),
            dropped: counters("belljar_effects_dropped_total", &["verb"]),
            responses: counters("belljar_responses_total", &["response"]),
            heartbeat: gauge("belljar_observer_heartbeat_seconds"),
            measured: gauge("belljar_objective_measured"),
            proxy: gauge("belljar_objective_proxy"),
            calls,
            registry,
        };
        for verb in Verb::ALL {
            for verdict in Verdict::ALL {
                metrics.effects.with_label_values(&[verb.name(), verdict.name()]);
            }
            for disposition in DISPOSITIONS {
                metrics.violations.with_label_values(&[verb.name(), disposition.name()]);
            }
            metrics.dropped.with_label_values(&[verb.name()]);
        }
        for response in RESPONSES {
            metrics.responses.with_label_values(&[response]);
        }
        metrics
    }

    /// Counts an effect.
    pub fn effect(&self, effect: &Effect) {
        let (verb, verdict) = (effect.verb.name(), effect.verdict.name());
        self.effects.with_label_values(&[verb, verdict]).inc();
        if effect.verdict.is_violation() {
            self.violations.with_label_values(&[verb, effect.disposition.name()]).inc();
        }
    }

    /// Counts a call.
    pub fn call(&self) {
        self.calls.inc();
    }

    /// Counts a response, one of [`RESPONSES`].
    pub fn response(&self, response: &str) {
        self.responses.with_label_values(&[response]).inc();
    }

    /// Brings the number of a verb's lost effects up to date.
    pub fn dropped(&self, verb: Verb, total: u64) {
        let counter = self.dropped.with_label_values(&[verb.name()]);
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    /// Notes a heartbeat.
    pub fn heartbeat(&self, boot_ns: u64) {
        self.heartbeat.set(boot_ns as f64 / 1e9);
    }

    /// Notes a window of the objective.
    pub fn objective(&self, proxy: Option<f64>, measured: f64) {
        self.measured.set(measured);
        self.proxy.set(proxy.unwrap_or(f64::NAN));
    }

    /// All metrics.
    #[must_use]
    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// All metrics in Prometheus' text format.
    ///
    /// # Panics
    ///
    /// Never: encoding into memory does not fail.
    #[must_use]
    pub fn text(&self) -> String {
        let mut bytes = Vec::new();
        TextEncoder::new().encode(&self.gather(), &mut bytes).expect("memory is enough");
        String::from_utf8(bytes).expect("the format is UTF-8")
    }
}

/// The reference page of all metrics, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics\n\nServed in Prometheus' text format while a run lasts, and kept as `metrics.prom` in its directory. A resident observer (`belljar watch`) serves all runs on one endpoint, and an ended run's last figures for two minutes more, those of 64 runs at most.\n\n\
         | metric | type | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    for (name, kind, labels, meaning) in REFERENCE {
        page.push_str(&format!("| `{name}` | {kind} | {labels} | {meaning} |\n"));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_exists_before_anything_happens() {
        let text = Metrics::new("r", &[("tier", "1")]).text();
        assert!(text.contains(r#"belljar_effects_total{run="r",verb="unlink",verdict="deny"} 0"#));
        assert!(text.contains(r#"belljar_effects_dropped_total{run="r",verb="kill"} 0"#));
        assert!(text.contains(r#"belljar_run_info{run="r",tier="1"} 1"#));
        // Counts of runs are not a run's.
        for (name, ..) in
            REFERENCE.iter().filter(|(_, _, labels, _)| labels.contains("run,") || *labels == "run")
        {
            assert!(text.contains(&format!("# TYPE {name} ")), "{name} is not served");
        }
    }
}
