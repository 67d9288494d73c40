//! How jobs and spawners begin and end.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::{Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sandbox::{
    Belljar, CgroupMount, Exit, Job, RunCgroup, RunUser, SpawnError, Spawner, SpawnerConfig,
    SpawnerGone,
};

use crate::world::{PATIENCE, World, eventually, is_alive, nothing, run_name, status};

pub(crate) fn no_job_starts_before_go() {
    let world = World::held(|_, _| {});
    let leaf = world.run.leaf("call-1").unwrap();
    let job = world.script(&leaf, "echo ran");
    assert!(matches!(world.finish(&job), Err(SpawnError::Held)));
    assert!(!leaf.is_populated().unwrap());
    world.spawner.go().unwrap();
    assert_eq!(world.finish(&job).unwrap().text, "ran\n");
}

pub(crate) fn a_missing_program_is_127_and_one_that_cannot_be_executed_126() {
    let world = World::new();
    let leaf = world.run.leaf("call-1").unwrap();
    let plain = world.own_file(&world.workspace.path().join("plain"));
    let refusal = |program: &str| {
        let error = world.finish(&Job::exec(leaf.path(), program, [""; 0])).unwrap_err();
        assert!(matches!(error, SpawnError::NotExecutable { .. }), "{error:?}");
        (error.exit_code(), error.to_string())
    };
    let missing = "cannot execute no-such-program: No such file or directory";
    assert_eq!(refusal("no-such-program"), (127, missing.to_owned()));
    assert_eq!(refusal("/no/such/program").0, 127);
    assert_eq!(refusal("").0, 127);
    assert_eq!(refusal(plain.to_str().unwrap()).0, 126);
    assert_eq!(refusal("/etc").0, 126);
    let nul = world.finish(&Job::exec(leaf.path(), "a\0b", [""; 0])).unwrap_err();
    assert!(matches!(nul, SpawnError::Text));
    eventually("what was refused is gone", || !leaf.is_populated().unwrap());
}

pub(crate) fn a_leaf_that_is_none_is_told() {
    let world = World::new();
    let missing = Job::exec(world.run.path().join("none"), "true", [""; 0]);
    assert!(matches!(world.finish(&missing), Err(SpawnError::Leaf { .. })));
    let no_cgroup = Job::exec("/tmp", "true", [""; 0]);
    assert!(matches!(world.finish(&no_cgroup), Err(SpawnError::Fork { .. })));
    assert_eq!(world.shell("call-1", "echo still here").text, "still here\n");
}

pub(crate) fn jobs_run_side_by_side() {
    let world = World::new();
    let slow = world.run.leaf("slow").unwrap();
    let stdio = [nothing(), nothing(), nothing()];
    let slow = world.spawner.spawn(&world.script(&slow, "exec sleep 1000"), &stdio).unwrap();
    thread::scope(|scope| {
        for number in 0..8 {
            let world = &world;
            scope.spawn(move || {
                let outcome = world.shell(&format!("call-{number}"), &format!("exit {number}"));
                assert_eq!(outcome.exit, Exit::Code(number));
            });
        }
    });
    assert_eq!(slow.wait_timeout(Duration::ZERO), Ok(None));
    kill(Pid::from_raw(slow.tgid.cast_signed()), Signal::SIGKILL).unwrap();
    assert_eq!(slow.wait(), Ok(Exit::Signal(libc::SIGKILL)));
}

pub(crate) fn any_signal_can_end_a_job_and_the_spawner_goes_on() {
    let world = World::new();
    for signal in [1, 6, 9, 11, 15, 34, 64] {
        let outcome = world.shell(&format!("call-{signal}"), &format!("kill -{signal} $$"));
        assert_eq!(outcome.exit, Exit::Signal(signal));
    }
    assert_eq!(world.shell("last", "echo still here").text, "still here\n");
}

