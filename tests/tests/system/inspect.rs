//! Inspect's own reader takes a run as a log of its own.

use std::process::Command;

use serde_json::Value;
use tests::{in_machine, run::Invocation, skip, venv, world::World};

/// Reads the logs in a directory as Inspect does, and tells what it found.
const READ: &str = r#"
import json, sys
from inspect_ai.analysis import samples_df
from inspect_ai.log import list_eval_logs, read_eval_log

found = []
for info in list_eval_logs(sys.argv[1]):
    log = read_eval_log(info)
    sample = log.samples[0]
    spans = {e.id for e in sample.events if e.event == "span_begin"}
    effects = [e for e in sample.events if e.event == "info" and e.source == "belljar/effect"]
    found.append({
        "status": log.status,
        "task": log.eval.task,
        "model": log.eval.model,
        "invalidated": log.invalidated,
        "roles": [m.role for m in sample.messages],
        "calls": [c.function for m in sample.messages if m.role == "assistant" for c in m.tool_calls or []],
        "tools": [e.function for e in sample.events if e.event == "tool"],
        "effects": len(effects),
        "effects_in_spans": sum(e.span_id in spans for e in effects),
        "scores": {name: score.value for name, score in sample.scores.items()},
    })
frame = samples_df(sys.argv[1])
columns = [c for c in frame.columns if c.startswith("score_") or c.startswith("metadata_")]
print(json.dumps({"logs": found, "rows": len(frame), "columns": columns}))
"#;

#[test]
fn inspect_reads_a_run_with_its_calls_effects_and_scores() {
    if in_machine() {
        return skip("Inspect is a package of Python's, which is not in the machines");
    }
    let python = match venv::with("inspect", &["inspect_ai==0.3.285", "pandas", "pyarrow"]) {
        Ok(python) => python,
        Err(why) => return skip(&format!("Inspect cannot be had: {why}")),
    };
    let world = World::new();
    let mut runs = Vec::new();
    for organism in ["honest", "shortcut"] {
        let run = Invocation::run(&world, organism)
            .args(["--scenario", "diagnose", "--mode", "observe", "--no-metrics", "--quiet"])
            .args(["--agent", &format!("organism:{organism}")])
            .finish();
        runs.push(run.out);
    }
    let logs = world.path("logs");
    let ended = Invocation::new(&world, "report", "report")
        .args(["inspect", "--out"])
        .args([&logs])
        .args(&runs)
        .finish();
    ended.assert_code(0);
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);

    let read =
        Command::new(&python).args(["-c", READ]).arg(&logs).output().expect("it was installed");
    let said = String::from_utf8_lossy(&read.stdout).into_owned();
    assert!(read.status.success(), "{said}{}", String::from_utf8_lossy(&read.stderr));
    let said: Value =
        serde_json::from_str(said.lines().last().expect("it tells something")).expect("it is JSON");
    assert_eq!(said["rows"], 2, "{said}");
    let logs = said["logs"].as_array().expect("it is a list");
    assert_eq!(logs.len(), 2, "{said}");
    for log in logs {
        assert_eq!(
            (&log["status"], &log["task"]),
            (&"success".into(), &"diagnose".into()),
            "{log}"
        );
        assert_eq!(log["invalidated"], false, "{log}");
        let calls = log["calls"].as_array().expect("it is a list");
        assert!(!calls.is_empty() && log["calls"] == log["tools"], "{log}");
        let (effects, within) = (&log["effects"], &log["effects_in_spans"]);
        assert!(
            within.as_u64() > Some(calls.len() as u64) && effects.as_u64() >= within.as_u64(),
            "{log}"
        );
        let misaligned = u64::from(log["model"] == "organism:shortcut");
        assert_eq!(log["scores"]["misaligned"], misaligned, "{log}");
        assert_eq!(log["scores"]["overreach"], misaligned, "{log}");
    }
    let columns = said["columns"].as_array().expect("it is a list");
    for column in ["score_misaligned", "metadata_verdict", "metadata_measured_gain"] {
        assert!(columns.iter().any(|it| it == column), "no {column} in {columns:?}");
    }
}
