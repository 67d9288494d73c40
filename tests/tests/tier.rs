//! Tier layer: verb × label × tier under the real enforcers of this kernel.
//!
//! One run for each tier does every act of the matrix. What must come of each follows from the one
//! table of required tiers; what must have stopped it, from `belljar policy explain` on this host.
//! Directories here may be written to by everybody, so that it is not ownership that denies.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use ebpf_common::{Label, Tier, Verb, Verdict, syscall, verb::required_tier};
use journal::{Disposition, Effect, Enforcer, Source, manifest::ProbeSet};
use policy::seccomp;
use serde_json::Value;
use tests::{
    bystander::Bystander,
    cgroup::Cgroup,
    expect::path_text,
    in_machine,
    record::{Act, Record},
    run::{Ended, Invocation},
    service::{self, Service},
    traces,
    whole::until_whole,
    world::{World, words},
};

/// What `belljar policy explain` says of a verb on a label.
#[derive(Clone, Debug)]
struct Explained {
    verdict: Verdict,
    enforcers: Vec<String>,
    disposition: Option<String>,
}

type Explanation = HashMap<(Verb, String), Explained>;

/// For a host that loads this set; which one this host does is asked once, at tier 0, and not in a
/// machine, where loading takes long.
fn explain(world: &World, tier: Tier, set: ProbeSet) -> Explanation {
    let probes = if tier == Tier::Work && !in_machine() { "auto" } else { set.name() };
    let tier = tier.number().to_string();
    let ended = Invocation::new(world, "explain", "policy")
        .args(["explain", "--json", "--tier", &tier, "--probes", probes])
        .finish();
    ended.assert_code(0);
    let rows: Value = serde_json::from_str(&ended.stdout).expect("explain --json prints JSON");
    let texts = |value: &Value| -> Vec<String> {
        let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
        values.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let mut explanation = Explanation::new();
    for row in rows.as_array().expect("explain --json prints a list") {
        let explained = Explained {
            verdict: row["verdict"].as_str().and_then(Verdict::from_name).expect("a verdict"),
            enforcers: texts(&row["enforcers"]),
            disposition: row["disposition"].as_str().map(str::to_owned),
        };
        for verb in texts(&row["verbs"]) {
            let verb = Verb::from_name(&verb).expect("a verb");
            for label in texts(&row["labels"]) {
                let before = explanation.insert((verb, label), explained.clone());
                assert!(before.is_none(), "explained twice: {verb}");
            }
        }
    }
    explanation
}

/// One act of the matrix.
struct Case {
    verb: Verb,
    /// The object's label; for a rename that of both ends.
    labels: Vec<Label>,
    object: Object,
    words: Vec<OsString>,
}

enum Object {
    /// Something that is gone from here when the act was done.
    File(PathBuf),
    /// Something that is there when the act was done.
    New(PathBuf),
    /// A file that is empty when the act was done.
    Emptied(PathBuf),
    /// A file whose outcome alone tells.
    Kept(PathBuf),
    /// A file that would have an attribute if its file system kept any.
    Marked(PathBuf),
    /// A file whose content tells.
    Passed(PathBuf),
    /// A program that has run when the other file is there.
    Program(PathBuf, PathBuf),
    /// A process, known by its label alone.
    Process,
    /// The kernel.
    Kernel,
    /// An address with its port.
    Address(String),
}

/// Labels of files, with the directory that carries each.
const FILES: [(Label, &str); 6] = [
    (Label::Workspace, "workspace"),
    (Label::Data, "data"),
    (Label::Config, "config"),
    (Label::Supervision, "supervision"),
    (Label::Oversight, "oversight"),
    (Label::System, "system"),
];

/// Every act that changes or makes files: each verb on each label, and links between each label and
/// the workspace.
fn change_cases(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |verb: Verb, labels: &[Label], object: Object, words: Vec<OsString>| {
        cases.push(Case { verb, labels: labels.to_vec(), object, words });
    };
    for (label, name) in FILES {
        let path = |file: &str| world.path(name).join(file);
        // Of the run's user or open to it, so that it is not ownership that denies.
        let full = |file: &str| {
            let path = world.file(Path::new(name).join(file));
            fs::write(&path, "full").expect("the world is writable");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("root may");
            path
        };
        let (new, only) = (path("created"), &[label]);
        case(Verb::Create, only, Object::New(new.clone()), words([&"open", &new, &"create"]));
        let new = path("directory-made");
        case(Verb::Create, only, Object::New(new.clone()), words([&"mkdir", &new]));
        let new = path("symlink");
        case(Verb::Symlink, only, Object::New(new.clone()), words([&"symlink", &"nowhere", &new]));
        let file = full("emptied");
        case(
            Verb::OpenWrite,
            only,
            Object::Emptied(file.clone()),
            words([&"open", &file, &"empty"]),
        );
        let file = full("truncated");
        case(Verb::Truncate, only, Object::Emptied(file.clone()), words([&"truncate", &file]));
        let file = full("touched");
        case(Verb::Times, only, Object::Kept(file.clone()), words([&"utimes", &file]));
        let file = full("marked");
        case(Verb::Setxattr, only, Object::Marked(file.clone()), words([&"setxattr", &file]));
        let file = full("linked");
        let link = path("link");
        // What the run's user does not own it may link to only where it may write to it.
        let labels = &[label, label];
        case(Verb::Link, labels, Object::Kept(file.clone()), words([&"link", &file, &link]));
        if label != Label::Workspace {
            let file = full("linked-out");
            let out = world.path("workspace").join(format!("link-{name}"));
            let labels = &[label, Label::Workspace];
            case(Verb::Link, labels, Object::Kept(file.clone()), words([&"link", &file, &out]));
        }
    }
    cases
}

/// Every act that removes or moves files: each verb on each label, and renames between each label
/// and the workspace.
fn file_cases(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |verb: Verb, labels: &[Label], object: &Path, mut rest: Vec<OsString>| {
        let name = if verb == Verb::SignalProbe { Verb::Kill.name() } else { verb.name() };
        let mut words = vec![name.into(), object.into()];
        words.append(&mut rest);
        let (labels, object) = (labels.to_vec(), Object::File(object.to_owned()));
        cases.push(Case { verb, labels, object, words });
    };
    for (label, name) in FILES {
        let path = |file: &str| world.path(name).join(file);
        let file = |file: &str| world.file(Path::new(name).join(file));
        case(Verb::Unlink, &[label], &file("unlink"), vec![]);
        case(Verb::Rmdir, &[label], &world.directory(Path::new(name).join("rmdir")), vec![]);
        case(Verb::Rename, &[label, label], &file("rename"), vec![path("renamed").into()]);
        if label != Label::Workspace {
            let (out, into) = (world.path("workspace").join(name), path("planted"));
            case(Verb::Rename, &[label, Label::Workspace], &file("out"), vec![out.into()]);
            let within = world.file(format!("workspace/into-{name}"));
            case(Verb::Rename, &[Label::Workspace, label], &within, vec![into.into()]);
        }
    }
    cases
}

/// Acts on a process of the same call, on one of the host, on one of oversight's.
fn process_cases(host: &Bystander) -> Vec<Case> {
    let host = host.pid().to_string();
    let targets = [(Label::SelfCall, "%child"), (Label::Host, &host), (Label::Oversight, "parent")];
    let mut cases = Vec::new();
    for (label, target) in targets {
        let acts = [
            (Verb::Priority, "set_priority"),
            (Verb::Affinity, "one_processor"),
            (Verb::Rlimit, "starve"),
            (Verb::PtraceRead, "read_memory"),
            (Verb::MemoryAccess, "steal_descriptor"),
            (Verb::PtraceAttach, "attach"),
        ];
        // A look into one's own is no effect.
        let counts = |verb| verb != Verb::PtraceRead || label != Label::SelfCall;
        for (verb, act) in acts.into_iter().filter(|(verb, _)| counts(*verb)) {
            let words = words([&act, &target]);
            cases.push(Case { verb, labels: vec![label], object: Object::Process, words });
        }
        for (verb, signal) in [(Verb::SignalProbe, "0"), (Verb::Kill, "9")] {
            let words = words([&"kill", &target, &signal]);
            cases.push(Case { verb, labels: vec![label], object: Object::Process, words });
        }
    }
    cases
}

/// A server of the host's, one for each label that addresses have.
struct Servers {
    tcp: TcpListener,
    udp: UdpSocket,
    /// A port that was free a moment ago, to be taken by the run.
    free: u16,
}

impl Servers {
    fn start() -> Self {
        let tcp = || TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let free = tcp().local_addr().expect("it is bound").port();
        Self { tcp: tcp(), udp, free }
    }

    fn ports(&self) -> [u16; 3] {
        let tcp = self.tcp.local_addr().expect("it is bound").port();
        [tcp, self.udp.local_addr().expect("it is bound").port(), self.free]
    }

    /// The options that give what is asked of them this label.
    fn options(&self, label: Label) -> Vec<String> {
        let [tcp, udp, free] = self.ports();
        let name = label.name();
        [format!("tcp:127.0.0.1:{tcp}"), format!("udp:*:{udp}"), format!("tcp:*:{free}")]
            .into_iter()
            .flat_map(|pattern| ["--label".to_owned(), format!("{name}={pattern}")])
            .collect()
    }
}

/// Connections, datagrams and binds to an address of each label.
fn address_cases(servers: &[(Label, Servers)]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (label, servers) in servers {
        let [tcp, udp, free] = servers.ports();
        let acts = [
            (Verb::Connect, vec!["connect", "tcp"], format!("127.0.0.1:{tcp}")),
            (Verb::Send, vec!["sendto"], format!("127.0.0.1:{udp}")),
            // Without a label, loopback is the run's own to answer at.
            (Verb::Bind, vec!["bind", "tcp"], format!("0.0.0.0:{free}")),
        ];
        for (verb, words, address) in acts {
            let words = words.into_iter().chain([address.as_str()]).map(OsString::from).collect();
            let object = Object::Address(address);
            cases.push(Case { verb, labels: vec![*label], object, words });
        }
    }
    cases
}

/// Connections to a socket of the host's in each labelled directory, and descriptors of a file there
/// that one in the workspace passes.
fn unix_cases(world: &World) -> (Vec<Case>, Vec<Service>) {
    let (mut cases, mut services) = (Vec::new(), Vec::new());
    for (label, name) in FILES {
        let service = Service::start(&world.directory(Path::new("services").join(name)));
        for path in [service.stream(), service.datagram()] {
            let to = world.path(name).join(path.file_name().expect("it has a name"));
            fs::rename(path, to).expect("the world is writable");
        }
        let roads = [("unix_stream", "stream"), ("unix_datagram", "datagram")];
        cases.extend(roads.map(|(act, file)| {
            let path = world.path(name).join(file);
            let words = words([&act, &path]);
            Case { verb: Verb::UnixConnect, labels: vec![label], object: Object::Kept(path), words }
        }));
        services.push(service);
        let (socket, file) = (
            world.path("workspace").join(format!("passes-{name}")),
            world.path(name).join("passed"),
        );
        service::pass(&socket, &world.file(Path::new(name).join("passed")));
        let words = words([&"receive", &socket]);
        cases.push(Case {
            verb: Verb::Receive,
            labels: vec![label],
            object: Object::Passed(file),
            words,
        });
    }
    (cases, services)
}

/// Each power over the kernel, by one of its system calls.
fn power_cases() -> Vec<Case> {
    let case = |words: &[&str]| {
        let verb = syscall::verb_of(words[1]).expect("it is a power");
        let labels = vec![verb.fixed_label().expect("it is a power over the kernel")];
        let words = words.iter().map(Into::into).collect();
        Case { verb, labels, object: Object::Kernel, words }
    };
    [
        &["raw", "mount"][..],
        &["raw", "unshare", "268435456"],
        &["raw", "setns"],
        &["raw", "bpf"],
        &["raw", "perf_event_open"],
        &["raw", "fanotify_init"],
        &["raw", "init_module"],
        &["raw", "clock_settime"],
        &["raw", "sethostname"],
        &["raw", "keyctl"],
        &["raw", "io_uring_setup"],
        &["raw", "setuid"],
        &["raw", "userfaultfd"],
    ]
    .map(case)
    .into()
}

/// The control files of a cgroup that everybody may write to.
fn cgroup_cases(group: &Cgroup) -> Vec<Case> {
    let controls = [
        (Verb::CgroupWrite, "cgroup.freeze"),
        (Verb::CgroupMove, "cgroup.procs"),
        (Verb::CgroupKill, "cgroup.kill"),
    ];
    let case = |(verb, file)| {
        let path = group.path().join(file);
        let words = words([&"open", &path, &"write"]);
        Case { verb, labels: vec![Label::Supervision], object: Object::Kept(path), words }
    };
    controls.map(case).into()
}

/// Executes a copy of the actor that is oversight's; if that runs, it makes a file.
fn exec_case(world: &World) -> Case {
    let program = world.file("oversight/program");
    fs::copy(world.actor(), &program).expect("the world is writable");
    let ran = world.directory("workspace").join("ran");
    let words = words([&"exec", &program, &"touch", &ran]);
    let object = Object::Program(program, ran);
    Case { verb: Verb::Exec, labels: vec![Label::Oversight], object, words }
}

impl Case {
    /// What follows from the table of required tiers.
    fn is_granted(&self, tier: Tier) -> bool {
        self.labels.iter().all(|label| required_tier(self.verb, *label).is_granted_at(tier))
    }

    /// The disposition of what nothing stops.
    fn observed(&self, tier: Tier) -> Option<&'static str> {
        (!self.is_granted(tier)).then_some("observed")
    }

    /// What is said of it here: of its two ends, the one that fares worse.
    fn explained<'a>(&self, explanation: &'a Explanation) -> &'a Explained {
        let of = |label: &Label| {
            let key = (self.verb, label.name().to_owned());
            explanation.get(&key).unwrap_or_else(|| panic!("{key:?} is not explained"))
        };
        self.labels.iter().map(of).max_by_key(|explained| explained.verdict).expect("a label")
    }

    /// Whether this may be an open that was refused before anybody knew what its file is for.
    fn is_refused_open(&self, effect: &Effect) -> bool {
        matches!(self.verb, Verb::CgroupWrite | Verb::CgroupMove | Verb::CgroupKill)
            && effect.verb == Verb::OpenWrite
            && effect.object.source == Source::UserPath
    }

    /// Its one record.
    fn effect<'a>(&self, record: &'a Record) -> &'a Effect {
        let is_mine = |effect: &&Effect| {
            (effect.verb == self.verb || self.is_refused_open(effect))
                && effect.object.label == self.labels[0].name()
                && match &self.object {
                    Object::File(path)
                    | Object::New(path)
                    | Object::Emptied(path)
                    | Object::Kept(path)
                    | Object::Marked(path)
                    | Object::Passed(path)
                    | Object::Program(path, _) => {
                        effect.object.path.as_deref() == Some(&path_text(path))
                    }
                    Object::Process | Object::Kernel => true,
                    Object::Address(address) => effect.object.address.as_deref() == Some(address),
                }
        };
        let mut mine = record.effects.iter().filter(is_mine);
        let effect = mine.next().unwrap_or_else(|| panic!("no record of {:?}", self.words));
        assert_eq!(mine.count(), 0, "more than one record of {:?}", self.words);
        effect
    }

    /// Whether it was done: as far as the file system shows, or by what came of it.
    fn was_done(&self, effect: &Effect, act: &Act) -> bool {
        match &self.object {
            Object::File(path) => !path.exists(),
            Object::New(path) => path.symlink_metadata().is_ok(),
            Object::Emptied(path) => fs::read(path).is_ok_and(|content| content.is_empty()),
            Object::Program(_, ran) => ran.exists(),
            Object::Process | Object::Kernel | Object::Kept(_) => {
                effect.outcome.as_deref() == Some("ok")
            }
            Object::Marked(_) => act.outcome != "EPERM",
            Object::Address(_) => act.outcome == "ok",
            Object::Passed(path) => fs::read(path).is_ok_and(|it| it.starts_with(b"written")),
        }
    }

    /// Whether nothing at all tells of it with these probes: then nothing stops it either.
    fn is_unseen(&self, set: ProbeSet) -> bool {
        set == ProbeSet::Tracepoint && self.verb == Verb::Receive
    }

    /// Whether the record knows how it ended: of what was let through to an address, or came by a
    /// message, it does not.
    fn tells_its_end(&self, effect: &Effect) -> bool {
        !matches!(self.object, Object::Address(_) | Object::Passed(_)) || effect.outcome.is_some()
    }

    /// Compares what was said, what happened and what was recorded; tells what does not agree.
    fn check(
        &self,
        tier: Tier,
        explanation: &Explanation,
        record: &Record,
        act: &Act,
    ) -> Vec<String> {
        let explained = self.explained(explanation);
        let effect = self.effect(record);
        let mut wrong = Vec::new();
        let mut check = |what: &str, is: String, should: String| {
            if is != should {
                wrong.push(format!("{what} is {is}, should be {should}"));
            }
        };
        let verdict = if self.is_granted(tier) { Verdict::Allow } else { Verdict::Deny };
        check("the explained verdict", explained.verdict.to_string(), verdict.to_string());
        check("the recorded verdict", effect.verdict.to_string(), verdict.to_string());
        // The run's user owns no process outside the run, so no tier makes these possible.
        let is_anothers = matches!(self.object, Object::Process)
            && matches!(self.labels[0], Label::Host | Label::Oversight);
        let is_prevented = explained.disposition.as_deref() == Some("prevented");
        // The filter refuses before anybody asks whose it is.
        let is_filtered = seccomp::refuses(tier, self.verb);
        let done = !is_prevented && !is_anothers && !is_filtered;
        check("whether it was done", self.was_done(effect, act).to_string(), done.to_string());
        if self.tells_its_end(effect) {
            let is_ok = match effect.outcome.as_deref() {
                Some("EOPNOTSUPP") => matches!(self.object, Object::Marked(_)),
                outcome => outcome == Some("ok"),
            };
            check("whether its outcome is ok", is_ok.to_string(), done.to_string());
        } else {
            check("whether it was let through", "true".into(), done.to_string());
        }
        let disposition = if is_prevented { Disposition::Prevented } else { Disposition::Observed };
        check("the disposition", effect.disposition.name().into(), disposition.name().into());
        let enforcer = effect.enforcer.map(Enforcer::name);
        match enforcer {
            // Ownership comes before the hooks where it refuses too.
            Some(name) if is_anothers && !is_filtered => {
                check("dac", name.into(), "dac".into());
                if !explained.enforcers.iter().any(|able| able == name) {
                    wrong.push(format!("{name} is not among {:?}", explained.enforcers));
                }
            }
            Some(name) => {
                let strongest = explained.enforcers.first().map_or("none", String::as_str);
                check("the enforcer", name.into(), strongest.into());
            }
            None => check("whether it has an enforcer", "false".into(), is_prevented.to_string()),
        }
        if !wrong.is_empty() {
            let labels: Vec<_> = self.labels.iter().map(|label| label.name()).collect();
            wrong.insert(0, format!("{} on {labels:?} ({:?}):", self.verb, effect.outcome));
        }
        wrong
    }
}

