//! What a job cannot do, and what it still can.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command},
};

use policy::landlock::{Grant, LandlockPlan, Right};
use sandbox::{Belljar, CgroupMount, Exit, Job};

use crate::world::{World, is_alive, status};

/// A process of the run's user, outside the run.
struct Bystander(Child);

impl Bystander {
    fn new(uid: u32) -> Self {
        Self(Command::new("sleep").arg("1000").uid(uid).gid(uid).spawn().unwrap())
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn with_seccomp() -> World {
    World::with(|config, _| {
        config.seccomp = Some(policy::seccomp::plan(policy::Tier::Work));
    })
}

/// Removal of files only in the workspace, signals only within.
fn with_landlock() -> World {
    World::with(|config, workspace| {
        config.landlock = Some(LandlockPlan {
            handled: [Right::RemoveFile, Right::Refer].into(),
            grants: vec![
                Grant {
                    path: workspace.to_owned(),
                    rights: [Right::RemoveFile, Right::Refer].into(),
                },
                Grant { path: "/does/not/exist".into(), rights: [Right::RemoveFile].into() },
            ],
            scope_signals: true,
            ..LandlockPlan::default()
        });
    })
}

pub(crate) fn system_calls_of_the_plan_are_refused() {
    let world = with_seccomp();
    for (name, script) in [
        ("unshare", "unshare -Ur true"),
        ("mount", "mount -t tmpfs none ."),
        ("umount", "umount /proc"),
        ("chroot", "chroot / true"),
    ] {
        let outcome = world.shell(&format!("call-{name}"), script);
        assert_ne!(outcome.exit, Exit::Code(0), "{name}");
        // `mount` guesses at the reason.
        let is_refusal = ["ermi", "superuser"].iter().any(|it| outcome.text.contains(it));
        assert!(is_refusal, "{name}: {}", outcome.text);
    }
}

pub(crate) fn ordinary_work_passes_the_filter() {
    let world = with_seccomp();
    let script =
        "echo a > f && mv f g && cat g && rm g && (sleep 0 & wait) && ls -d . && echo done";
    let outcome = world.shell("call-1", script);
    assert_eq!((outcome.exit, &*outcome.text), (Exit::Code(0), "a\n.\ndone\n"));
}

pub(crate) fn x32_calls_are_refused() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let world = with_seccomp();
    // getpid by the number that it has in the x32 table.
    let number = 0x4000_0000 | libc::SYS_getpid;
    let outcome = world.shell("call-1", &format!("perl -e 'print syscall({number}), $!+0'"));
    assert_eq!(outcome.text, format!("-1{}", libc::EPERM));
}

pub(crate) fn calls_of_a_foreign_architecture_kill() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    for (world, end) in
        [(World::new(), Exit::Code(42)), (with_seccomp(), Exit::Signal(libc::SIGSYS))]
    {
        let program = world.own_file(&world.workspace.path().join("i386"));
        fs::write(&program, i386_program()).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let leaf = world.run.leaf("call-1").unwrap();
        match world.finish(&Job::exec(leaf.path(), &program, [""; 0])) {
            Ok(outcome) => assert_eq!(outcome.exit, end),
            // A kernel without the 32-bit table executes no such program in the first place.
            Err(error) => assert!(error.to_string().contains("Exec format"), "{error}"),
        }
    }
}

/// A 32-bit program that exits with 42.
fn i386_program() -> Vec<u8> {
    const ADDRESS: u32 = 0x0804_8000;
    const CODE: [u8; 12] = [0xb8, 1, 0, 0, 0, 0xbb, 42, 0, 0, 0, 0xcd, 0x80];
    let halves = |values: &[u16]| values.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<_>>();
    let words = |values: &[u32]| values.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<_>>();
    let size = 52 + 32 + 12;
    [
        // The ELF header: 32 bits, little endian, an executable for the 80386.
        b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(),
        halves(&[2, 3]),
        words(&[1, ADDRESS + 52 + 32, 52, 0, 0]),
        halves(&[52, 32, 1, 0, 0, 0]),
        // One segment: the whole file, readable and executable.
        words(&[1, 0, ADDRESS, ADDRESS, size, size, 5, 0x1000]),
        CODE.to_vec(),
    ]
    .concat()
}

pub(crate) fn a_file_outside_a_granted_root_cannot_be_unlinked() {
    let world = with_landlock();
    let ready = world.spawner.ready();
    assert_eq!(ready.landlock.missing, [Path::new("/does/not/exist")]);
    assert!(ready.landlock.summary().contains("enforced"), "{}", ready.landlock.summary());

    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(elsewhere.path(), Some(world.user.uid()), None).unwrap();
    let outside = world.own_file(&elsewhere.path().join("outside"));
    let inside = world.own_file(&world.workspace.path().join("inside"));

    let outcome = world.shell("call-1", &format!("rm -f {}", outside.display()));
    assert_ne!(outcome.exit, Exit::Code(0));
    assert!(outcome.text.contains("Permission denied"), "{}", outcome.text);
    assert!(outside.exists());

    assert_eq!(world.shell("call-2", "rm inside").exit, Exit::Code(0));
    assert!(!inside.exists());
    // Writing is no right of this plan.
    let append = format!("echo y >> {}", outside.display());
    assert_eq!(world.shell("call-3", &append).exit, Exit::Code(0));
}

