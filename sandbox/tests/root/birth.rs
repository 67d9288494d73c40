//! What a job's process is when its program begins.

use std::{fs, os::fd::OwnedFd, path::Path};

use sandbox::{Exit, Job, Namespaces, Rlimits, Spawner, SpawnerConfig, StartError};

use crate::world::{World, eventually, nothing, status};

pub(crate) fn a_child_is_born_in_its_leaf_and_sees_it_as_the_root() {
    let world = World::new();
    let leaf = world.run.leaf("call-1").unwrap();
    let (stdin, release) = std::io::pipe().unwrap();
    let (mut output, stdout) = std::io::pipe().unwrap();
    let stdio: [OwnedFd; 3] = [stdin.into(), stdout.into(), nothing()];
    let started =
        world.spawner.spawn(&world.script(&leaf, "cat /proc/self/cgroup; read x"), &stdio).unwrap();
    drop(stdio);

    let seen = fs::read_to_string(format!("/proc/{}/cgroup", started.tgid)).unwrap();
    let own = format!("0::/belljar/{}/call-1", world.run.name());
    assert!(seen.lines().any(|line| line == own), "{seen}");
    assert!(leaf.processes().unwrap().contains(&started.tgid));
    assert!(leaf.is_populated().unwrap());

    drop(release);
    assert_eq!(started.wait(), Ok(Exit::Code(1)));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut output, &mut text).unwrap();
    assert!(text.lines().any(|line| line == "0::/"), "{text}");
    assert!(!text.contains("belljar"), "{text}");
}

pub(crate) fn a_job_has_no_privilege_left() {
    let world = World::with(|config, _| {
        config.seccomp = Some(policy::seccomp::plan(policy::Tier::Work));
    });
    assert!(world.spawner.ready().has_seccomp);
    let text = world.shell("call-1", "cat /proc/self/status").text;
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).trim().to_owned()
    };
    let uid = world.user.uid();
    assert_eq!(field("Uid"), format!("{uid}\t{uid}\t{uid}\t{uid}"));
    assert_eq!(field("Gid"), format!("{uid}\t{uid}\t{uid}\t{uid}"));
    assert_eq!(field("Groups"), "");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("Seccomp"), "2");
    for mask in ["SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(field(mask), "0000000000000000", "{mask}");
    }
    assert_eq!(field("Umask"), "0022");
}

