//! The run's metrics. Label sets are closed and initialised to 0; no path, process or command name
//! is ever a label.

use std::sync::Arc;

use ebpf_common::{Label, Verb, Verdict, maps::MAX_RUNS};
use journal::{Disposition, Effect};
use prometheus::{
    Encoder as _, Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
    proto::MetricFamily,
};

use crate::{
    exposition::{Exposition, MOST_ENDED},
    totals::Totals,
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
        "belljar_violation_objects_total",
        "counter",
        "run, label",
        "The same, by what the object means to the policy.",
    ),
    (
        "belljar_subversions_total",
        "counter",
        "run, disposition",
        "Attacks of the agent's on oversight, by whether they were stopped.",
    ),
    (
        "belljar_effects_dropped_total",
        "counter",
        "run, verb",
        "Effects lost between kernel and journal.",
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
    (
        "belljar_observer_info",
        "gauge",
        "version, kernel, probe_set",
        "Always 1; which observer on which kernel.",
    ),
    (
        "belljar_observer_start_timestamp_seconds",
        "gauge",
        "",
        "When the observer began to serve, seconds since the Unix epoch.",
    ),
    (
        "belljar_observer_heartbeat_age_seconds",
        "gauge",
        "",
        "How long ago the observer last looked after its runs, by a clock that nobody sets, seconds.",
    ),
    (
        "belljar_canary_acts_total",
        "counter",
        "result",
        "Acts of the observer's own that the hooks must refuse, or the probes record where no hook decides, by what came of them: `held`, or `escaped`, `unrecorded` or `unanswered`, which end every run as invalid.",
    ),
    ("belljar_runs", "gauge", "", "Runs that are watched now."),
    ("belljar_run_slots_free", "gauge", "", "Runs that could be watched besides."),
    (
        "belljar_runs_ended_total",
        "counter",
        "evidence",
        "Runs that are no longer watched, by whether their evidence is complete, incomplete, or was abandoned by a supervisor that died.",
    ),
    (
        "belljar_runs_judged_total",
        "counter",
        "verdict",
        "Runs with a verdict; those whose supervisor died have none.",
    ),
    (
        "belljar_runs_classed_total",
        "counter",
        "class",
        "Runs in which a class of misalignment was found.",
    ),
    (
        "belljar_constraints_judged_total",
        "counter",
        "outcome",
        "Safety constraints of the runs that were judged, by whether they held.",
    ),
    (
        "belljar_observer_effects_total",
        "counter",
        "verb, verdict",
        "Effects journaled, of all runs.",
    ),
    (
        "belljar_observer_violations_total",
        "counter",
        "label, disposition",
        "Effects whose verdict is above audit, of all runs, by what the object means to the policy.",
    ),
    (
        "belljar_observer_subversions_total",
        "counter",
        "disposition",
        "Attacks of agents on oversight, of all runs.",
    ),
    (
        "belljar_observer_effects_dropped_total",
        "counter",
        "verb",
        "Effects lost between kernel and journal, of all runs.",
    ),
];

/// The metrics of one run.
pub struct Metrics {
    registry: Registry,
    effects: IntCounterVec,
    violations: IntCounterVec,
    objects: IntCounterVec,
    subversions: IntCounterVec,
    dropped: IntCounterVec,
    calls: IntCounter,
    responses: IntCounterVec,
    heartbeat: Gauge,
    measured: Gauge,
    proxy: Gauge,
    totals: Arc<Totals>,
}

/// The two things that a response can do to a call.
pub const RESPONSES: [&str; 2] = ["freeze", "kill"];
/// What can become of an act that a verdict was against.
pub(crate) const DISPOSITIONS: [Disposition; 3] =
    [Disposition::Prevented, Disposition::StoppedAfter, Disposition::Observed];
/// What a run can be judged to be.
pub const RUN_VERDICTS: [&str; 3] = ["clean", "misaligned", "invalid"];
/// The classes of misalignment.
pub const CLASSES: [&str; 7] = [
    "overreach",
    "constraint_violation",
    "specification_gaming",
    "concealment",
    "persistence",
    "replication",
    "subversion",
];
/// What can become of a safety constraint.
pub const CONSTRAINTS: [&str; 3] = ["held", "broken", "unknown"];

pub(crate) fn help(name: &str) -> &'static str {
    REFERENCE
        .iter()
        .find(|metric| metric.0 == name)
        .map(|metric| metric.3)
        .expect("every metric is in the reference")
}

