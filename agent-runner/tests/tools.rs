//! What the tools do to real files and processes, with this process's rights.
#![allow(clippy::unwrap_used, reason = "tests panic")]

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use agent_runner::tools::{
    OUTPUT_LIMIT_BYTES, TOOLS, Tool, ToolResult, payload, perform, perform_task,
};
use serde_json::{Value, json};
use tempfile::TempDir;

fn perform_tool(tool: &str, arguments: &Value) -> ToolResult {
    perform(&payload(Tool::named(tool).unwrap(), arguments))
}

fn done(tool: &str, arguments: &Value) -> Value {
    let result = perform_tool(tool, arguments);
    assert!(result.ok, "{tool}: {}", result.value);
    result.value
}

fn errno(tool: &str, arguments: &Value) -> String {
    let result = perform_tool(tool, arguments);
    assert!(!result.ok, "{tool} did it");
    result.value["errno"].as_str().unwrap_or_else(|| panic!("{}", result.value)).to_owned()
}

fn path(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_file_is_written_in_place_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let note = path(&directory, "note");
    done("write_file", &json!({ "path": note, "content": "a long first text" }));
    let inode = fs::metadata(&note).unwrap().ino();
    done("write_file", &json!({ "path": note, "content": "second" }));
    done("write_file", &json!({ "path": note, "content": ", third", "append": true }));
    assert_eq!(fs::metadata(&note).unwrap().ino(), inode);
    assert_eq!(
        done("read_file", &json!({ "path": note })),
        json!({ "content": "second, third", "size_bytes": 13, "truncated": false, "escaped": false })
    );
    let gone = json!({ "path": path(&directory, "gone") });
    assert_eq!(errno("read_file", &gone), "ENOENT");
}

#[test]
fn a_file_is_cut_at_the_limit_between_characters_and_bytes_are_escaped() {
    let directory = tempfile::tempdir().unwrap();
    let long = path(&directory, "long");
    fs::write(&long, format!("x{}", "é".repeat(OUTPUT_LIMIT_BYTES))).unwrap();
    let value = done("read_file", &json!({ "path": long }));
    assert_eq!((&value["truncated"], &value["escaped"]), (&json!(true), &json!(false)));
    assert_eq!(value["content"].as_str().unwrap().len(), OUTPUT_LIMIT_BYTES - 1);

    let raw = path(&directory, "raw");
    fs::write(&raw, b"a\xff\\").unwrap();
    let value = done("read_file", &json!({ "path": raw }));
    assert_eq!((&value["content"], &value["escaped"]), (&json!("a\\xff\\\\"), &json!(true)));
}

#[test]
fn a_directory_is_listed_by_name_with_kinds() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("b"), "12345").unwrap();
    fs::create_dir(directory.path().join("a")).unwrap();
    let value = done("list_directory", &json!({ "path": directory.path() }));
    let entries = value["entries"].as_array().unwrap();
    assert_eq!((&entries[0]["name"], &entries[0]["kind"]), (&json!("a"), &json!("directory")));
    assert_eq!(entries[1], json!({ "name": "b", "kind": "file", "size_bytes": 5 }));
}

#[test]
fn processes_are_listed_and_told_of_and_signalled() {
    let mut child = Command::new("sleep").arg("60").env("MARK", "seen").spawn().unwrap();
    let tgid = child.id();

    let value = done("list_processes", &json!({}));
    let listed = value["processes"].as_array().unwrap();
    let mine = listed.iter().find(|process| process["tgid"] == json!(tgid)).unwrap();
    assert_eq!(mine["ppid"], json!(std::process::id()));
    assert_eq!(mine["uid"], json!(nix::unistd::Uid::effective().as_raw()));

    let value = done("process_info", &json!({ "tgid": tgid, "environment": true }));
    assert_eq!((&value["tgid"], &value["threads"]), (&json!(tgid), &json!(1)));
    assert!(value["environment"].as_array().unwrap().contains(&json!("MARK=seen")));
    assert!(done("process_info", &json!({ "tgid": tgid }))["environment"].is_null());

    done("send_signal", &json!({ "tgid": tgid, "signal": "term" }));
    child.wait().unwrap();
    assert_eq!(errno("process_info", &json!({ "tgid": tgid })), "ESRCH");
    assert_eq!(errno("send_signal", &json!({ "tgid": tgid, "signal": 9 })), "ESRCH");
}

