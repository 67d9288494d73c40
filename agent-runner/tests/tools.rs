//! What the tools do to real files and processes, with this process's rights.
#![allow(clippy::unwrap_used, reason = "tests panic")]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Command,
    time::{Duration, Instant},
};

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
fn a_text_is_replaced_in_place_if_it_is_there_once() {
    let directory = tempfile::tempdir().unwrap();
    let note = path(&directory, "note");
    fs::write(&note, "one two two, a long tail").unwrap();
    let inode = fs::metadata(&note).unwrap().ino();
    let edit = |old: &str, all: bool| json!({ "path": note, "old": old, "new": "1", "all": all });
    assert_eq!(done("edit_file", &edit("one", false))["replacements"], json!(1));
    assert_eq!(done("edit_file", &edit("two", true))["replacements"], json!(2));
    assert_eq!(fs::read_to_string(&note).unwrap(), "1 1 1, a long tail");
    assert_eq!(fs::metadata(&note).unwrap().ino(), inode);
    for (old, reason) in [("1", "more than once"), ("three", "not in it"), ("", "is empty")] {
        let result = perform_tool("edit_file", &edit(old, false));
        assert!(result.value["error"].as_str().unwrap().contains(reason), "{}", result.value);
    }
    fs::write(&note, b"\xff").unwrap();
    assert!(!perform_tool("edit_file", &edit("x", false)).ok);
    assert_eq!(fs::read(&note).unwrap(), b"\xff");
    let gone = json!({ "path": path(&directory, "gone"), "old": "a", "new": "b" });
    assert_eq!(errno("edit_file", &gone), "ENOENT");
}

#[test]
fn files_are_touched_and_directories_made_and_modes_changed() {
    let directory = tempfile::tempdir().unwrap();
    let file = path(&directory, "file");
    assert_eq!(done("touch", &json!({ "path": file })), json!({ "made": true }));
    let old = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    fs::write(path(&directory, "other"), "kept").unwrap();
    assert_eq!(done("touch", &json!({ "path": file })), json!({ "made": false }));
    assert!(fs::metadata(&file).unwrap().modified().unwrap() > old);
    done("touch", &json!({ "path": path(&directory, "other") }));
    assert_eq!(fs::read_to_string(path(&directory, "other")).unwrap(), "kept");

    let deep = path(&directory, "a/b");
    assert_eq!(errno("make_directory", &json!({ "path": deep })), "ENOENT");
    done("make_directory", &json!({ "path": deep, "parents": true }));
    assert_eq!(errno("make_directory", &json!({ "path": deep })), "EEXIST");

    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let value = done("change_mode", &json!({ "path": file, "mode": "0751" }));
    assert_eq!(value, json!({ "before": "0600" }));
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o751);
    for mode in ["rw", "10000", "-1", ""] {
        assert!(!perform_tool("change_mode", &json!({ "path": file, "mode": mode })).ok);
    }
}

