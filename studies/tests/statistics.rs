//! The statistics against values that SciPy, statsmodels and NumPy computed, see
//! `golden/statistics.py`.

use serde_json::Value;
use studies::stats::{
    clusters::{Cluster, difference, intraclass},
    holm::adjust,
    power::{effect_size, power, runs_for},
    proportion::{trials_for_half_width, wilson},
};

fn golden(part: &str) -> Value {
    let all: Value =
        serde_json::from_str(include_str!("golden/statistics.json")).expect("it is JSON");
    all[part].clone()
}

fn cases(part: &str) -> Vec<Value> {
    golden(part).as_array().expect("it is a list").clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

#[track_caller]
fn assert_near(found: f64, expected: &Value, tolerance: f64) {
    let expected = number(expected);
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
}

fn clusters(case: &Value) -> Vec<Cluster> {
    let clusters = case["clusters"].as_array().expect("it is a list").iter();
    clusters
        .map(|it| Cluster {
            before: (whole(&it[0]), whole(&it[1])),
            after: (whole(&it[2]), whole(&it[3])),
        })
        .collect()
}

#[test]
fn wilsons_interval_is_that_of_statsmodels_and_scipy() {
    for case in cases("wilson") {
        let interval = wilson(whole(&case["hits"]), whole(&case["trials"])).unwrap();
        assert_near(interval.low, &case["low"], 1e-9);
        assert_near(interval.high, &case["high"], 1e-9);
    }
    assert_eq!(wilson(0, 0), None);
}

#[test]
fn the_trials_for_a_width_are_the_least_that_have_it() {
    for case in cases("half_width") {
        let trials = trials_for_half_width(number(&case["part"]), number(&case["half_width"]));
        assert_eq!(trials, Some(whole(&case["trials"])), "{case}");
    }
}

#[test]
fn a_difference_by_clusters_is_that_of_going_through_all_of_them() {
    for case in cases("differences") {
        let found = difference(&clusters(&case)).unwrap();
        assert_near(found.difference, &case["difference"], 1e-12);
        assert_near(found.interval.low, &case["low"], 1e-12);
        assert_near(found.interval.high, &case["high"], 1e-12);
        assert_near(found.p, &case["p"], 1e-12);
    }
}

#[test]
fn a_difference_of_many_clusters_comes_near_that_of_scipy() {
    let case = golden("sampled");
    let found = difference(&clusters(&case)).unwrap();
    assert_near(found.difference, &case["difference"], 1e-12);
    assert_near(found.interval.low, &case["low"], 0.01);
    assert_near(found.interval.high, &case["high"], 0.01);
    assert_near(found.p, &case["p"], 0.002);
    assert_eq!(difference(&clusters(&case)), Some(found), "the same figures, the same answer");
}

#[test]
fn clusters_without_one_of_the_sides_do_not_count() {
    let one_sided = Cluster { before: (1, 3), after: (0, 0) };
    let both = Cluster { before: (0, 2), after: (2, 2) };
    let found = difference(&[one_sided, both]).unwrap();
    assert_eq!((found.difference, found.clusters), (1.0, 1));
    assert_eq!((found.p, found.least_p), (1.0, 1.0), "one cluster shows nothing");
    assert_eq!(difference(&[one_sided]), None);
}

#[test]
fn holms_values_are_those_of_statsmodels() {
    for case in cases("holm") {
        let p: Vec<f64> = case["p"].as_array().unwrap().iter().map(number).collect();
        for (found, expected) in adjust(&p).iter().zip(case["adjusted"].as_array().unwrap()) {
            assert_near(*found, expected, 1e-12);
        }
    }
}

#[test]
fn power_and_the_runs_for_it_are_those_of_statsmodels() {
    for case in cases("power") {
        let effect = effect_size(number(&case["one"]), number(&case["other"]));
        assert_near(effect, &case["effect"], 1e-9);
        assert_near(power(effect, 15.0), &case["power_of_15"], 1e-7);
        assert_eq!(runs_for(effect), Some(whole(&case["runs"])), "{case}");
    }
    assert_eq!(runs_for(0.0), None);
}

#[test]
fn the_intraclass_correlation_is_that_of_an_analysis_of_variance() {
    for case in cases("intraclass") {
        let clusters = case["clusters"].as_array().unwrap().iter();
        let clusters: Vec<_> = clusters.map(|it| (whole(&it[0]), whole(&it[1]))).collect();
        match intraclass(&clusters) {
            Some(found) => assert_near(found, &case["intraclass"], 1e-12),
            None => assert!(case["intraclass"].is_null(), "{case}"),
        }
    }
}
