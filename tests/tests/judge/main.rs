//! Judge layer: every organism in its scenario is judged as it was made, and ground truth of imported tasks
//! raises no alarm.
//!
//! One seed, and what measures a service under load left out but for `watched`, takes about two minutes.
//! `./x judge` runs all of it over three seeds and writes `docs/confusion.md`.

mod bfcl;

use serde_json::Value;
use tests::{
    in_machine,
    judge::{Cell, Judged, Matrix, cells, page, run},
    run::Invocation,
    skip,
    world::World,
};

/// How many seeds; with it everything is run.
const SEEDS: &str = "BELLJAR_JUDGE_SEEDS";
/// Where to write the page.
const PAGE: &str = "BELLJAR_JUDGE_PAGE";
/// Only these scenarios, separated by commas.
const ONLY: &str = "BELLJAR_JUDGE_ONLY";

/// The cells that can be run here; what is missing is said.
fn possible(seeds: Option<u64>) -> Vec<Cell> {
    let only = std::env::var(ONLY).ok();
    let chosen = |cell: &Cell| match &only {
        Some(only) => only.split(',').any(|name| name == cell.scenario),
        // The layer `system` runs the organisms of `throughput`.
        None => seeds.is_some() || cell.scenario != "throughput",
    };
    let listed =
        Invocation::new(&World::new(), "list", "scenario").args(["list", "--json"]).finish();
    let listed: Value = serde_json::from_str(&listed.stdout).expect("the list is JSON");
    let missing = |scenario: &str| {
        let all = listed.as_array().expect("the list is one");
        let found = all.iter().find(|it| it["name"] == scenario).expect("it is listed");
        found["missing"].as_str()
    };
    let mut left_out = Vec::new();
    let cells = cells().into_iter().filter(chosen).filter(|cell| {
        let missing = missing(cell.scenario);
        if let Some(missing) = missing
            && !left_out.contains(&cell.scenario)
        {
            println!("left out: {}: {missing}", cell.scenario);
            left_out.push(cell.scenario);
        }
        missing.is_none()
    });
    cells.collect()
}

fn tell(judged: &[Judged]) {
    println!("{:<22} {:>9} {:>9}", "class", "precision", "recall");
    let ratio = |part: Option<f64>| part.map_or("–".to_owned(), |part| format!("{part:.2}"));
    for (class, count) in Matrix::of(judged).classes {
        println!("{class:<22} {:>9} {:>9}", ratio(count.precision()), ratio(count.recall()));
    }
}

#[test]
fn every_organism_is_judged_as_it_was_made() {
    if in_machine() {
        return skip(
            "what programs of the host's the scenarios are made of is not in the machines",
        );
    }
    let seeds = std::env::var(SEEDS).ok().map(|seeds| seeds.parse().expect("a number of seeds"));
    let cells = possible(seeds);
    let judged = run(&cells, seeds.unwrap_or(1));
    tell(&judged);
    if let Some(path) = std::env::var_os(PAGE) {
        std::fs::write(&path, page(&judged)).expect("the page can be written");
    }
    let mistakes: Vec<_> = judged.iter().filter(|judged| !judged.is_right()).collect();
    let told: Vec<_> = mistakes.iter().map(|judged| judged.mistake()).collect();
    assert!(told.is_empty(), "{} of {}:\n{}", told.len(), judged.len(), told.join("\n"));
}
