//! Sweeps: a grid of runs that may be killed at any time, goes on where it was, and comes to the same.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{
    deadline::wait_for,
    in_machine, resident,
    run::{Ended, Invocation},
    skip,
    world::World,
};

/// Quick, and of nothing but a shell.
const GRID: &str = r#"
version = 1
name = "small"
agents = ["organism:honest", "organism:shortcut"]
scenarios = ["deadline", "diagnose"]
modes = ["observe"]
seeds = 2
"#;
const CELLS: usize = 8;

const IN_MACHINES: &str = "a sweep depends on no kernel: tried on the host";

fn grid(world: &World, text: &str) -> PathBuf {
    let path = world.path("grid.toml");
    fs::write(&path, text).expect("the world is writable");
    path
}

fn sweep(world: &World, name: &str) -> Invocation {
    Invocation::new(world, name, "sweep")
        .args([world.path("grid.toml")])
        .args([Path::new("--out"), &world.path(name), Path::new("--key")])
        .args([world.path("key/signing.key")])
        .args([Path::new("--observer"), &resident::shared().socket])
}

fn ledger(directory: &Path) -> BTreeMap<String, Value> {
    let Ok(text) = fs::read(directory.join("ledger.json")) else { return BTreeMap::new() };
    let ledger: Value = serde_json::from_slice(&text).expect("a ledger is whole at any time");
    serde_json::from_value(ledger["runs"].clone()).expect("it has runs")
}

/// The name of each run that the directory holds, by its cell.
fn names(directory: &Path) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for entry in fs::read_dir(directory.join("runs")).expect("there are runs").flatten() {
        let Ok(manifest) = fs::read(entry.path().join("manifest.json")) else { continue };
        let Ok(manifest) = serde_json::from_slice::<Value>(&manifest) else { continue };
        let name = manifest["run"].as_str().expect("a run has a name").to_owned();
        names.insert(entry.file_name().to_string_lossy().into_owned(), name);
    }
    names
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What runs came to, without what differs from time to time.
fn judged(directory: &Path) -> Vec<BTreeMap<String, String>> {
    let table = text(&directory.join("runs.csv"));
    let mut lines = table.lines();
    let columns: Vec<&str> = lines.next().expect("it has a head").split(',').collect();
    let kept = ["cell", "scenario", "agent", "tier", "mode", "seed", "outcome", "verdict"];
    let classes = ["overreach", "constraint_violation", "specification_gaming", "concealment"];
    let kept: Vec<&str> = kept.iter().chain(&classes).copied().collect();
    lines
        .map(|line| {
            // None of these columns holds a comma, and they come before those that might.
            let values = columns.iter().zip(line.split(','));
            let values = values.filter(|(column, _)| kept.contains(column));
            values.map(|(column, value)| ((*column).to_owned(), value.to_owned())).collect()
        })
        .collect()
}

fn assert_done(ended: &Ended) {
    ended.assert_code(0);
    assert!(ended.stdout.contains(&format!("{CELLS} of {CELLS} cells")), "{}", ended.stdout);
}

#[test]
fn a_sweep_that_was_killed_repeats_no_finished_run_and_comes_to_the_same() {
    if in_machine() {
        return skip(IN_MACHINES);
    }
    let world = World::new();
    grid(&world, GRID);
    let killed = world.path("killed");

    let running = sweep(&world, "killed").start();
    wait_for("the first finished run", || (!ledger(&killed).is_empty()).then_some(()));
    running.signal(Signal::SIGKILL);
    let _ = running.finish();
    let done = ledger(&killed);
    assert!(!done.is_empty() && done.len() < CELLS, "it was killed in the middle: {done:?}");
    // Runs that went on then may have ended since: they are finished, and whole.
    let before = names(&killed);

    assert_done(&sweep(&world, "killed").finish());
    let after = names(&killed);
    assert_eq!(after.len(), CELLS);
    for (cell, run) in &before {
        assert_eq!(after.get(cell), Some(run), "{cell} was carried out twice");
    }
    assert_eq!(ledger(&killed).len(), CELLS);

    assert_done(&sweep(&world, "whole").finish());
    let whole = world.path("whole");
    assert_eq!(judged(&killed), judged(&whole));
    for table in ["rates.csv", "differences.csv"] {
        assert_eq!(text(&killed.join(table)), text(&whole.join(table)), "{table}");
    }
    // Nothing is left to do, and nothing is done.
    let runs = names(&whole);
    assert_done(&sweep(&world, "whole").finish());
    assert_eq!(names(&whole), runs);
    let page = text(&whole.join("sweep.html"));
    assert!(page.contains("<h1>Sweep small</h1>") && !page.contains("<script"));
    for file in ["runs.parquet", "grid.toml"] {
        assert!(whole.join(file).exists(), "{file}");
    }
}

#[test]
fn a_second_sweep_in_the_same_place_and_another_version_are_refused() {
    if in_machine() {
        return skip(IN_MACHINES);
    }
    let world = World::new();
    grid(&world, &GRID.replace("seeds = 2", "seeds = 1"));
    let directory = world.path("sweep");
    let first = sweep(&world, "sweep").args(["--jobs", "1"]).start();
    wait_for("the first finished run", || (!ledger(&directory).is_empty()).then_some(()));
    // Its streams must not be those of the first.
    let second = Invocation::new(&world, "second", "sweep")
        .args([world.path("grid.toml").as_path(), Path::new("--out"), &directory])
        .finish();
    second.assert_code(69).assert_stderr("another `belljar sweep` works in");

    // Interrupted, it lets the run end that goes on, and says that it can go on.
    first.signal(Signal::SIGINT);
    let first = first.finish();
    first.assert_code(71).assert_stderr("the same command goes on with it");
    for (cell, entry) in ledger(&directory) {
        assert_eq!(entry["outcome"], "finished", "{cell}");
        assert_eq!(entry["shared"]["beside"], 0, "{cell}");
    }

    let path = directory.join("ledger.json");
    let older = text(&path).replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    fs::write(&path, older).expect("the world is writable");
    let ended = sweep(&world, "sweep").finish();
    ended.assert_code(65).assert_stderr("runs of different versions do not go into one table");
    ended.assert_stderr("Belljar 0.0.1");
}

#[test]
fn all_mistakes_of_a_grid_are_told_at_once_before_anything_is_started() {
    if in_machine() {
        return skip(IN_MACHINES);
    }
    let world = World::new();
    let wrong = r#"
version = 1
name = "wrong"
agents = ["organism:honest", "organism:honset", "gpt"]
scenarios = ["deadline", "dedline"]
tiers = [2, 9]
modes = ["observed"]
sedes = 3
"#;
    grid(&world, wrong);
    let ended = sweep(&world, "sweep").finish();
    ended.assert_code(65);
    for told in [
        "unknown key `sedes`",
        "honset",
        "no tier 9",
        "unknown mode `observed`",
        "`gpt`",
        "dedline",
    ] {
        ended.assert_stderr(told);
    }
    grid(&world, &GRID.replace("organism:shortcut", "organism:shortcot"));
    let ended = sweep(&world, "sweep").finish();
    ended.assert_code(65).assert_stderr("shortcot").assert_stderr("did you mean");
    assert!(!world.path("sweep").exists(), "nothing was started");
}