#[test]
fn a_signal_tool_names_one_process_and_a_real_signal() {
    for (tgid, signal) in
        [(0, json!("TERM")), (-1, json!(15)), (1, json!("SIGNOPE")), (1, json!(0))]
    {
        let result = perform_tool("send_signal", &json!({ "tgid": tgid, "signal": signal }));
        assert!(!result.ok && result.value["errno"].is_null(), "{}", result.value);
    }
}

#[test]
fn files_are_moved_and_removed_and_trees_only_if_asked() {
    let directory = tempfile::tempdir().unwrap();
    let (tree, to) = (path(&directory, "tree"), path(&directory, "to"));
    fs::create_dir(&tree).unwrap();
    fs::write(directory.path().join("tree/leaf"), "").unwrap();
    done("move", &json!({ "from": tree, "to": to }));
    assert_eq!(errno("move", &json!({ "from": tree, "to": to })), "ENOENT");
    assert_eq!(errno("remove", &json!({ "path": to })), "ENOTEMPTY");
    done("remove", &json!({ "path": to, "recursive": true }));
    assert_eq!(errno("remove", &json!({ "path": to })), "ENOENT");
}

#[test]
fn a_link_is_removed_and_not_what_it_points_to() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("kept")).unwrap();
    fs::write(directory.path().join("kept/file"), "").unwrap();
    let link = path(&directory, "link");
    std::os::unix::fs::symlink(directory.path().join("kept"), &link).unwrap();
    done("remove", &json!({ "path": link, "recursive": true }));
    assert!(directory.path().join("kept/file").exists());
}

#[test]
fn a_payload_that_is_none_is_answered_as_a_failed_call() {
    for payload in ["", "{}", r#"{"tool":"shell","arguments":{}}"#, r#"{"tool":"x","arguments":1}"#]
    {
        assert!(!perform(payload).ok);
    }
    assert!(!perform_tool("read_file", &json!({ "path": "a\0b" })).ok);
}

#[test]
fn the_documentation_lists_every_tool_with_its_tier_and_arguments() {
    let page = include_str!("../../docs/agents.md");
    for tool in TOOLS {
        let start = format!("| `{}` | {} |", tool.name, tool.tier.number());
        let row = page.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| {
            panic!("docs/agents.md has no row that begins with {start}");
        });
        for argument in tool.arguments {
            // Effects are written with the keys of their items.
            let name = format!("`{}", argument.name);
            assert!(row.contains(&name), "{row}: lacks {name}`");
        }
    }
}

/// What the child of the next test is to perform.
const PAYLOAD: &str = "AGENT_RUNNER_TEST_PAYLOAD";

#[test]
fn a_child_writes_its_result_to_standard_output_as_a_line() {
    if let Ok(payload) = std::env::var(PAYLOAD) {
        std::process::exit(perform_task(&payload));
    }
    let directory = tempfile::tempdir().unwrap();
    let long = path(&directory, "long");
    fs::write(&long, "x".repeat(OUTPUT_LIMIT_BYTES)).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_child_writes_its_result_to_standard_output_as_a_line", "--nocapture"])
        .env(PAYLOAD, payload(Tool::named("read_file").unwrap(), &json!({ "path": long })))
        .output()
        .unwrap();
    assert!(output.status.success());
    // The test harness writes before it.
    let text = String::from_utf8(output.stdout).unwrap();
    let line = &text[text.find("{\"ok\"").unwrap()..];
    let result: ToolResult = serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap();
    assert_eq!(result.value["size_bytes"], json!(OUTPUT_LIMIT_BYTES));
}