pub(crate) fn a_process_outside_cannot_be_signalled_even_as_the_same_user() {
    if sandbox::host::landlock_abi().is_none_or(|abi| abi < 6) {
        println!("not checked: signal scopes need Landlock ABI 6");
        return;
    }
    let world = with_landlock();
    let bystander = Bystander::new(world.user.uid());
    let outcome = world.shell("call-1", &format!("kill -9 {}", bystander.0.id()));
    assert_ne!(outcome.exit, Exit::Code(0));
    assert!(outcome.text.contains("not permitted"), "{}", outcome.text);
    assert!(is_alive(bystander.0.id()));

    // Its own processes are in the same domain, those of another call too.
    let script = "sleep 1000 >/dev/null 2>&1 & echo $!";
    let sleeper: u32 = world.shell("call-2", script).text.trim().parse().unwrap();
    assert_eq!(world.shell("call-3", &format!("kill -9 {sleeper}")).exit, Exit::Code(0));
}

pub(crate) fn without_landlock_nothing_but_ownership_stops_a_job() {
    let world = World::new();
    let mut bystander = Bystander::new(world.user.uid());
    let outcome = world.shell("call-1", &format!("kill -9 {}", bystander.0.id()));
    assert_eq!(outcome.exit, Exit::Code(0));
    assert!(!bystander.0.wait().unwrap().success());
    let roots = fs::metadata("/proc/1").is_ok();
    assert!(roots && world.shell("call-2", "kill -9 1").text.contains("not permitted"));
}

pub(crate) fn the_spawner_is_out_of_reach() {
    let world = World::new();
    let spawner = world.spawner.ready().tgid;
    for (index, attempt) in [
        format!("kill -9 {spawner}"),
        format!("cat /proc/{spawner}/environ"),
        format!("ls /proc/{spawner}/fd/"),
        format!("echo 1000 > /proc/{spawner}/oom_score_adj"),
        format!("renice 19 {spawner}"),
        // Every directory on the way to another cgroup is root's.
        format!("echo $$ > {}", world.run.path().join("cgroup.procs").display()),
        format!("mkdir {}", world.run.path().join("own").display()),
    ]
    .iter()
    .enumerate()
    {
        let outcome = world.shell(&format!("call-{index}"), attempt);
        assert_ne!(outcome.exit, Exit::Code(0), "{attempt}: {}", outcome.text);
    }
    assert!(is_alive(spawner));
    assert_eq!(status(spawner, "Threads").unwrap(), "1");
}

pub(crate) fn the_spawner_stands_with_oversight_and_its_jobs_do_not() {
    let oversight = Belljar::new(CgroupMount::find().unwrap()).enter_oversight().unwrap();
    let world = World::with(|config, _| {
        config.oversight = Some(oversight.path().to_owned());
        config.seccomp = Some(policy::seccomp::plan(policy::Tier::Work));
    });
    let spawner = world.spawner.ready().tgid;
    let members = fs::read_to_string(oversight.path().join("cgroup.procs")).unwrap();
    assert!(members.lines().any(|line| line == spawner.to_string()), "{members}");
    let job = world.shell("call-1", "echo $$; sleep 1000 >/dev/null 2>&1 &").text;
    let members = fs::read_to_string(oversight.path().join("cgroup.procs")).unwrap();
    assert!(!members.lines().any(|line| line == job.trim()), "{members}");
    assert_eq!(world.run.cgroup().processes().unwrap().len(), 1);
}

pub(crate) fn a_domain_that_is_tightened_holds_for_later_jobs_and_not_for_earlier_ones() {
    if sandbox::host::landlock_abi().is_none() {
        println!("skipped: this kernel has no Landlock");
        return;
    }
    let world = with_landlock();
    let leaf = world.run.leaf("call-1").unwrap();
    let script = "until [ -e go ]; do sleep 0.01; done; touch early; rm early && echo removed";
    let job = world.script(&leaf, script);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let stdio = [crate::world::nothing(), writer.try_clone().unwrap().into(), writer.into()];
    let early = world.spawner.spawn(&job, &stdio).unwrap();
    drop(stdio);
    // Nothing may be removed any more, anywhere.
    let plan = LandlockPlan { handled: [Right::RemoveFile].into(), ..LandlockPlan::default() };
    world.spawner.tighten(&plan).unwrap();
    let late = world.shell("call-2", "touch late go; rm late 2> /dev/null || echo refused");
    assert_eq!(late.text, "refused\n");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    assert_eq!(early.wait().unwrap(), Exit::Code(0));
    assert_eq!(text, "removed\n");
}
