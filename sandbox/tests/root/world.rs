//! A run to test in: cgroup, user, workspace, spawner.

use std::{
    fs,
    io::{self, Read, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{PermissionsExt, chown},
    },
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use sandbox::{
    Cgroup, CgroupMount, Exit, Job, RunCgroup, RunUser, SpawnError, Spawner, SpawnerConfig,
};
use tempfile::TempDir;

/// Long enough for a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Without [`Spawner::go`] nothing runs, so each world but one has been told.
pub(crate) struct World {
    // In the order of dropping: a run ends before its cgroup is removed and its user is freed.
    pub(crate) spawner: Spawner,
    pub(crate) run: RunCgroup,
    pub(crate) user: RunUser,
    pub(crate) workspace: TempDir,
}

/// What a job printed and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) exit: Exit,
}

impl World {
    /// A world without Landlock and seccomp.
    pub(crate) fn new() -> Self {
        Self::with(|_, _| {})
    }

    /// A world whose spawner is configured by `change`, which is told the workspace.
    pub(crate) fn with(change: impl FnOnce(&mut SpawnerConfig, &Path)) -> Self {
        let world = Self::held(change);
        world.spawner.go().unwrap();
        world
    }

    /// A world whose spawner was not told to go.
    pub(crate) fn held(change: impl FnOnce(&mut SpawnerConfig, &Path)) -> Self {
        let run = RunCgroup::create(&CgroupMount::find().unwrap(), &run_name()).unwrap();
        let user = RunUser::allocate().unwrap();
        let workspace = tempfile::tempdir().unwrap();
        fs::set_permissions(workspace.path(), fs::Permissions::from_mode(0o755)).unwrap();
        chown(workspace.path(), Some(user.uid()), Some(user.gid())).unwrap();
        let mut config = SpawnerConfig::new(user.uid(), user.gid());
        config.run_cgroup = Some(run.path().to_owned());
        change(&mut config, workspace.path());
        let spawner = Spawner::start(&config).unwrap();
        Self { spawner, run, user, workspace }
    }

    /// Has a shell run a script in a new leaf.
    pub(crate) fn shell(&self, leaf: &str, script: &str) -> Outcome {
        let leaf = self.run.leaf(leaf).unwrap();
        self.finish(&self.script(&leaf, script)).unwrap()
    }

    /// A shell with a script, in the workspace.
    pub(crate) fn script(&self, leaf: &Cgroup, script: &str) -> Job {
        let mut job = Job::exec(leaf.path(), "sh", ["-c", script]);
        job.cwd = self.workspace.path().to_owned();
        job.env = vec![("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into())];
        job
    }

    /// Starts a job, reads all that it and its heirs print, and waits for its end.
    pub(crate) fn finish(&self, job: &Job) -> Result<Outcome, SpawnError> {
        let (mut reader, writer) = io::pipe().unwrap();
        let stdio = [nothing(), writer.try_clone().unwrap().into(), writer.into()];
        let started = self.spawner.spawn(job, &stdio)?;
        drop(stdio);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        let exit = started.wait()?;
        Ok(Outcome { text: String::from_utf8_lossy(&bytes).into_owned(), exit })
    }

    /// A file of the run's user.
    pub(crate) fn own_file(&self, path: &Path) -> PathBuf {
        fs::write(path, "x").unwrap();
        chown(path, Some(self.user.uid()), Some(self.user.gid())).unwrap();
        path.to_owned()
    }
}

/// A name that no other test has at this moment.
pub(crate) fn run_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("sandbox-test-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// `/dev/null`.
pub(crate) fn nothing() -> OwnedFd {
    fs::File::options().read(true).write(true).open("/dev/null").unwrap().into()
}

/// Waits until something holds, and fails when it does not within [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A field of `/proc/<tgid>/status`; `None` when there is no such process.
pub(crate) fn status(tgid: u32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{tgid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.map(|value| value.trim().to_owned())
}

/// Whether there is such a process and it is no zombie.
pub(crate) fn is_alive(tgid: u32) -> bool {
    status(tgid, "State").is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// What [`sandbox::Action::Task`] calls in these tests.
pub(crate) fn task(payload: &str) -> i32 {
    match payload.split_once(' ').map_or(payload, |(word, _)| word) {
        "length" => {
            print!("{} {:?}", payload.len(), std::env::vars().collect::<Vec<_>>());
            io::stdout().flush().unwrap();
            7
        }
        "unflushed" => {
            print!("no newline");
            0
        }
        "panic" => panic!("as asked"),
        other => panic!("no task {other:?}"),
    }
}
