//! The dashboards against the metrics that the observer serves.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use observer::metrics::REFERENCE;
use serde_json::Value;

/// Labels that Prometheus gives to every series.
const SCRAPE_LABELS: [&str; 2] = ["instance", "job"];
/// What the dashboards' variables are replaced by before an expression is parsed.
const VARIABLES: [(&str, &str); 2] = [("$__rate_interval", "1m"), ("$run", ".*")];
const COLUMNS: u64 = 24;

fn grafana() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana")
}

fn dashboards() -> Vec<(String, Value)> {
    let mut dashboards = Vec::new();
    for entry in fs::read_dir(grafana().join("dashboards")).expect("the directory is there") {
        let entry = entry.expect("the directory can be read");
        let text = fs::read_to_string(entry.path()).expect("a dashboard can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        dashboards.push((name, serde_json::from_str(&text).expect("a dashboard is JSON")));
    }
    assert!(!dashboards.is_empty(), "there are no dashboards");
    dashboards
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().expect("a dashboard has panels")
}

fn title(panel: &Value) -> &str {
    panel["title"].as_str().expect("a panel has a title")
}

/// Panels that show something, so not the headings of rows.
fn graphs(dashboard: &Value) -> impl Iterator<Item = &Value> {
    panels(dashboard).iter().filter(|panel| panel["type"] != "row")
}

/// Every expression with the title of its panel.
fn expressions(dashboard: &Value) -> Vec<(&str, &str)> {
    graphs(dashboard)
        .flat_map(|panel| {
            let targets = panel["targets"].as_array().expect("a panel has targets");
            targets.iter().map(|target| {
                (title(panel), target["expr"].as_str().expect("a target has an expression"))
            })
        })
        .collect()
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// The metrics that a text names, each with the text behind it.
fn metrics(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("belljar_").map(move |(start, _)| {
        let rest = &text[start..];
        rest.split_at(rest.find(|character| !is_name(character)).unwrap_or(rest.len()))
    })
}

/// The label names of the list that `rest` begins with, between `open` and `close`.
fn listed(rest: &str, open: char, close: char) -> Vec<&str> {
    let inside = rest.strip_prefix(open).and_then(|rest| rest.split_once(close));
    let items = inside.map_or("", |(inside, _)| inside).split(',');
    items
        .filter_map(|item| item.split(|character| !is_name(character)).find(|it| !it.is_empty()))
        .collect()
}

/// The labels that an expression names: in matchers, and behind `by`.
fn labels(expression: &str) -> Vec<&str> {
    let grouped = expression
        .match_indices("by (")
        .flat_map(|(at, _)| listed(&expression[at + "by ".len()..], '(', ')'));
    let matchers = metrics(expression).flat_map(|(_, rest)| listed(rest, '{', '}'));
    grouped.chain(matchers).collect()
}

#[test]
fn the_metrics_and_labels_of_an_expression_are_found() {
    let expression =
        r#"sum by (run, verb) (rate(belljar_a{run=~"$run",verb!="x"}[1m])) / belljar_b"#;
    assert_eq!(labels(expression), ["run", "verb", "run", "verb"]);
    let named: Vec<_> = metrics(expression).map(|(name, _)| name).collect();
    assert_eq!(named, ["belljar_a", "belljar_b"]);
    assert!(labels("sum(belljar_a)").is_empty());
}

#[test]
fn every_metric_and_label_that_a_panel_uses_exists() {
    let known: HashMap<_, HashSet<_>> = REFERENCE
        .iter()
        .map(|&(name, _, labels, _)| (name, labels.split(", ").chain(SCRAPE_LABELS).collect()))
        .collect();
    for (file, dashboard) in dashboards() {
        let expressions = expressions(&dashboard);
        assert!(!expressions.is_empty(), "{file} shows nothing");
        for (panel, expression) in expressions {
            assert!(metrics(expression).count() > 0, "{file}, {panel}: no metric in {expression}");
            for (metric, _) in metrics(expression) {
                let has =
                    known.get(metric).unwrap_or_else(|| panic!("{file}, {panel}: no {metric}"));
                for label in labels(expression) {
                    assert!(has.contains(label), "{file}, {panel}: {metric} has no label {label}");
                }
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            for (metric, _) in metrics(&variable["query"].to_string()) {
                assert!(known.contains_key(metric), "{file}, variable: no {metric}");
            }
        }
    }
}

#[test]
fn every_panel_has_a_unit_and_asks_the_chosen_data_source() {
    for (file, dashboard) in dashboards() {
        for panel in graphs(&dashboard) {
            let title = title(panel);
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
            assert!(unit.is_some_and(|unit| !unit.is_empty()), "{file}, {title}: no unit");
            let targets = panel["targets"].as_array().unwrap().iter();
            for source in targets.map(|target| &target["datasource"]).chain([&panel["datasource"]])
            {
                assert_eq!(source["uid"], "${datasource}", "{file}, {title}");
            }
        }
    }
}

#[test]
fn panels_have_ids_of_their_own_and_do_not_overlap() {
    for (file, dashboard) in dashboards() {
        let mut ids = HashSet::new();
        let mut taken: HashMap<(u64, u64), &str> = HashMap::new();
        for panel in panels(&dashboard) {
            let title = title(panel);
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}, {title}: id used twice");
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            let (x, y, width, height) = (at("x"), at("y"), at("w"), at("h"));
            assert!(width > 0 && height > 0 && x + width <= COLUMNS, "{file}, {title}: no place");
            for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
                if let Some(other) = taken.insert(cell, title) {
                    panic!("{file}: {title} lies on {other}");
                }
            }
        }
    }
}

#[test]
fn every_expression_parses() {
    if Command::new("promtool").arg("--version").output().is_err() {
        println!("skipped: promtool is not installed (package prometheus)");
        return;
    }
    let mut rules = String::from("groups:\n  - name: panels\n    rules:\n");
    for (number, (_, dashboard)) in dashboards().iter().enumerate() {
        for (index, (_, expression)) in expressions(dashboard).into_iter().enumerate() {
            let expression = VARIABLES
                .iter()
                .fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
            assert!(!expression.contains('$'), "a variable that is not known: {expression}");
            // A string in JSON is one in YAML.
            let expression = Value::from(expression);
            rules.push_str(&format!("      - record: panel:{number}_{index}\n"));
            rules.push_str(&format!("        expr: {expression}\n"));
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.yml");
    fs::write(&file, rules).unwrap();
    let config = grafana().join("prometheus.yml");
    for (what, file) in [("rules", &file), ("config", &config)] {
        let checked = Command::new("promtool").args(["check", what]).arg(file).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "promtool check {what}: {said}");
    }
}
