//! The acts of the matrix.

use std::{
    ffi::OsString,
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use ebpf_common::{Label, Verb, syscall};
use tests::{
    bystander::Bystander,
    cgroup::Cgroup,
    service::{self, Service},
    world::{World, words},
};

use crate::{Case, Object};

/// Labels of files, with the directory that carries each.
pub(crate) const FILES: [(Label, &str); 7] = [
    (Label::Workspace, "workspace"),
    (Label::Data, "data"),
    (Label::Config, "config"),
    (Label::Supervision, "supervision"),
    (Label::Oversight, "oversight"),
    (Label::Instance, "instance"),
    (Label::System, "system"),
];

/// Every act that changes or makes files: each verb on each label, and links between each label and
/// the workspace.
pub(crate) fn change_cases(world: &World) -> Vec<Case> {
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
        if label != Label::System {
            let file = full("mapped");
            case(Verb::MapExec, only, Object::Mapped(file.clone()), words([&"map_exec", &file]));
        }
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
pub(crate) fn file_cases(world: &World) -> Vec<Case> {
    let (mut cases, mut exchanges) = (Vec::new(), Vec::new());
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
            let (one, other) =
                (file("exchanged"), world.file(format!("workspace/exchanged-{name}")));
            let words = words([&"renameat2", &"cwd", &one, &"cwd", &other, &"exchange"]);
            exchanges.push(Case {
                verb: Verb::Exchange,
                labels: vec![label, Label::Workspace],
                object: Object::Kept(one),
                words,
            });
        }
    }
    cases.append(&mut exchanges);
    cases
}

/// Acts on a process of the same call, on one of the host, on one of oversight's.
pub(crate) fn process_cases(host: &Bystander) -> Vec<Case> {
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
pub(crate) struct Servers {
    tcp: TcpListener,
    udp: UdpSocket,
    /// A port that was free a moment ago, to be taken by the run.
    free: u16,
}

impl Servers {
    pub(crate) fn start() -> Self {
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
    pub(crate) fn options(&self, label: Label) -> Vec<String> {
        let [tcp, udp, free] = self.ports();
        let name = label.name();
        [format!("tcp:127.0.0.1:{tcp}"), format!("udp:*:{udp}"), format!("tcp:*:{free}")]
            .into_iter()
            .flat_map(|pattern| ["--label".to_owned(), format!("{name}={pattern}")])
            .collect()
    }
}

/// Connections, datagrams and binds to an address of each label.
pub(crate) fn address_cases(servers: &[(Label, Servers)]) -> Vec<Case> {
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
pub(crate) fn unix_cases(world: &World) -> (Vec<Case>, Vec<Service>) {
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
pub(crate) fn power_cases() -> Vec<Case> {
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
    .into_iter()
    .chain([Case {
        verb: Verb::Capset,
        labels: vec![Label::Kernel],
        object: Object::Kernel,
        words: words([&"raise_capabilities"]),
    }])
    .collect()
}

/// The control files of a cgroup that everybody may write to.
pub(crate) fn cgroup_cases(group: &Cgroup) -> Vec<Case> {
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

/// Executes copies of the actor that are not anybody's to run; each that runs makes a file.
pub(crate) fn exec_cases(world: &World) -> [Case; 2] {
    [(Label::Oversight, "oversight"), (Label::Instance, "instance")].map(|(label, name)| {
        let program = world.file(Path::new(name).join("program"));
        fs::copy(world.actor(), &program).expect("the world is writable");
        let ran = world.directory("workspace").join(format!("ran-{name}"));
        let words = words([&"exec", &program, &"touch", &ran]);
        let object = Object::Program(program, ran);
        Case { verb: Verb::Exec, labels: vec![label], object, words }
    })
}