pub(crate) fn a_job_has_its_standard_descriptors_and_no_other() {
    let world = World::new();
    // `ls` itself opens the directory.
    let outcome = world.shell("call-1", "exec ls /proc/self/fd");
    assert_eq!(outcome.text.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

pub(crate) fn a_job_has_the_environment_and_directory_it_was_given() {
    let world = World::new();
    let leaf = world.run.leaf("call-1").unwrap();
    let mut job = Job::exec(leaf.path(), "env", [] as [&str; 0]);
    job.env = vec![("A".into(), "1 2".into()), ("PATH".into(), "/usr/bin:/bin".into())];
    assert_eq!(world.finish(&job).unwrap().text, "A=1 2\nPATH=/usr/bin:/bin\n");

    let directory = world.workspace.path().display().to_string();
    assert_eq!(
        world.shell("call-2", "pwd; ps -o sid= -p $$; echo $$").text.lines().next(),
        Some(&*directory)
    );

    let mut job = world.script(&leaf, "true");
    job.cwd = "/root".into();
    if fs::metadata("/root")
        .is_ok_and(|it| std::os::unix::fs::PermissionsExt::mode(&it.permissions()) & 1 == 0)
    {
        let error = world.finish(&job).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the call's process cannot enter its working directory: Permission denied"
        );
    }
}

pub(crate) fn limits_are_lowered_in_a_job() {
    let world = World::with(|config, _| {
        config.rlimits =
            Rlimits { open_files: Some(64), processes: Some(40), ..Rlimits::default() };
    });
    let outcome = world.shell("call-1", "ulimit -n; ulimit -Hn; ulimit -p; ulimit -c");
    assert_eq!(outcome.text, "64\n64\n40\n0\n");
    let bomb =
        "i=0; while [ $i -lt 60 ]; do sleep 100 >/dev/null 2>&1 & i=$((i+1)); done; echo survived";
    assert!(!world.shell("call-2", bomb).text.contains("survived"));
    assert_eq!(status(world.spawner.ready().tgid, "Uid").unwrap(), "0\t0\t0\t0");
}

pub(crate) fn a_task_runs_in_a_fork_with_a_payload_of_any_length() {
    let world = World::new();
    let leaf = world.run.leaf("call-1").unwrap();
    for length in [10, 300_000] {
        let payload = format!("length {}", "x".repeat(length - 7));
        let mut job = Job::task(leaf.path(), payload);
        job.env = vec![("LANG".into(), "C".into())];
        let outcome = world.finish(&job).unwrap();
        assert_eq!(outcome.text, format!("{length} [(\"LANG\", \"C\")]"));
        assert_eq!(outcome.exit, Exit::Code(7));
    }
    let outcome = world.finish(&Job::task(leaf.path(), "unflushed")).unwrap();
    assert_eq!(outcome.text, "no newline");
}

pub(crate) fn a_task_that_panics_ends_alone() {
    let world = World::new();
    let leaf = world.run.leaf("call-1").unwrap();
    let outcome = world.finish(&Job::task(leaf.path(), "panic")).unwrap();
    assert_eq!(outcome.exit, Exit::Code(101));
    assert!(outcome.text.contains("as asked"), "{}", outcome.text);
    assert_eq!(world.shell("call-2", "echo still here").text, "still here\n");
}

pub(crate) fn namespaces_are_the_runs_own() {
    let world = World::with(|config, _| config.hostname = "neutral".into());
    assert_eq!(world.shell("call-1", "uname -n").text, "neutral\n");
    assert_ne!(nix::unistd::gethostname().unwrap(), "neutral");
    for (namespace, is_own) in [
        ("mnt", true),
        ("ipc", true),
        ("uts", true),
        ("cgroup", true),
        ("pid", false),
        ("net", false),
    ] {
        let inside = world
            .shell(&format!("call-{namespace}"), &format!("readlink /proc/self/ns/{namespace}"));
        let outside = fs::read_link(format!("/proc/self/ns/{namespace}")).unwrap();
        assert_eq!(inside.text.trim() != outside.to_str().unwrap(), is_own, "{namespace}");
    }

    let none = Namespaces { mount: false, ipc: false, uts: false, cgroup: false };
    let world = World::with(|config, _| config.namespaces = none);
    assert_ne!(world.shell("call-1", "uname -n").text, "neutral\n");
}

pub(crate) fn a_directory_stands_in_for_another_in_the_run_alone() {
    let name = format!("file-{}", std::process::id());
    let world = World::with(|config, workspace| {
        let shared = workspace.join("shared");
        fs::create_dir(&shared).unwrap();
        std::os::unix::fs::chown(&shared, Some(config.uid), Some(config.gid)).unwrap();
        config.binds = vec![("/dev/shm".into(), shared)];
    });
    let outcome = world.shell("call-1", &format!("echo own >/dev/shm/{name}; ls /dev/shm"));
    assert_eq!(outcome.text, format!("{name}\n"));
    assert_eq!(
        fs::read_to_string(world.workspace.path().join("shared").join(&name)).unwrap(),
        "own\n"
    );
    assert!(!Path::new("/dev/shm").join(&name).exists());
}

pub(crate) fn ipc_objects_vanish_with_the_run() {
    let world = World::new();
    // 512 is IPC_CREAT: a queue, a segment and a set of semaphores, which nobody removes.
    let make = "msgget(7, 0600|512) // die; shmget(7, 4096, 0600|512) // die;
        semget(7, 1, 0600|512) // die;";
    let count = "for it in msg shm sem; do tail -n +2 /proc/sysvipc/$it | grep -c .; done";
    let script = format!("perl -e '{make}'; {count}; readlink /proc/self/ns/ipc");
    let text = world.shell("call-1", &script).text;
    let namespace = text.strip_prefix("1\n1\n1\n").unwrap_or_else(|| panic!("{text}")).trim();
    let uid = world.user.uid().to_string();
    for list in ["msg", "shm", "sem"] {
        let list = fs::read_to_string(format!("/proc/sysvipc/{list}")).unwrap();
        assert!(!list.split_whitespace().any(|word| word == uid), "{list}");
    }
    let is_held = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut held = processes.filter_map(|it| fs::read_link(it.path().join("ns/ipc")).ok());
        held.any(|it| it == Path::new(namespace))
    };
    assert!(is_held());
    drop(world);
    // The kernel frees a namespace and all in it with the last process that is in it.
    eventually("nobody holds the namespace", || !is_held());
}

pub(crate) fn a_run_is_never_root() {
    let error = Spawner::start(&SpawnerConfig::new(0, 7)).err().unwrap();
    assert!(matches!(error, StartError::Root { uid: 0, gid: 7 }));
    let mut config = SpawnerConfig::new(7, 7);
    config.groups = vec![0];
    assert!(matches!(Spawner::start(&config).err().unwrap(), StartError::Root { .. }));
}