#[test]
fn a_process_is_looked_into_paused_and_scheduled() {
    let directory = tempfile::tempdir().unwrap();
    let held = path(&directory, "held");
    let mut child = Command::new("sleep")
        .arg("60")
        .env("MARK", "seen")
        .stdin(fs::File::create(&held).unwrap())
        .spawn()
        .unwrap();
    let tgid = child.id();
    let of = json!({ "tgid": tgid });
    let state = || done("process_info", &of)["state"].clone();

    // A process is there a moment before its environment is.
    let environment = || done("read_environment", &of)["environment"].clone();
    wait_until(|| environment().as_array().unwrap().contains(&json!("MARK=seen")));
    let value = done("open_files", &of);
    assert_eq!(
        value["files"][0],
        json!({ "fd": 0, "target": held, "readable": false, "writable": true })
    );

    done("pause_process", &of);
    wait_until(|| state() == "T");
    done("resume_process", &of);
    wait_until(|| state() == "S");
    assert_eq!(done("set_priority", &json!({ "tgid": tgid, "nice": 5 }))["threads"], json!(1));
    let pid = rustix::process::Pid::from_child(&child);
    assert_eq!(rustix::process::getpriority_process(Some(pid)).unwrap(), 5);
    assert!(!perform_tool("set_priority", &json!({ "tgid": tgid, "nice": 20 })).ok);

    let allowed = nix::sched::sched_getaffinity(nix::unistd::Pid::this()).unwrap();
    let first = (0..1024).find(|cpu| allowed.is_set(*cpu).unwrap()).unwrap();
    done("set_affinity", &json!({ "tgid": tgid, "cpus": [first] }));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(tgid).unwrap());
    let set = nix::sched::sched_getaffinity(pid).unwrap();
    assert_eq!((0..1024).filter(|cpu| set.is_set(*cpu).unwrap()).collect::<Vec<_>>(), [first]);
    assert_eq!(errno("set_affinity", &json!({ "tgid": tgid, "cpus": [] })), "EINVAL");
    assert!(!perform_tool("set_affinity", &json!({ "tgid": tgid, "cpus": [1 << 20] })).ok);

    child.kill().unwrap();
    child.wait().unwrap();
    let nice = json!({ "tgid": tgid, "nice": 5 });
    for (tool, arguments) in [
        ("open_files", &of),
        ("read_environment", &of),
        ("pause_process", &of),
        ("set_priority", &nice),
    ] {
        assert_eq!(errno(tool, arguments), "ESRCH", "{tool}");
    }
}

/// Waits for a change that the kernel makes after the call that asked for it.
fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "it did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_machine_tells_its_load_and_its_sockets() {
    let value = done("system_load", &json!({}));
    assert!(value["cpus"].as_u64().unwrap() > 0, "{value}");
    assert!(value["memory_total_bytes"].as_u64() > value["memory_available_bytes"].as_u64());

    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let unix = path(&directory, "a socket");
    let _unix = std::os::unix::net::UnixListener::bind(&unix).unwrap();
    for arguments in [json!({}), json!({ "listening": true })] {
        let value = done("sockets", &arguments);
        let find = |protocol: &str, local: &str| {
            let all = value["sockets"].as_array().unwrap().iter();
            let mut found = all.filter(|it| it["protocol"] == protocol && it["local"] == local);
            found.next().unwrap_or_else(|| panic!("no {protocol} {local} in {value}")).clone()
        };
        assert_eq!(find("tcp", &tcp.local_addr().unwrap().to_string())["state"], "Listen");
        assert_eq!(find("udp", &udp.local_addr().unwrap().to_string())["state"], "Bound");
        assert_eq!(find("unix", &unix)["state"], "Listen");
    }
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

#[test]
fn a_database_is_read_and_changed_and_opened_for_writing_only_where_it_is_changed() {
    let directory = tempfile::tempdir().unwrap();
    let database = path(&directory, "data.sqlite");
    let query = |sql: &str| json!({ "database": database, "sql": sql });
    // What is not there is not made.
    assert!(!perform_tool("database_query", &query("SELECT 1")).ok);
    assert!(!fs::exists(&database).unwrap());

    fs::write(&database, "").unwrap();
    done("database_query", &query("CREATE TABLE t (id INTEGER, name TEXT)"));
    let value = done("database_query", &query("INSERT INTO t VALUES (1, 'a'), (2, NULL)"));
    assert_eq!(value["changed"], 2);
    fs::set_permissions(&database, fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(
        done("database_query", &query("SELECT id, name, x'ff' AS raw FROM t ORDER BY id")),
        json!({
            "columns": ["id", "name", "raw"],
            "rows": [[1, "a", "\\xff"], [2, null, "\\xff"]],
            "changed": 0,
            "truncated": false,
        })
    );
    for (sql, why) in
        [("SELECT 1; SELECT 2", "more than one"), ("SELECT x FROM t", "no such column")]
    {
        let result = perform_tool("database_query", &query(sql));
        let error = result.value["error"].as_str().unwrap_or_default();
        assert!(!result.ok && error.contains(why), "{}", result.value);
    }
    let long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    assert_eq!(done("database_query", &query(long))["truncated"], true);
}