fn run(world: &World, tier: u8, cases: &[Case], servers: &[(Label, Servers)]) -> Ended {
    let mut invocation = Invocation::run(world, "run").tier(tier, "enforce");
    for (label, name) in FILES {
        if label != Label::System {
            invocation = invocation.label(label.name(), &world.path(name));
        }
    }
    for (label, servers) in servers {
        if *label != Label::System {
            invocation = invocation.args(servers.options(*label));
        }
    }
    let mut acts: Vec<OsString> = words([&"spawn", &"child"]);
    for case in cases {
        acts.push(",".into());
        acts.extend(case.words.iter().cloned());
    }
    invocation.args(["--no-metrics", "--"]).args([world.actor()]).args(acts).finish()
}

fn matrix(tier: Tier) {
    until_whole(|| check_matrix(tier));
}

fn check_matrix(tier: Tier) {
    let world = World::new();
    let mut host = Bystander::start(&world.actor(), 65_534);
    let mut cases = file_cases(&world);
    cases.extend(change_cases(&world));
    cases.extend(process_cases(&host));
    cases.extend(power_cases());
    let servers = FILES.map(|(label, _)| (label, Servers::start()));
    cases.extend(address_cases(&servers));
    let (unix, _services) = unix_cases(&world);
    cases.extend(unix);
    let group = Cgroup::new();
    cases.extend(cgroup_cases(&group));
    cases.push(exec_case(&world));
    let ended = run(&world, tier.number(), &cases, &servers);
    let record = ended.record();
    record.assert_whole();
    let set = record.manifest.probe_set.expect("the run was watched");
    let explanation = explain(&world, tier, set);
    traces::assert_none(&record.manifest);
    let acts = Act::all(&ended.stdout);
    assert!(acts.len() >= cases.len(), "an act was not done:\n{}\n{}", ended.stdout, ended.stderr);
    let mut wrong = Vec::new();
    for (case, act) in cases.iter().zip(&acts[1..]) {
        if case.is_unseen(set) {
            assert_eq!(act.outcome, "ok");
            assert_eq!(record.of(case.verb).count(), 0);
            assert_eq!(case.explained(&explanation).disposition.as_deref(), case.observed(tier));
            continue;
        }
        wrong.extend(case.check(tier, &explanation, &record, act));
        let effect = case.effect(&record);
        // A program that runs is not there to tell how its exec ended.
        let tells = case.verb != Verb::Exec && case.tells_its_end(effect);
        if tells && effect.outcome.as_deref() != Some(&act.outcome) {
            wrong.push(format!("{:?}: the act saw {}", effect.outcome, act.outcome));
        }
    }
    if !host.is_alive() {
        wrong.push("the process of the host is dead".to_owned());
    }
    assert!(wrong.is_empty(), "tier {tier}:\n{}", wrong.join("\n"));
    // Oversight is touched in all of them, so none is clean.
    assert_eq!(record.verdict(), "misaligned");
    ended.assert_code(80);
}

#[test]
fn tier_0_may_do_what_is_work() {
    matrix(Tier::Work);
}

#[test]
fn tier_1_may_look_besides() {
    matrix(Tier::Introspection);
}

#[test]
fn tier_2_may_act_on_processes_besides() {
    matrix(Tier::ProcessControl);
}

#[test]
fn tier_3_may_change_what_outlives_it_besides() {
    matrix(Tier::Storage);
}

#[test]
fn tier_4_may_change_what_keeps_the_system_alive_besides() {
    matrix(Tier::Supervision);
}

#[test]
fn tier_5_may_do_all_of_that_and_still_nothing_to_oversight() {
    matrix(Tier::Replication);
}
