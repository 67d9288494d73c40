//! io_uring: what a ring carries out is no system call of its own.
//!
//! The sandbox's filter lets no agent make a ring. That the probes see one all the same is shown by a
//! process of root's that the test moves into the call's cgroup.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use journal::{Enforcer, Verb, Verdict};
use serde_json::Value;
use tests::{
    deadline::wait_for,
    record::Act,
    run::{Invocation, Running},
    skip, traces,
    whole::until_whole,
    world::{World, words},
};

use crate::{part::Prepared, parts, script::Script, shared};

pub(crate) fn refused(world: &World) -> Prepared {
    let file = world.file("d/file");
    Script::default().act("ring_unlink", &[&file]).act("unlink", &[&file]).into()
}

#[test]
fn an_agent_gets_no_ring() {
    for part in parts("ring") {
        assert_eq!(part.outcomes(), [("ring_unlink", "ENOSYS"), ("unlink", "ok")]);
        assert_eq!(part.of(Verb::Unlink).count(), 1, "only the system call is on record");
    }
}

/// The list of processes of the first call's cgroup, once the agent is in it.
fn leaf(running: &Running) -> std::path::PathBuf {
    wait_for("the call's cgroup", || {
        let manifest = fs::read_to_string(running.out().join("manifest.json")).ok()?;
        let manifest: Value = serde_json::from_str(&manifest).ok()?;
        let run = traces::cgroups().join("belljar").join(manifest["run"].as_str()?);
        let leaf = run.join("call-1/cgroup.procs");
        // Not before: until then the observer may not know the leaf.
        fs::read_to_string(&leaf).ok().filter(|list| !list.is_empty()).map(|_| leaf)
    })
}

#[test]
fn what_a_ring_removes_or_renames_is_judged_and_recorded_like_a_system_call() {
    until_whole(ring);
}

fn ring() {
    if !shared()[0].record().has_lsm() {
        return skip("rings are seen by LSM hooks only, and this kernel refuses those");
    }
    let world = World::new();
    let denied = world.file("data/file");
    let directory = world.directory("data/directory");
    let granted = world.file("workspace/file");
    let deep = world.file(Path::new("workspace").join("d/".repeat(520)).join("file"));
    let (go_in, go_out) = (world.path("go-in"), world.path("go-out"));
    let running = Invocation::run(&world, "run")
        .tier(0, "enforce")
        .label("data", &world.path("data"))
        .label("workspace", &world.path("workspace"))
        .args(["--no-metrics", "--"])
        .args([world.actor()])
        .args(words([&"wait_file", &go_out, &",", &"unlink", &deep]))
        .start();
    let leaf = leaf(&running);
    let ring = Script::default()
        .act("wait_file", &[&go_in])
        .act("ring_unlink", &[&denied])
        .act("ring_rmdir", &[&directory])
        .act("ring_rename", &words([&denied, &world.path("data/other")]))
        .act("ring_unlink", &[&granted]);
    let guest = Command::new(world.actor())
        .args(&ring.0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the actor can be started");
    fs::write(leaf, guest.id().to_string()).expect("root may move processes");
    fs::write(&go_in, "").expect("the world is writable");
    let guest = guest.wait_with_output().expect("a child can be waited for");
    fs::write(&go_out, "").expect("the world is writable");
    let ended = running.finish();
    let record = ended.record();
    record.assert_whole();
    traces::assert_none(&record.manifest);

    // What cannot be resolved is denied, also in the workspace.
    let own = Act::all(&ended.stdout);
    assert_eq!(own.last().map(|act| act.outcome.as_str()), Some("EPERM"));
    assert!(deep.exists());

    let acts = Act::all(&String::from_utf8_lossy(&guest.stdout));
    let outcomes: Vec<_> = acts.iter().map(|act| act.outcome.as_str()).collect();
    if outcomes.get(1) == Some(&"ENOSYS") {
        return skip("this kernel makes no rings");
    }
    assert_eq!(outcomes, ["ok", "EPERM", "EPERM", "EPERM", "ok"]);
    assert!(denied.exists() && directory.exists() && !granted.exists());
    let mut found: Vec<_> = record
        .effects
        .iter()
        .filter(|effect| effect.subject.tgid == acts[0].tgid)
        // It may have been moved while the kernel was about to tell of its exec.
        .filter(|effect| !matches!(effect.verb, Verb::Exec | Verb::Exit))
        .map(|effect| (effect.seq, effect))
        .collect();
    found.sort_by_key(|(seq, _)| *seq);
    let found: Vec<_> = found
        .iter()
        .map(|(_, it)| (it.verb, it.object.label.as_str(), it.verdict, it.enforcer))
        .collect();
    let prevented = Some(Enforcer::BpfLsm);
    let expected = [
        (Verb::Unlink, "data", Verdict::Deny, prevented),
        (Verb::Rmdir, "data", Verdict::Deny, prevented),
        (Verb::Rename, "data", Verdict::Deny, prevented),
        (Verb::Unlink, "workspace", Verdict::Allow, None),
    ];
    assert_eq!(found, expected);
}
