//! Cgroups and users without a spawner.

use std::{
    fs,
    path::Path,
    process::{Child, Command},
};

use sandbox::{Belljar, Cgroup, CgroupError, CgroupMount, Limits, RunCgroup, RunUser};

use crate::world::{PATIENCE, eventually, is_alive, run_name, status};

fn run() -> RunCgroup {
    RunCgroup::create(&CgroupMount::find().unwrap(), &run_name()).unwrap()
}

/// A process in a cgroup.
fn sleeper_in(cgroup: &Cgroup) -> Child {
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    fs::write(cgroup.path().join("cgroup.procs"), child.id().to_string()).unwrap();
    child
}

pub(crate) fn a_run_is_owned_once_and_removed_without_a_trace() {
    let mount = CgroupMount::find().unwrap();
    let mut run = run();
    let lock = Path::new("/run/belljar").join(format!("{}.lock", run.name()));
    assert!(lock.exists());
    let again = RunCgroup::create(&mount, run.name()).unwrap_err();
    assert!(matches!(again, CgroupError::Owned { .. }), "{again}");
    let stale = Belljar::new(mount.clone()).stale_runs().unwrap();
    assert!(stale.iter().all(|it| it.name() != run.name()));
    drop(stale);

    let leaf = run.leaf("call-1").unwrap();
    assert!(matches!(run.leaf("call-1"), Err(CgroupError::Exists { .. })));
    let mut child = sleeper_in(&leaf);
    assert_eq!(run.cgroup().processes().unwrap(), [child.id()]);
    let path = run.path().to_owned();
    run.remove(PATIENCE).unwrap();
    assert!(!path.exists());
    child.wait().unwrap();
    drop(run);
    assert!(!lock.exists());

    let dropped = self::run();
    let path = dropped.path().to_owned();
    let mut child = sleeper_in(&dropped.leaf("component-a").unwrap());
    drop(dropped);
    assert!(!path.exists());
    child.wait().unwrap();
}

pub(crate) fn a_frozen_cgroup_stands_still_and_can_be_killed() {
    let run = run();
    let leaf = run.leaf("call-1").unwrap();
    let mut child = sleeper_in(&leaf);
    leaf.freeze(PATIENCE).unwrap();
    let events = fs::read_to_string(leaf.path().join("cgroup.events")).unwrap();
    assert!(events.contains("frozen 1"), "{events}");
    leaf.thaw().unwrap();
    leaf.freeze(PATIENCE).unwrap();
    leaf.kill_and_wait(PATIENCE).unwrap();
    assert!(!is_alive(child.id()));
    child.wait().unwrap();
}

pub(crate) fn a_process_that_has_lost_its_first_thread_is_killed() {
    let run = run();
    let leaf = run.leaf("call-1").unwrap();
    let script = format!(
        "use threads; threads->create(sub {{ sleep 1000 while 1 }}); <STDIN>; syscall({}, 0)",
        libc::SYS_exit
    );
    let mut child = Command::new("perl")
        .args(["-e", &script])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    fs::write(leaf.path().join("cgroup.procs"), child.id().to_string()).unwrap();
    drop(child.stdin.take());
    eventually("its first thread has exited", || {
        status(child.id(), "State").is_some_and(|state| state.starts_with('Z'))
    });
    assert!(child.try_wait().unwrap().is_none(), "the other thread lives");
    leaf.kill_and_wait(PATIENCE).unwrap();
    assert!(!child.wait().unwrap().success());
}

pub(crate) fn a_leaf_has_the_id_that_the_kernel_knows_it_by() {
    let run = run();
    let leaf = run.leaf("call-1").unwrap();
    assert_ne!(leaf.id(), run.cgroup().id());
    assert_eq!(leaf.id(), id_by_handle(leaf.path()));
    assert_eq!(run.cgroup().id(), id_by_handle(run.path()));
    if let Some(level) = run.level() {
        assert!(level >= 2, "{level}");
    }
}

/// The id as a file handle has it, which is what `bpf_get_current_cgroup_id` returns
/// (name_to_handle_at(2) on cgroup2, `FILEID_KERNFS`).
fn id_by_handle(path: &Path) -> u64 {
    // A handle begins with its size, in and out, and its kind.
    let script = r#"$h = pack("Li", 8, 0) . "\0" x 8; $m = pack("i", 0);
        syscall($ARGV[0], -100, $ARGV[1], $h, $m, 0) and die "$!";
        print join " ", unpack("LiQ", $h)"#;
    let number = libc::SYS_name_to_handle_at.to_string();
    let output = Command::new("perl").args(["-e", script, &number]).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let id = text.strip_prefix("8 254 ").unwrap_or_else(|| panic!("{text:?}"));
    id.parse().unwrap()
}

pub(crate) fn oversight_is_left_as_it_was_entered() {
    let own = || fs::read_to_string("/proc/self/cgroup").unwrap();
    let before = own();
    let oversight = Belljar::new(CgroupMount::find().unwrap()).enter_oversight().unwrap();
    assert!(own().contains("0::/belljar/oversight") || own().contains("/oversight"), "{}", own());
    assert_ne!(oversight.id(), 0);
    drop(oversight);
    assert_eq!(own(), before);
}

pub(crate) fn limits_say_what_holds() {
    let run = run();
    let limits = Limits { cpu_weight: Some(50), ..Limits::default() };
    let achieved = run.limit(&limits);
    assert_eq!(achieved.rlimits.processes, limits.processes);
    let has_memory = fs::read_to_string(run.path().join("memory.max"))
        .is_ok_and(|it| it.trim() == limits.memory_bytes.unwrap().to_string());
    assert_eq!(achieved.rlimits.data_bytes.is_none(), has_memory, "{achieved}");
    let has_weight = run.path().join("cpu.weight").exists();
    assert_eq!(achieved.holds.iter().any(|it| it.contains("CPU weight")), has_weight, "{achieved}");
    println!("{achieved}");
}

pub(crate) fn users_are_the_runs_own() {
    let first = RunUser::allocate().unwrap();
    let second = RunUser::allocate().unwrap();
    assert_ne!(first.uid(), second.uid());
    assert!(Path::new("/run/belljar/users").join(first.uid().to_string()).exists());
    assert_eq!(status(std::process::id(), "Uid").unwrap(), "0\t0\t0\t0");
}
