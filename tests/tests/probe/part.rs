//! One run that several tests share.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use journal::{Effect, Verb};
use nix::mount::{MntFlags, umount2};
use tests::{
    bystander::Bystander,
    cgroup::Cgroup,
    expect::{self, Expected},
    record::{Act, Record},
    run::Invocation,
    service::Service,
    traces,
    whole::SKIPPED,
    world::World,
};

use crate::script::Script;

/// Lays out a part's files and says what is to be done.
pub(crate) type Prepare = fn(&World) -> Prepared;

/// What a part is to do, and what must be there while it does.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) script: Script,
    pub(crate) labels: Vec<(&'static str, PathBuf)>,
    pub(crate) bystander: Option<Bystander>,
    pub(crate) mounts: Mounts,
    pub(crate) group: Option<Cgroup>,
    pub(crate) service: Option<Service>,
}

/// Places where something was mounted; dropping this takes it away.
#[derive(Default)]
pub(crate) struct Mounts(pub(crate) Vec<PathBuf>);

impl From<Script> for Prepared {
    fn from(script: Script) -> Self {
        Self { script, ..Self::default() }
    }
}

impl Prepared {
    pub(crate) fn label(mut self, label: &'static str, path: impl Into<PathBuf>) -> Self {
        self.labels.push((label, path.into()));
        self
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for place in self.0.iter().rev() {
            // Only what was mounted is in the list; a world that cannot be removed tells the rest.
            let _ = umount2(place, MntFlags::MNT_DETACH);
        }
    }
}

/// A run with what came of each part.
pub(crate) struct Shared {
    set: String,
    record: Arc<Record>,
    parts: HashMap<&'static str, Part>,
    /// What the run left, looked for when it had ended.
    traces: Vec<String>,
}

/// What came of one part.
pub(crate) struct Part {
    root: PathBuf,
    actor: PathBuf,
    /// The process that acted.
    pub(crate) tgid: u32,
    acts: Vec<Act>,
    left: HashSet<PathBuf>,
    pub(crate) record: Arc<Record>,
    /// The bystander's process and whether it was alive at the end.
    pub(crate) bystander: Option<(i32, bool)>,
    pub(crate) service: Option<Service>,
    /// Where its cgroup was.
    pub(crate) group: Option<PathBuf>,
}

impl Shared {
    /// Prepares all parts, runs them one after another in one call, and reads the record.
    pub(crate) fn run(set: &str, parts: &[(&'static str, Prepare)]) -> Self {
        let world = World::new();
        // The set that a kernel gets is the shared observer's.
        let run = if set == "auto" { Invocation::run } else { Invocation::run_alone };
        let mut invocation =
            run(&world, "run").tier(5, "observe").args(["--no-metrics", "--probes", set]);
        let mut all = Script::default();
        let mut prepared = Vec::new();
        for (name, prepare) in parts {
            let within = world.part(name);
            let part = prepare(&within);
            let words = world.path("runs").join(format!("{name}.words"));
            // Read by the run's user.
            let words = within.path(words.file_name().expect("it was just named"));
            fs::write(&words, part.script.bytes()).expect("the world is writable");
            all = all.act("sub", &[words]);
            for (label, path) in &part.labels {
                invocation = invocation.label(label, path);
            }
            prepared.push((*name, within, part));
        }
        let ended = invocation.args(["--"]).args([world.actor()]).args(&all.0).finish();
        let record = Arc::new(ended.record());
        let traces = traces::of(&record.manifest.run, record.manifest.uid);
        let acts = Act::all(&ended.stdout);
        let mut left = HashSet::new();
        collect(&world.path(""), &mut left);
        let mut came = HashMap::new();
        for (index, (name, within, mut part)) in (0_u64..).zip(prepared) {
            let sub = acts.iter().find(|act| act.name == "sub" && act.index == index);
            let sub = sub.unwrap_or_else(|| panic!("no {name}: {}{}", ended.stdout, ended.stderr));
            let tgid = sub.value.and_then(|tgid| u32::try_from(tgid).ok()).expect("a process");
            let bystander = part.bystander.as_mut().map(|it| (it.pid(), it.is_alive()));
            let of = Part {
                root: within.path(""),
                actor: world.actor(),
                tgid,
                acts: acts.iter().filter(|act| act.tgid == tgid).cloned().collect(),
                left: left.clone(),
                record: Arc::clone(&record),
                bystander,
                service: part.service.take(),
                group: part.group.as_ref().map(|group| group.path().to_owned()),
            };
            came.insert(name, of);
        }
        Self { set: set.to_owned(), record, parts: came, traces }
    }

    /// Whether the kernel skipped a program, so that something may be missing.
    pub(crate) fn is_skipped(&self) -> bool {
        self.record.evidence.problems.iter().any(|it| it.contains(SKIPPED))
    }

    pub(crate) fn part(&self, name: &str) -> &Part {
        println!("{name}, probe set {}", self.set);
        &self.parts[name]
    }

    /// Checks what must hold of every run, whatever it was for.
    pub(crate) fn check(&self) {
        assert!(self.traces.is_empty(), "the run left: {:#?}", self.traces);
        if self.set != "tracepoint" {
            self.record.assert_whole();
            return;
        }
        assert!(!self.record.has_lsm());
        self.record.assert_accounted();
        // Linux 7.3 may interrupt a program on a tracepoint by another task, and then skips it for
        // that one. Where it did so, the record must not pass for a whole one.
        let skipped = self.is_skipped();
        assert_eq!(self.record.evidence.complete, !skipped, "{:?}", self.record.evidence);
        assert_eq!(self.record.verdict(), if skipped { "invalid" } else { "misaligned" });
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }
}

impl Part {
    /// A path in it.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    pub(crate) fn actor(&self) -> &Path {
        &self.actor
    }

    pub(crate) fn has_lsm(&self) -> bool {
        self.record.has_lsm()
    }

    /// Whether a path was there when the run had ended.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.left.contains(path)
    }

    /// The value that the act at this place gave.
    pub(crate) fn value(&self, index: u64) -> i64 {
        let act = self.acts.iter().find(|act| act.index == index).expect("the act was done");
        act.value.unwrap_or_else(|| panic!("no value: {act:?}"))
    }

    /// How each act ended, by name.
    pub(crate) fn outcomes(&self) -> Vec<(&str, &str)> {
        self.acts.iter().map(|act| (act.name.as_str(), act.outcome.as_str())).collect()
    }

    /// The effects of its process with this verb.
    pub(crate) fn of(&self, verb: Verb) -> impl Iterator<Item = &Effect> {
        self.record.of(verb).filter(|effect| effect.subject.tgid == self.tgid)
    }

    /// Checks that the actor was started and then did exactly this.
    #[track_caller]
    pub(crate) fn assert_did(&self, acts: &[Expected]) {
        let start = Expected::file(Verb::Exec, "system", &self.actor);
        let all: Vec<_> = std::iter::once(start).chain(acts.iter().cloned()).collect();
        expect::assert_did(&self.record, self.tgid, &all);
    }
}

/// Everything below a directory.
fn collect(directory: &Path, into: &mut HashSet<PathBuf>) {
    for entry in fs::read_dir(directory).expect("root may list the world").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), into);
        }
        into.insert(entry.path());
    }
}
