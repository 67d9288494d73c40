//! Evasion layer: every way around of the catalogue, carried out for real in one run at tier 0 in mode
//! `enforce`. What must come of each is declared in `tests::evasion`.
//!
//! Files and processes to be attacked are the run's user's own, so that it is not ownership that
//! saves them, unless the evasion says so.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use journal::{Disposition, Effect, RunDir, Verb};
use nix::{
    sys::signal::kill,
    unistd::{Gid, Pid, Uid, chown},
};
use tests::{
    bystander::Bystander,
    cgroup::Cgroup,
    deadline::wait_for,
    evasion::{Came, Evasion, Group, Victim, all},
    record::{Act, Record},
    resident::shared,
    run::Invocation,
    service::{self, Service},
    traces,
    world::World,
};

/// What came of one evasion.
struct Tried {
    evasion: &'static Evasion,
    /// What is different about the victim, in words.
    changed: Vec<String>,
    /// How its last act ended, as the actor saw it; none where it did not live to tell.
    last: Option<String>,
    /// The effects of whoever carried it out.
    effects: Vec<Effect>,
}

/// One run with everything that was tried in it.
struct All {
    has_lsm: bool,
    tried: Vec<Tried>,
}

fn tried() -> &'static All {
    static ALL: OnceLock<All> = OnceLock::new();
    ALL.get_or_init(run)
}

/// What an evasion finds and is after.
struct Place {
    evasion: &'static Evasion,
    words: Vec<u8>,
    data: PathBuf,
    process: Option<Bystander>,
    /// The cgroup that the process is in, where the evasion names one.
    group: Option<Cgroup>,
    before: BTreeMap<String, String>,
}

fn run() -> All {
    let world = World::new();
    let observer = shared();
    let (data, work) = (world.directory("data"), world.directory("work"));
    let go = world.path("go");
    let suid = world.path("suid");
    fs::copy(world.actor(), &suid).expect("the world is writable");
    fs::set_permissions(&suid, fs::Permissions::from_mode(0o4755)).expect("root may");
    let scripts = world.directory("scripts");
    let script = |evasion: &Evasion| scripts.join(evasion.name);
    let mut words: Vec<std::ffi::OsString> = vec!["wait_file".into(), go.clone().into()];
    for evasion in all() {
        words.extend([",".into(), "sub".into(), script(evasion).into()]);
    }
    let running = Invocation::run_under(&world, "run", observer.socket.as_os_str())
        .tier(0, "enforce")
        .label("data", &data)
        .label("workspace", &work)
        .args(["--no-metrics", "--"])
        .args([world.actor()])
        .args(words)
        .start();
    let manifest = wait_for("the manifest", || {
        let manifest = RunDir::open(running.out()).ok()?.manifest().ok()?;
        manifest.probe_set.is_some().then_some(manifest)
    });
    let service = Service::start(&world.directory("services"));
    let mut roots = Bystander::start(&world.actor(), 0);
    let common = [
        ("roots", roots.pid().to_string()),
        ("observer", observer.pid.to_string()),
        ("supervisor", running.pid().to_string()),
        ("run", manifest.run.clone()),
        ("record", running.out().display().to_string()),
        ("key", world.path("key/signing.key").display().to_string()),
        ("socket", observer.socket.display().to_string()),
        ("cgroups", traces::cgroups().display().to_string()),
        ("outside", service.stream().display().to_string()),
        ("postbox", service.datagram().display().to_string()),
        ("abstract", service.name().to_owned()),
        ("suid", suid.display().to_string()),
    ];
    let mut places: Vec<Place> =
        all().map(|evasion| place(evasion, &world, manifest.uid, &common)).collect();
    for place in &mut places {
        fs::write(script(place.evasion), &place.words).expect("the world is writable");
        place.before = state(place);
    }
    let journal = running.out().join("effects.jsonl");
    let journaled = || fs::metadata(&journal).map_or(0, |metadata| metadata.len());
    let before = journaled();
    fs::write(&go, "").expect("the world is writable");
    let ended = running.finish();
    let record = ended.record();
    record.assert_accounted();
    assert_eq!(record.evidence.dropped, 0, "{:?}", record.evidence);
    assert!(roots.is_alive(), "a process of root's was killed");
    assert!(kill(Pid::from_raw(observer.pid), None).is_ok(), "the observer is gone");
    assert!(journaled() > before);
    let verified = Invocation::new(&world, "verify", "verify").args([&ended.out]).finish();
    verified.assert_code(0);
    let acts = Act::all(&ended.stdout);
    let tried = places.iter_mut().zip(1_u64..).map(|(place, index)| {
        let sub = acts.iter().find(|act| act.name == "sub" && act.index == index);
        let sub = sub.unwrap_or_else(|| {
            panic!("{} was not tried: {}{}", place.evasion.name, ended.stdout, ended.stderr)
        });
        let tgid = sub.value.and_then(|tgid| u32::try_from(tgid).ok()).expect("a process");
        outcome(place, tgid, &record, &acts)
    });
    All { has_lsm: record.has_lsm(), tried: tried.collect() }
}

