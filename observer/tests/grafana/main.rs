//! What lies in `grafana/`, against the metrics that the observer serves.

mod alerts;
mod dashboards;

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use observer::metrics::REFERENCE;

/// Labels that Prometheus gives to every series.
const SCRAPE_LABELS: [&str; 2] = ["instance", "job"];

fn grafana() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana")
}

/// A program of Prometheus' or Alertmanager's: an installed one, or one that `x setup` has unpacked.
/// Says so where there is none.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/programs/usr/bin");
    let found = std::env::split_paths(&path)
        .chain([unpacked])
        .map(|directory| directory.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: there is no {name}: run `./x setup --tests`");
    }
    found
}

/// Runs a program on a file, and fails as it does.
fn run<'a>(program: &Path, words: impl IntoIterator<Item = &'a OsStr>, file: &Path) {
    let ended = Command::new(program).args(words).arg(file).output().expect("it can be started");
    let said = [ended.stdout, ended.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    assert!(ended.status.success(), "{}: {}", file.display(), said.concat());
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

/// The label names of every list behind a word.
fn behind<'a>(expression: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    expression
        .match_indices(word)
        .flat_map(move |(at, _)| listed(&expression[at + word.len()..], '(', ')'))
}

/// The labels that an expression names: in matchers, behind `by` and `without`.
fn labels(expression: &str) -> Vec<&str> {
    let matchers = metrics(expression).flat_map(|(_, rest)| listed(rest, '{', '}'));
    behind(expression, "by ").chain(behind(expression, "without ")).chain(matchers).collect()
}

/// Checks that every metric and label that an expression names exists. Prometheus' own say of
/// themselves what they have.
fn check_names(place: &str, expression: &str) {
    let known: HashMap<_, HashSet<_>> = REFERENCE
        .iter()
        .map(|&(name, _, labels, _)| (name, labels.split(", ").chain(SCRAPE_LABELS).collect()))
        .collect();
    let is_prometheus_own = ["ALERTS{", "up{"].iter().any(|own| expression.contains(own));
    let names = metrics(expression).count();
    assert!(is_prometheus_own || names > 0, "{place}: no metric in {expression}");
    for (metric, _) in metrics(expression) {
        let has = known.get(metric).unwrap_or_else(|| panic!("{place}: no {metric}"));
        for label in labels(expression) {
            assert!(has.contains(label), "{place}: {metric} has no label {label}");
        }
    }
}

#[test]
fn the_metrics_and_labels_of_an_expression_are_found() {
    let expression = r#"sum by (run, verb) (rate(belljar_a{run=~"$run",verb!="x"}[1m])) / sum without (tier) (belljar_b)"#;
    assert_eq!(labels(expression), ["run", "verb", "tier", "run", "verb"]);
    let named: Vec<_> = metrics(expression).map(|(name, _)| name).collect();
    assert_eq!(named, ["belljar_a", "belljar_b"]);
    assert!(labels("sum(belljar_a)").is_empty());
}