pub(crate) fn a_daemon_stays_in_its_leaf_and_dies_with_it() {
    let mut world = World::new();
    let script = "(setsid sh -c 'sleep 1000 & echo $!' >pid 2>/dev/null &) ; true";
    assert_eq!(world.shell("call-1", script).exit, Exit::Code(0));
    let pid = world.workspace.path().join("pid");
    let read = || fs::read_to_string(&pid).ok()?.trim().parse::<u32>().ok();
    eventually("the daemon has said its number", || read().is_some());
    let daemon = read().unwrap();

    // A later call changes nothing about whose it is.
    world.shell("call-2", "true");
    let spawner = world.spawner.ready().tgid.to_string();
    eventually("the daemon's parent is the spawner", || {
        status(daemon, "PPid").as_deref() == Some(&*spawner)
    });
    let cgroup = fs::read_to_string(format!("/proc/{daemon}/cgroup")).unwrap();
    assert!(cgroup.trim_end().ends_with("/call-1"), "{cgroup}");

    let path = world.run.path().to_owned();
    world.run.remove(PATIENCE).unwrap();
    assert!(!is_alive(daemon));
    assert!(!path.exists());
    world.run.remove(PATIENCE).unwrap();
}

pub(crate) fn orphans_are_reaped() {
    let world = World::new();
    let text = world.shell("call-1", "(sh -c 'echo $$; sleep 0.05' &)").text;
    let orphan: u32 = text.trim().parse().unwrap();
    eventually("the orphan is not even a zombie", || status(orphan, "State").is_none());
}

/// The body of a process that starts a run and dies without a word: it leaves the cgroup's name and
/// a process in it on standard output.
pub(crate) fn client_that_dies(name: &str) -> ExitCode {
    let run = RunCgroup::create(&CgroupMount::find().unwrap(), name).unwrap();
    let user = RunUser::allocate().unwrap();
    let mut config = SpawnerConfig::new(user.uid(), user.gid());
    config.run_cgroup = Some(run.path().to_owned());
    let spawner = Spawner::start(&config).unwrap();
    spawner.go().unwrap();
    let leaf = run.leaf("call-1").unwrap();
    let job = Job::exec(leaf.path(), "sh", ["-c", "setsid sleep 1000 & exec sleep 1000"]);
    let started = spawner.spawn(&job, &[nothing(), nothing(), nothing()]).unwrap();
    println!("{} {}", started.tgid, spawner.ready().tgid);
    std::process::abort();
}

pub(crate) fn when_the_client_dies_the_run_dies_and_can_be_reaped() {
    let name = run_name();
    let mut client = Command::new(env::current_exe().unwrap())
        .args(["client", &name])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(client.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(!client.wait().unwrap().success());
    for tgid in line.split_whitespace().map(|it| it.parse().unwrap()) {
        eventually("job and spawner are gone", || !is_alive(tgid));
    }
    let belljar = Belljar::new(CgroupMount::find().unwrap());
    // Whoever else looks for stale runs at this moment holds them meanwhile.
    let mut found = None;
    eventually("the run is stale", || {
        found = belljar.stale_runs().unwrap().into_iter().find(|run| run.name() == name);
        found.is_some()
    });
    let stale = found.unwrap();
    let path = stale.cgroup().path().to_owned();
    stale.reap(PATIENCE).unwrap();
    assert!(!path.exists());
}

pub(crate) fn when_the_spawner_dies_its_client_is_told() {
    let world = World::new();
    let leaf = world.run.leaf("call-1").unwrap();
    let job = world.script(&leaf, "exec sleep 1000");
    let stdio = [nothing(), nothing(), nothing()];
    let started = world.spawner.spawn(&job, &stdio).unwrap();
    kill(Pid::from_raw(world.spawner.ready().tgid.cast_signed()), Signal::SIGKILL).unwrap();
    assert_eq!(started.wait(), Err(SpawnerGone));
    eventually("no further job starts", || world.spawner.spawn(&job, &stdio).is_err());
}