/// Makes what an evasion needs.
fn place(evasion: &'static Evasion, world: &World, uid: u32, common: &[(&str, String)]) -> Place {
    let of_the_run = |path: &Path| {
        chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid))).expect("root may");
    };
    let data = world.directory(Path::new("data").join(evasion.name));
    let own = world.directory(Path::new("work").join(evasion.name));
    let victim = world.file(Path::new("data").join(evasion.name).join("file"));
    let file = world.file(Path::new("work").join(evasion.name).join("file"));
    for path in [&data, &own, &victim, &file] {
        of_the_run(path);
    }
    let process =
        (evasion.victim == Victim::Process).then(|| Bystander::start(&world.actor(), uid));
    let show = |path: &Path| path.display().to_string();
    let mut places: Vec<(&str, Vec<u8>)> =
        common.iter().map(|(name, value)| (*name, value.clone().into_bytes())).collect();
    for (name, path) in [("data", &data), ("own", &own), ("victim", &victim), ("file", &file)] {
        places.push((name, show(path).into_bytes()));
    }
    places.push(("name", evasion.name.into()));
    places.push(("strange", b"a\x1b[31m\"'\n\xff\xfe<script>".to_vec()));
    places.push(("longest", vec![b'n'; 255]));
    if let Some(process) = &process {
        places.push(("process", process.pid().to_string().into_bytes()));
    }
    if evasion.acts.contains("{passer}") {
        let socket = own.join("passer");
        service::pass(&socket, &victim);
        places.push(("passer", show(&socket).into_bytes()));
    }
    let group = evasion.acts.contains("{group}").then(Cgroup::new);
    if let Some(group) = &group {
        places.push(("group", show(group.path()).into_bytes()));
        if let Some(process) = &process {
            group.take(process.pid());
        }
    }
    let words = evasion.acts.split_whitespace().flat_map(|word| {
        let mut word = fill(word.as_bytes(), &places);
        word.push(0);
        word
    });
    Place { evasion, words: words.collect(), data, process, group, before: BTreeMap::new() }
}

/// Puts places where their names stand in braces, and blanks where dots stand in the middle of a line.
fn fill(word: &[u8], places: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let text = str::from_utf8(word).expect("the catalogue is text").replace('·', " ");
    let mut filled = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').expect("a brace is closed");
        let place = places.iter().find(|(known, _)| *known == name);
        filled.extend_from_slice(before.as_bytes());
        filled.extend_from_slice(&place.unwrap_or_else(|| panic!("there is no {name}")).1);
        rest = after;
    }
    filled.extend_from_slice(rest.as_bytes());
    filled
}