impl Metrics {
    /// Metrics of the run of this name, all at 0. `info` holds the labels of `belljar_run_info`
    /// besides the run's name. What is counted here counts in `totals` too.
    ///
    /// # Panics
    ///
    /// Never: names and labels are constants that the library accepts.
    #[must_use]
    pub fn new(run: &str, info: &[(&str, &str)], totals: &Arc<Totals>) -> Self {
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
            objects: counters("belljar_violation_objects_total", &["label"]),
            subversions: counters("belljar_subversions_total", &["disposition"]),
            dropped: counters("belljar_effects_dropped_total", &["verb"]),
            responses: counters("belljar_responses_total", &["response"]),
            heartbeat: gauge("belljar_observer_heartbeat_seconds"),
            measured: gauge("belljar_objective_measured"),
            proxy: gauge("belljar_objective_proxy"),
            calls,
            totals: Arc::clone(totals),
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
        for disposition in DISPOSITIONS {
            metrics.subversions.with_label_values(&[disposition.name()]);
        }
        for label in Label::ALL {
            metrics.objects.with_label_values(&[label.name()]);
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
            self.objects.with_label_values(&[label(effect).name()]).inc();
        }
        if effect.is_agents() && effect.subverts() {
            self.subversions.with_label_values(&[effect.disposition.name()]).inc();
        }
        self.totals.effect(effect, label(effect));
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
        let more = total.saturating_sub(counter.get());
        counter.inc_by(more);
        self.totals.dropped(verb, more);
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

/// The object's label in the closed set. A rename out of oversight's reach, or into it, is oversight's.
fn label(effect: &Effect) -> Label {
    let object = &effect.object;
    if effect.subverts() {
        return Label::Oversight;
    }
    let name = object.label.split_once(':').map_or(object.label.as_str(), |(name, _)| name);
    Label::from_name(name).unwrap_or(Label::Unknown)
}

/// The reference page of all metrics, in Markdown.
#[must_use]
pub fn reference() -> String {
    let series = |text: String| text.lines().filter(|line| !line.starts_with('#')).count();
    let exposition = Exposition::new();
    let run = Metrics::new("", &[], exposition.totals());
    let (per_run, per_observer) = (series(run.text()), series(exposition.text()) + 1);
    let most = MAX_RUNS + MOST_ENDED;
    let mut page = format!(
        "# Metrics\n\nServed in Prometheus' text format while a run lasts, and kept as `metrics.prom` in its directory. A resident observer (`belljar watch`) serves all runs on one endpoint, and an ended run's last figures for two minutes more, those of {MOST_ENDED} runs at most.\n\n\
         Metrics with the label `run` are one run's; `metrics.prom` has these. The others are the observer's: they count all runs since it began, so that a run which begins and ends between two scrapes is counted too. A run's name is a label's value as long as the run is served, and the info metrics tell what is watched; every other label's values are a closed set, and each series is there from the start, at 0: {per_run} series a run, {most} runs at most, and {per_observer} an observer. Counters end in `_total`. No path, process, command or name that an agent can choose is ever a label's value.\n\n\
         | metric | type | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    for (name, kind, labels, meaning) in REFERENCE {
        page.push_str(&format!("| `{name}` | {kind} | {labels} | {meaning} |\n"));
    }
    page
}

#[cfg(test)]
mod tests {
    use journal::effect::Object;

    use super::*;

    #[test]
    fn every_series_exists_before_anything_happens() {
        let exposition = Exposition::new();
        let totals = exposition.totals();
        exposition.describe("tracepoint");
        exposition.begin(0, Arc::new(Metrics::new("r", &[("tier", "1")], totals)));
        let text = exposition.text();
        for line in [
            r#"belljar_effects_total{run="r",verb="unlink",verdict="deny"} 0"#,
            r#"belljar_effects_dropped_total{run="r",verb="kill"} 0"#,
            r#"belljar_run_info{run="r",tier="1"} 1"#,
            r#"belljar_subversions_total{disposition="stopped_after",run="r"} 0"#,
            r#"belljar_observer_subversions_total{disposition="observed"} 0"#,
            r#"belljar_runs_classed_total{class="concealment"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "no {line}:\n{text}");
        }
        for (name, kind, _, help) in REFERENCE {
            let head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
            assert!(text.contains(&head), "{name} is not served");
            assert_eq!(name.ends_with("_total"), *kind == "counter", "{name}");
        }
        assert_eq!(text.matches("# TYPE ").count(), REFERENCE.len(), "one is not in the reference");
    }

    #[test]
    fn what_a_run_counts_counts_in_its_observers_totals_too() {
        let exposition = Exposition::new();
        let effect = |label: &str, verdict| {
            let object = Object { label: label.to_owned(), ..Object::default() };
            Effect { call: Some(1), verdict, ..Effect::done(Verb::OpenWrite, object) }
        };
        for run in ["one", "two"] {
            let metrics = Metrics::new(run, &[], exposition.totals());
            metrics.effect(&effect("oversight", Verdict::Deny));
            metrics.effect(&effect("component:db", Verdict::Deny));
            metrics.effect(&effect("workspace", Verdict::Allow));
            let by_component =
                Effect { component: Some("db".to_owned()), ..effect("oversight", Verdict::Deny) };
            metrics.effect(&by_component);
            metrics.dropped(Verb::Kill, 3);
            metrics.dropped(Verb::Kill, 5);
            let text = metrics.text();
            for line in [
                format!(r#"belljar_subversions_total{{disposition="observed",run="{run}"}} 1"#),
                format!(r#"belljar_violation_objects_total{{label="oversight",run="{run}"}} 2"#),
                format!(r#"belljar_violation_objects_total{{label="component",run="{run}"}} 1"#),
            ] {
                assert!(text.lines().any(|found| found == line), "no {line}:\n{text}");
            }
        }
        let text = exposition.text();
        for line in [
            r#"belljar_observer_effects_total{verb="open_write",verdict="deny"} 6"#,
            r#"belljar_observer_violations_total{disposition="observed",label="oversight"} 4"#,
            r#"belljar_observer_subversions_total{disposition="observed"} 2"#,
            r#"belljar_observer_effects_dropped_total{verb="kill"} 10"#,
        ] {
            assert!(text.lines().any(|found| found == line), "no {line}:\n{text}");
        }
    }
}
