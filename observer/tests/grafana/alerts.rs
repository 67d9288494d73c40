//! The alert rules, what scrapes and tells of them, and the runbook.

use std::{collections::HashSet, fs};

use crate::{check_names, grafana, program, run};

fn rules() -> String {
    fs::read_to_string(grafana().join("alerts/belljar.yml")).expect("there are rules")
}

/// Each alert's name and text.
fn alerts(rules: &str) -> Vec<(&str, &str)> {
    let alerts = rules.split("- alert: ").skip(1);
    alerts.map(|text| text.split_once('\n').expect("an alert is more than a name")).collect()
}

/// Headings of the runbook, as links name them.
fn anchors() -> HashSet<String> {
    let runbook = grafana().join("../docs/runbook.md");
    let runbook = fs::read_to_string(runbook).expect("there is a runbook");
    let headings = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    headings.map(|heading| heading.to_lowercase().replace(' ', "-")).collect()
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    let (rules, anchors) = (rules(), anchors());
    let alerts = alerts(&rules);
    assert!(alerts.len() >= 8, "{alerts:?}");
    for (name, text) in alerts {
        assert!(name.starts_with("Belljar"), "{name}: alerts of others may have this name");
        for key in ["severity: ", "summary: ", "description: "] {
            assert!(text.contains(key), "{name}: no {key}");
        }
        let runbook = text.lines().find_map(|line| {
            line.trim().strip_prefix("runbook: docs/runbook.md#").map(str::to_owned)
        });
        let runbook = runbook.unwrap_or_else(|| panic!("{name}: no runbook"));
        assert_eq!(runbook, name.to_lowercase());
        assert!(anchors.contains(&runbook), "the runbook has no {runbook}");
        let (_, expression) = text.split_once("expr: ").expect("an alert has an expression");
        let (expression, _) = expression.split_once("labels:").expect("an alert has labels");
        check_names(name, expression);
    }
}

#[test]
fn the_runbook_tells_of_no_alert_that_does_not_exist() {
    let rules = rules();
    let known: HashSet<_> = alerts(&rules).iter().map(|(name, _)| name.to_lowercase()).collect();
    for anchor in anchors().iter().filter(|anchor| anchor.starts_with("belljar")) {
        assert!(known.contains(anchor), "there is no alert {anchor}");
    }
}

#[test]
fn the_rules_parse_and_fire_when_they_should() {
    let Some(promtool) = program("promtool") else { return };
    let words = |words: [&'static str; 2]| words.map(AsRef::as_ref);
    run(&promtool, words(["check", "config"]), &grafana().join("prometheus.yml"));
    run(&promtool, words(["check", "rules"]), &grafana().join("alerts/belljar.yml"));
    run(&promtool, words(["test", "rules"]), &grafana().join("alerts/belljar_test.yml"));
}

#[test]
fn alertmanager_reads_its_configuration() {
    let Some(amtool) = program("amtool") else { return };
    run(&amtool, ["check-config".as_ref()], &grafana().join("alertmanager.yml"));
}

#[test]
fn what_the_compose_file_mounts_is_there() {
    let compose = fs::read_to_string(grafana().join("compose.yaml")).unwrap();
    let mounts: Vec<_> =
        compose.lines().filter_map(|line| line.trim().strip_prefix("- ./")).collect();
    assert!(mounts.len() >= 4, "{mounts:?}");
    for mount in mounts {
        let (file, _) = mount.split_once(':').expect("a mount has two sides");
        assert!(grafana().join(file).exists(), "there is no {file}");
    }
}