/// What can be told of the victim, by what is told.
fn state(place: &Place) -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    match place.evasion.victim {
        Victim::Data => files(&place.data, &mut state),
        Victim::Process => {
            let process = place.process.as_ref().expect("it was started");
            process_state(process.pid(), &mut state);
            if let Some(group) = &place.group {
                let frozen = fs::read_to_string(group.path().join("cgroup.freeze"));
                state.insert("frozen".to_owned(), frozen.unwrap_or_default());
            }
        }
        // Looked at as a whole when the run has ended: it is still being written.
        Victim::Oversight | Victim::Power => {}
    }
    state
}

/// Every file below a directory, with all that a change would show in.
fn files(directory: &Path, state: &mut BTreeMap<String, String>) {
    use std::os::unix::fs::MetadataExt as _;

    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|it| it.path());
    for path in entries.chain([directory.to_owned()]) {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let content = if metadata.is_file() { fs::read(&path).unwrap_or_default() } else { vec![] };
        let modified = if metadata.is_file() { metadata.mtime() } else { 0 };
        let text = format!(
            "inode {} mode {:o} owner {} links {} modified {modified} content {}",
            metadata.ino(),
            metadata.mode(),
            metadata.uid(),
            if metadata.is_file() { metadata.nlink() } else { 0 },
            content.escape_ascii()
        );
        state.insert(path.as_os_str().as_bytes().escape_ascii().to_string(), text);
    }
}

fn process_state(process: i32, state: &mut BTreeMap<String, String>) {
    let read =
        |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    let stat = read("stat");
    // proc_pid_stat(5): behind the name in parentheses come the state and, as the 17th, the nice value.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |index: usize| fields.get(index).copied().unwrap_or("gone").to_owned();
    let standing = if field(0) == "T" || field(0) == "t" { "stopped" } else { "not stopped" };
    let living =
        if ["Z", "X", "gone", ""].contains(&field(0).as_str()) { "dead" } else { standing };
    state.insert("life".to_owned(), living.to_owned());
    state.insert("nice".to_owned(), field(16));
    state.insert("limits".to_owned(), read("limits"));
    state.insert("badness".to_owned(), read("oom_score_adj"));
    let status = read("status");
    let processors = status.lines().find(|line| line.starts_with("Cpus_allowed_list"));
    state.insert("processors".to_owned(), processors.unwrap_or_default().to_owned());
}

fn outcome(place: &mut Place, tgid: u32, record: &Record, acts: &[Act]) -> Tried {
    let after = state(place);
    let before = &place.before;
    let keys: HashSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    let mut changed: Vec<String> = changed
        .map(|key| format!("{key}: {:?}, was {:?}", after.get(key), before.get(key)))
        .collect();
    changed.sort();
    let family = family(tgid, record);
    let mut last = acts.iter().filter(|act| act.tgid == tgid);
    Tried {
        evasion: place.evasion,
        changed,
        last: last.next_back().map(|act| act.outcome.clone()),
        effects: record
            .effects
            .iter()
            .filter(|effect| family.contains(&effect.subject.tgid))
            .cloned()
            .collect(),
    }
}

/// A process and all that come from it.
fn family(tgid: u32, record: &Record) -> HashSet<u32> {
    let mut family = HashSet::from([tgid]);
    for effect in record.of(Verb::Fork) {
        if family.contains(&effect.subject.tgid)
            && let Some(child) = effect.object.tgid
        {
            family.extend(u32::try_from(child));
        }
    }
    family
}

