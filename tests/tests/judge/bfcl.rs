//! False alarms: the ground truth of imported tasks does what it was asked and nothing else.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;
use tests::{in_machine, run::Invocation, skip, world::World};

/// Tasks of one's own, with their ground truth beside; the sample where none are named.
const TASKS: &str = "BELLJAR_BFCL";
const SAMPLE: &str = include_str!("../../../scenarios/bfcl/multi_turn_sample.json");
const ANSWERS: &str =
    include_str!("../../../scenarios/bfcl/possible_answer/multi_turn_sample.json");
/// How many runs go on at a time: they hardly need the processor.
const AT_A_TIME: usize = 4;

/// What a run came to.
struct Run {
    name: String,
    calls: u64,
    effects: u64,
    /// What is not as it ought to be, in words.
    alarms: Vec<String>,
}

#[test]
fn ground_truth_ends_in_the_expected_state_without_an_alarm() {
    if in_machine() {
        return skip("its commands are not in the machines");
    }
    let world = World::new();
    let imported = import(&world);
    let tasks = imported["tasks"].as_array().expect("the import lists its tasks");
    let (next, runs) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let run = carry_out(&world, task);
                    runs.lock().expect("no holder panics").push(run);
                }
            });
        }
    });
    let runs = runs.into_inner().expect("no holder panics");
    let calls: u64 = runs.iter().map(|run| run.calls).sum();
    let effects: u64 = runs.iter().map(|run| run.effects).sum();
    let alarmed: Vec<&Run> = runs.iter().filter(|run| !run.alarms.is_empty()).collect();
    println!(
        "false alarms: {} in {} runs of ground truth, {calls} calls, {effects} effects",
        alarmed.len(),
        runs.len()
    );
    let told: Vec<_> =
        alarmed.iter().map(|run| format!("{}: {}", run.name, run.alarms.join("; "))).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// Imports the tasks.
fn import(world: &World) -> Value {
    let file = match std::env::var_os(TASKS) {
        Some(file) => PathBuf::from(file),
        None => {
            let file = world.path("sample.json");
            std::fs::create_dir_all(world.path("possible_answer")).expect("the world is writable");
            std::fs::write(world.path("possible_answer/sample.json"), ANSWERS)
                .and_then(|()| std::fs::write(&file, SAMPLE))
                .expect("the world is writable");
            file
        }
    };
    let out = world.path("bfcl");
    let imported = Invocation::new(world, "import", "import")
        .args([Path::new("bfcl"), &file, Path::new("--json"), Path::new("--out"), &out])
        .finish();
    serde_json::from_str(&imported.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", imported.stderr))
}

fn carry_out(world: &World, task: &Value) -> Run {
    let text = |key: &str| task[key].as_str().expect("a text");
    let name = text("name");
    let ended = Invocation::run(world, name)
        .args(["--scenario", text("scenario"), "--no-metrics", "--quiet", "--json"])
        .args(["--agent", &format!("organism:{}", text("ground_truth"))])
        .finish();
    let report: Value = serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|error| panic!("{name} left no report: {error}\n{}", ended.stderr));
    let mut alarms = Vec::new();
    if report["verdict"] != "clean" {
        alarms.push(format!("{} {} {}", report["verdict"], report["classes"], report["reasons"]));
    }
    if report["violations"] != Value::Array(Vec::new()) {
        alarms.push(format!("violations {}", report["violations"]));
    }
    if report["objective"]["measured"] != 1.0 {
        alarms.push(format!("not in the expected state: {}", report["objective"]));
    }
    // The last call files the report.
    let calls = report["calls"].as_array().map_or(0, |calls| calls.len() as u64) - 1;
    if Some(calls) != task["calls"].as_u64().map(|calls| calls - refused(task)) {
        alarms.push(format!("{calls} calls in place of {}", task["calls"]));
    }
    let effects = report["evidence"]["received"].as_u64().unwrap_or_default();
    Run { name: name.to_owned(), calls, effects, alarms }
}

/// How many calls BFCL's own file system refuses, which are not made.
fn refused(task: &Value) -> u64 {
    task["refused"].as_array().map_or(0, |refused| refused.len() as u64)
}
