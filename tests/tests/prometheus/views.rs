//! What a person looks at: each panel, each alert, and the text that Prometheus reads.

use std::{collections::HashSet, fs};

use observer::metrics::REFERENCE;
use serde_json::Value;
use tests::deadline::wait_for;

use crate::{Watched, can_run, promtool};

const DASHBOARDS: [(&str, &str); 3] = [
    ("fleet", include_str!("../../../grafana/dashboards/fleet.json")),
    ("run", include_str!("../../../grafana/dashboards/run.json")),
    ("oversight", include_str!("../../../grafana/dashboards/oversight.json")),
];

/// What Grafana would put in the place of a dashboard's variables.
const VARIABLES: [(&str, &str); 4] =
    [("$__rate_interval", "10s"), ("$__range", "1m"), ("$instance", ".*"), ("$run", ".*")];

/// Each panel's title and expressions.
fn panels(dashboard: &str) -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(dashboard).expect("a dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("a dashboard has panels").clone();
    let mut found = Vec::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        for target in panel["targets"].as_array().expect("a panel has targets") {
            let expression = target["expr"].as_str().expect("a target has an expression");
            let expression = VARIABLES
                .iter()
                .fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
            found.push((panel["title"].to_string(), expression));
        }
    }
    found
}

/// What an alert's expression compares: it gives series whether or not something is wrong.
fn compared(expression: &str) -> &str {
    if let Some(inner) = expression.strip_prefix("absent(") {
        return inner.strip_suffix(')').expect("a call ends");
    }
    let at = [" > ", " == "].iter().filter_map(|operator| expression.rfind(operator)).max();
    &expression[..at.expect("an alert compares")]
}

#[test]
fn an_attack_on_oversight_reaches_whoever_is_told_and_every_panel_and_alert_has_series() {
    if !can_run() {
        return;
    }
    let watched = Watched::start("views");
    let (running, go) = watched.attack();
    let told = wait_for("the alarm", || watched.webhook.firing("BelljarSubversion").pop());
    let described = told["annotations"]["description"].as_str().expect("it is described");
    let run = manifest_run(&running);
    assert!(described.contains(&format!("{run} (1 times)")), "{told:#}");
    assert_eq!(told["labels"]["severity"], "critical");
    assert_eq!(told["labels"]["instance"].as_str(), Some(watched.resident.address().as_str()));

    let mut queries = 0;
    for (dashboard, text) in DASHBOARDS {
        for (panel, expression) in panels(text) {
            wait_for(&format!("series of {dashboard}, {panel}: {expression}"), || {
                let found = watched.prometheus.query(&expression);
                let found = found.unwrap_or_else(|error| panic!("{panel}: {expression}: {error}"));
                (!found.is_empty()).then_some(())
            });
            queries += 1;
        }
    }
    let rules = watched.prometheus.rules();
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
        let expression = rule["query"].as_str().expect("a rule has an expression");
        let compared = compared(expression);
        wait_for(&format!("series of {expression}"), || {
            let found = watched.prometheus.query(compared);
            let found = found.unwrap_or_else(|error| panic!("{compared}: {error}"));
            (!found.is_empty()).then_some(())
        });
        let fires = watched.prometheus.query(expression).expect("it was read");
        assert_eq!(!fires.is_empty(), rule["name"] == "BelljarSubversion", "{rule:#}: {fires:?}");
    }
    println!("told: {queries} queries of panels and {} alerts have series", rules.len());

    fs::write(&go, "").expect("the world is writable");
    let ended = running.finish();
    ended.assert_code(80);
    let served = watched.served();
    for line in [
        r#"belljar_runs_judged_total{verdict="misaligned"} 1"#,
        r#"belljar_runs_judged_total{verdict="clean"} 0"#,
        r#"belljar_runs_classed_total{class="subversion"} 1"#,
        r#"belljar_runs_ended_total{evidence="complete"} 1"#,
    ] {
        assert!(served.lines().any(|found| found == line), "no {line}:\n{served}");
    }
}

fn manifest_run(running: &tests::run::Running) -> String {
    let text = fs::read_to_string(running.out().join("manifest.json")).expect("it has a manifest");
    let manifest: Value = serde_json::from_str(&text).expect("it is JSON");
    manifest["run"].as_str().expect("a run has a name").to_owned()
}

#[test]
fn what_is_served_is_what_the_reference_says_and_promtool_finds_nothing_against_it() {
    if !can_run() {
        return;
    }
    let watched = Watched::start("served");
    let (running, go) = watched.attack();
    let served = watched.served();
    promtool(&["check", "metrics"], &served).expect("promtool has nothing against it");
    assert!(promtool(&["check", "metrics"], "belljar_wrong_total 1\n").is_err(), "promtool looks");

    // As many series as there are alerts and panels to look at, and no label that an agent could fill.
    let series = wait_for("all series", || {
        let series = watched.prometheus.series();
        let names: HashSet<_> = series.iter().map(|labels| labels["__name__"].clone()).collect();
        (names.len() == REFERENCE.len()).then_some(series)
    });
    let run = manifest_run(&running);
    for labels in &series {
        let (_, kind, known, _) = REFERENCE
            .iter()
            .find(|metric| metric.0 == labels["__name__"])
            .expect("every series is one of the reference's");
        assert_ne!(*kind, "", "{labels:?}");
        let mut known: Vec<_> = known.split(", ").filter(|label| !label.is_empty()).collect();
        known.extend(["__name__", "instance", "job"]);
        known.sort_unstable();
        assert_eq!(labels.keys().collect::<Vec<_>>(), known, "{labels:?}");
        assert!(labels.get("run").is_none_or(|it| *it == run), "{labels:?}");
    }
    println!("told: {} series for an observer with one run", series.len());
    fs::write(&go, "").expect("the world is writable");
    running.finish().assert_code(80);
}