impl Tried {
    /// What is not as declared, in words.
    fn contradiction(&self, has_lsm: bool) -> Option<String> {
        let says = |it: &str| Some(it.to_owned());
        // Some end well without having reached their victim; a power and oversight have nothing else
        // to tell by.
        let told_by_end = matches!(self.evasion.victim, Victim::Power | Victim::Oversight);
        let failed =
            self.changed.is_empty() && !(told_by_end && self.last.as_deref() == Some("ok"));
        match self.evasion.came(has_lsm) {
            Came::Prevented(..) | Came::Refused(_) if !failed => says("it happened"),
            Came::Prevented(by, verb, label) => {
                let mut found = self.violations(verb, label);
                let is_so = |effect: &Effect| {
                    effect.disposition == Disposition::Prevented && effect.enforcer == Some(by)
                };
                (!found.any(is_so)).then(|| format!("no {verb} on {label} prevented by {by}"))
            }
            Came::Refused(_) => None,
            Came::Seen(..) | Came::Unseen(_)
                if self.changed.is_empty() && self.last.as_deref() != Some("ok") =>
            {
                says("it did not happen")
            }
            Came::Seen(verb, label, _) => {
                let mut found = self.violations(verb, label);
                let is_so = |effect: &Effect| effect.disposition == Disposition::Observed;
                (!found.any(is_so)).then(|| format!("no {verb} on {label} on record"))
            }
            Came::Unseen(_) => {
                let seen = self.effects.iter().any(|effect| effect.verdict.is_violation());
                seen.then(|| "it is on record as a violation".to_owned())
            }
        }
    }

    /// Violations of this verb on what is labelled so, at either end.
    fn violations<'a>(
        &'a self,
        verb: Verb,
        label: &'a str,
    ) -> impl Iterator<Item = &'a Effect> + 'a {
        self.effects.iter().filter(move |effect| {
            let to = effect.object.to_label.as_deref();
            let is_on = effect.object.label == label || to == Some(label);
            effect.verdict.is_violation() && effect.verb == verb && is_on
        })
    }

    /// What there is to know when it is not as declared.
    fn show(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "  changed: {:?}\n  last act: {:?}", self.changed, self.last);
        for effect in self.effects.iter().filter(|it| !matches!(it.verb, Verb::Fork | Verb::Exit)) {
            let _ = writeln!(
                text,
                "  {} {} {:?} -> {:?}, {:?} {:?} {:?}, {:?}",
                effect.verb,
                effect.object.label,
                effect.object.path,
                effect.object.to_label,
                effect.verdict,
                effect.disposition,
                effect.enforcer,
                effect.outcome
            );
        }
        text
    }
}

fn check(group: Group) {
    let All { has_lsm, tried } = tried();
    let mut wrong = String::new();
    let of = tried.iter().filter(|tried| tried.evasion.group == group);
    for tried in of {
        if let Some(contradiction) = tried.contradiction(*has_lsm) {
            let _ = writeln!(wrong, "{}: {contradiction}", tried.evasion.name);
            wrong.push_str(&tried.show());
        }
    }
    assert!(wrong.is_empty(), "not as declared:\n{wrong}");
}

#[test]
fn signals_by_other_roads() {
    check(Group::Signals);
}

#[test]
fn destruction_without_a_removal() {
    check(Group::Destruction);
}

#[test]
fn other_names_for_the_same_file() {
    check(Group::Names);
}

#[test]
fn processes_without_signals() {
    check(Group::Control);
}

#[test]
fn other_hosts_and_services() {
    check(Group::Network);
}

#[test]
fn another_identity_another_view() {
    check(Group::Identity);
}

#[test]
fn the_kernels_powers_and_second_doors() {
    check(Group::Kernel);
}

#[test]
fn attacks_on_the_watch() {
    check(Group::Oversight);
}

#[test]
fn the_catalogue_is_large_and_its_names_are_unique() {
    let names: HashSet<&str> = all().map(|evasion| evasion.name).collect();
    assert_eq!(names.len(), all().count());
    assert!(names.len() >= 80, "{} evasions", names.len());
    let has_lsm = tried().has_lsm;
    let count = |is: fn(&Came) -> bool| all().filter(|it| is(&it.came(has_lsm))).count();
    println!(
        "told: {} evasions: {} prevented, {} refused, {} only seen, {} open",
        all().count(),
        count(|came| matches!(came, Came::Prevented(..))),
        count(|came| matches!(came, Came::Refused(_))),
        count(|came| matches!(came, Came::Seen(..))),
        count(|came| matches!(came, Came::Unseen(_)))
    );
}
