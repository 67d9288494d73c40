//! The dashboards against the metrics that the observer serves.

use std::{
    collections::{HashMap, HashSet},
    fs,
};

use serde_json::Value;

use crate::{check_names, grafana, metrics, program, run};

/// What the dashboards' variables are replaced by before an expression is parsed.
const VARIABLES: [(&str, &str); 4] =
    [("$__rate_interval", "1m"), ("$__range", "1h"), ("$instance", ".*"), ("$run", ".*")];
const COLUMNS: u64 = 24;

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

#[test]
fn every_metric_and_label_that_a_panel_uses_exists() {
    for (file, dashboard) in dashboards() {
        let expressions = expressions(&dashboard);
        assert!(!expressions.is_empty(), "{file} shows nothing");
        for (panel, expression) in expressions {
            check_names(&format!("{file}, {panel}"), expression);
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let query = variable["query"].to_string();
            if metrics(&query).count() > 0 {
                check_names(&format!("{file}, a variable"), &query);
            }
        }
    }
}

#[test]
fn every_dashboard_fits_grafanas_own_types() {
    let schema = fs::read_to_string(grafana().join("schema/dashboard.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    for (file, dashboard) in dashboards() {
        let mistakes: Vec<_> = schema.iter_errors(&dashboard).map(|it| mistake(&it)).collect();
        assert!(mistakes.is_empty(), "{file}: {mistakes:#?}");
    }
    // It says no where there is something to say no to.
    let (_, whole) = dashboards().swap_remove(0);
    let panel = panels(&whole).iter().position(|panel| panel["type"] == "stat").unwrap();
    for (pointer, value) in [
        ("/panels/{}/options/graphMode", Value::from("sparkline")),
        ("/panels/{}/datasource/uid", Value::from("prometheus")),
        ("/panels/{}/targets/0/expr", Value::Null),
        ("/panels/{}/gridPos/w", Value::from("wide")),
        ("/panels/{}/type", Value::from("graph")),
        ("/templating/list/0/refresh", Value::from(7)),
        ("/uid", Value::Null),
    ] {
        let mut broken = whole.clone();
        let pointer = pointer.replace("{}", &panel.to_string());
        *broken.pointer_mut(&pointer).unwrap() = value;
        assert!(!schema.is_valid(&broken), "{pointer} may be anything");
    }
    let mut broken = whole;
    broken["panels"][panel]["options"]["graphmode"] = Value::from("none");
    assert!(!schema.is_valid(&broken), "a word that Grafana does not know passes");
}

fn mistake(error: &jsonschema::ValidationError<'_>) -> String {
    let text: String = error.to_string().chars().rev().take(200).collect();
    let text: String = text.chars().rev().collect();
    format!("{}: {text}", error.instance_path())
}

#[test]
fn every_panel_has_a_unit_and_a_description_and_asks_the_chosen_data_source() {
    for (file, dashboard) in dashboards() {
        for panel in graphs(&dashboard) {
            let title = title(panel);
            let unit = &panel["fieldConfig"]["defaults"]["unit"];
            for (what, text) in [("unit", unit), ("description", &panel["description"])] {
                let has = text.as_str().is_some_and(|text| !text.is_empty());
                assert!(has, "{file}, {title}: no {what}");
            }
            let targets = panel["targets"].as_array().unwrap().iter();
            for source in targets.map(|target| &target["datasource"]).chain([&panel["datasource"]])
            {
                assert_eq!(source["uid"], "${datasource}", "{file}, {title}");
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let is_the_choice = variable["type"] == "datasource";
            let source = &variable["datasource"]["uid"];
            assert!(is_the_choice || source == "${datasource}", "{file}: {source} is fixed");
        }
    }
}

#[test]
fn each_view_has_an_identity_of_its_own() {
    let mut found: Vec<_> = dashboards()
        .into_iter()
        .map(|(file, it)| {
            assert_eq!(it.get("id"), None, "{file}: a number that another Grafana gave");
            (file, it["uid"].as_str().unwrap().to_owned(), it["title"].as_str().unwrap().to_owned())
        })
        .collect();
    found.sort();
    let files: Vec<_> = found.iter().map(|(file, ..)| file.as_str()).collect();
    assert_eq!(files, ["fleet.json", "oversight.json", "run.json"]);
    for of in
        [|it: &(String, String, String)| it.1.clone(), |it: &(String, String, String)| it.2.clone()]
    {
        let distinct: HashSet<_> = found.iter().map(of).collect();
        assert_eq!(distinct.len(), found.len(), "{found:?}");
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
    let Some(promtool) = program("promtool") else { return };
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
    run(&promtool, ["check", "rules"].map(AsRef::as_ref), &file);
}
