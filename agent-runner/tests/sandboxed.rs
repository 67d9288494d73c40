//! Calls through the real spawner: needs root and cgroup v2, and says so where it has not got them.
//!
//! The spawner is this program executed again, so its `main` is its own.
#![allow(clippy::unwrap_used, reason = "tests panic")]

use std::{ffi::OsString, fs, os::unix::fs::MetadataExt, time::Duration};

use agent_runner::{
    Agent, AgentError, Cancel, How, Limits, Moment, Sandboxed, Session, SessionParts, Surroundings,
    Turn, WatchError, Watcher,
    tools::{ToolResult, perform_task},
};
use journal::{Entry, Tier, writer::WriteError};
use nix::unistd::{Gid, Uid, chown};
use sandbox::{CgroupMount, RunCgroup, RunUser, Spawner, SpawnerConfig};
use serde_json::json;

const NAME: &str = "calls_run_in_leaves_of_their_own_as_the_runs_user";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("spawner") => sandbox::spawner::serve(perform_task),
        // What test runners ask before they run anything.
        Some("--list") if arguments.iter().any(|it| it == "--ignored") => {}
        Some("--list") => println!("{NAME}: test"),
        _ => match CgroupMount::find() {
            Ok(mount) if Uid::effective().is_root() => run(&mount),
            Ok(_) => println!("skipped: needs root"),
            Err(error) => println!("skipped: {error}"),
        },
    }
}

/// Keeps the id of each call's leaf.
#[derive(Default)]
struct Leaves(Vec<u64>);

impl Watcher for Leaves {
    fn call_started(&mut self, call: u64, leaf_id: u64, _: &str) -> Result<(), WatchError> {
        assert_eq!(usize::try_from(call).unwrap(), self.0.len() + 1);
        self.0.push(leaf_id);
        Ok(())
    }

    fn call_ended(&mut self, _: u64, _: bool) -> Result<(), WatchError> {
        Ok(())
    }
}

struct Script {
    turns: std::vec::IntoIter<Turn>,
    results: Vec<ToolResult>,
}

impl Agent for Script {
    fn next(
        &mut self,
        last: Option<&ToolResult>,
        _: &mut Surroundings<'_>,
    ) -> Result<Turn, AgentError> {
        self.results.extend(last.cloned());
        Ok(self.turns.next().unwrap_or(Turn::Finish))
    }
}

fn call(tool: &str, arguments: serde_json::Value) -> Turn {
    Turn::Call { tool: tool.to_owned(), arguments }
}

fn run(mount: &CgroupMount) {
    let mut cgroup = RunCgroup::create(mount, &format!("t{}", std::process::id())).unwrap();
    let user = RunUser::allocate().unwrap();
    let workspace = tempfile::tempdir().unwrap();
    let (uid, gid) = (Uid::from_raw(user.uid()), Gid::from_raw(user.gid()));
    chown(workspace.path(), Some(uid), Some(gid)).unwrap();
    let spawner = Spawner::start(&SpawnerConfig::new(user.uid(), user.gid())).unwrap();
    spawner.go().unwrap();

    let mut leaves = Leaves::default();
    let environment = vec![(OsString::from("PATH"), OsString::from("/usr/bin:/bin"))];
    let mut hands = Sandboxed::new(&spawner, &cgroup, workspace.path().into(), environment);
    let mut script = Script {
        turns: vec![
            call("shell", json!({ "command": "id -u; pwd" })),
            call("write_file", json!({ "path": "note", "content": "x".repeat(1 << 20) })),
            call("read_file", json!({ "path": "note" })),
            call("send_signal", json!({ "tgid": std::process::id(), "signal": "TERM" })),
            call("shell", json!({ "command": "sleep 60 & echo left" })),
            call("shell", json!({ "command": "sleep 60 & sleep 60" })),
            call("list_processes", json!({})),
        ]
        .into_iter(),
        results: Vec::new(),
    };
    let mut transcript = |_: &Entry| -> Result<(), WriteError> { Ok(()) };
    let mut progress = |_: Moment<'_>| {};
    let session = Session::new(SessionParts {
        hands: &mut hands,
        watcher: &mut leaves,
        transcript: &mut transcript,
        progress: &mut progress,
        cancel: Cancel::new().unwrap(),
        tier: Tier::ProcessControl,
        limits: Limits { call_time: Duration::from_secs(2), ..Limits::default() },
    });
    let end = session.run_agent(&mut script).unwrap();
    assert_eq!((end.how, end.calls), (How::Finished, 7));
    let value = |call: usize| &script.results[call - 1].value;
    assert_eq!(value(1)["stdout"], format!("{uid}\n{}\n", workspace.path().display()));
    assert_eq!(value(2), &json!({ "written_bytes": 1 << 20 }));
    assert_eq!(fs::metadata(workspace.path().join("note")).unwrap().uid(), user.uid());
    assert_eq!(value(3)["content"].as_str().unwrap().len(), 1 << 20);
    assert_eq!(value(4)["errno"], "EPERM");
    assert_eq!(value(5)["stdout"], "left\n");
    assert_eq!(value(6)["error"], "timed out after 2 s");

    // What call 5 left is alive in its leaf, what call 6 left was killed with it.
    let procs = |call: u64| {
        fs::read_to_string(cgroup.path().join(format!("call-{call}/cgroup.procs"))).unwrap()
    };
    assert_eq!(procs(5).lines().count(), 1);
    assert_eq!(procs(6), "");
    let left = value(7)["processes"].as_array().unwrap().iter();
    let left: Vec<_> = left.filter(|process| process["uid"] == json!(user.uid())).collect();
    assert!(left.iter().any(|process| process["command_line"] == "sleep 60"), "{left:?}");

    let ids: Vec<u64> = (1..=7)
        .map(|call| fs::metadata(cgroup.path().join(format!("call-{call}"))).unwrap().ino())
        .collect();
    assert_eq!(leaves.0, ids);
    drop(hands);
    drop(spawner);
    cgroup.remove(Duration::from_secs(5)).unwrap();
    println!("test {NAME} ... ok");
}
