//! `connect`, `bind`, `send`: by every road and in every spelling of an address.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use journal::{Enforcer, Verb};
use tests::{
    expect::{self, Expected},
    record::Act,
    run::Invocation,
    traces,
    whole::until_whole,
    world::World,
};

use crate::{part::Prepared, parts, script::Script};

/// Spellings of loopback, and how the record writes each: the address as it was asked for, IPv4 as
/// such also where it was mapped into IPv6.
const LOOPBACK: [(&str, &str); 7] = [
    ("127.0.0.1", "127.0.0.1"),
    ("127.9.8.7", "127.9.8.7"),
    ("0.0.0.0", "0.0.0.0"),
    ("[::1]", "[::1]"),
    ("[::]", "[::]"),
    ("[::ffff:127.0.0.1]", "127.0.0.1"),
    ("[::ffff:0.0.0.0]", "0.0.0.0"),
];

/// Ports that nobody listens at; the record does not depend on it.
const DATA: u16 = 1;
const EVERYWHERE: u16 = 2;
const OVERSIGHT: u16 = 3;
const OTHER: u16 = 4;
/// A port below the range that the kernel chooses from.
const LISTENS: u16 = 23_717;

pub(crate) fn spellings(_: &World) -> Prepared {
    let mut script = Script::default();
    for (spelling, _) in LOOPBACK {
        let address = format!("{spelling}:{DATA}");
        script = script
            .act("connect", &["tcp", &address])
            .act("connect", &["udp", &address])
            .act("sendto", &[&address])
            .act("fastopen", &[&address])
            .act("bind", &["tcp", &address])
            .act("bind", &["udp", &address]);
    }
    Prepared::from(script)
        .label("data", format!("tcp:127.0.0.1:{DATA}"))
        .label("config", format!("udp:[::1]:{DATA}"))
}

#[test]
fn every_spelling_of_loopback_has_the_label_of_loopback() {
    for part in parts("addresses") {
        let mut expected = Vec::new();
        for (_, written) in LOOPBACK {
            let address = format!("{written}:{DATA}");
            let tcp = |verb| Expected::address(verb, "data", "tcp", &address);
            let udp = |verb| Expected::address(verb, "config", "udp", &address);
            expected.extend([
                tcp(Verb::Connect),
                udp(Verb::Connect),
                udp(Verb::Send),
                tcp(Verb::Connect),
                tcp(Verb::Bind),
                udp(Verb::Bind),
            ]);
        }
        part.assert_did(&expected);
    }
}

pub(crate) fn listens(_: &World) -> Prepared {
    let script = ["127.0.0.1", "[::1]"].into_iter().fold(Script::default(), |script, host| {
        script.act("listen", &[format!("{host}:{LISTENS}")])
    });
    Prepared::from(script).label("data", format!("tcp:127.0.0.1:{LISTENS}"))
}

#[test]
fn a_socket_that_listens_is_recorded_with_its_own_address() {
    for part in parts("listens") {
        let expected = ["127.0.0.1", "[::1]"].into_iter().flat_map(|host| {
            let act = |verb| Expected::address(verb, "data", "tcp", &format!("{host}:{LISTENS}"));
            let listens = act(Verb::Listen);
            [act(Verb::Bind), if part.has_lsm() { listens } else { listens.outcome("ok") }]
        });
        part.assert_did(&expected.collect::<Vec<_>>());
    }
}

pub(crate) fn wildcards(_: &World) -> Prepared {
    let script = Script::default()
        // UDP connections send nothing, so these addresses of documentation are never asked.
        .act("connect", &["udp", &format!("192.0.2.1:{EVERYWHERE}")])
        .act("connect", &["udp", &format!("[2001:db8::1]:{EVERYWHERE}")])
        .act("connect", &["udp", &format!("127.0.0.1:{EVERYWHERE}")])
        .act("connect", &["udp", &format!("192.0.2.7:{OTHER}")])
        .act("connect", &["udp", &format!("192.0.2.7:{EVERYWHERE}")])
        .act("connect", &["udp", &format!("192.0.2.7:{OVERSIGHT}")])
        .act("connect", &["tcp", &format!("127.0.0.1:{OVERSIGHT}")])
        .act("connect", &["tcp", &format!("127.0.0.1:{OTHER}")])
        .act("bind", &["udp", "127.0.0.1:0"])
        .act("bind", &["udp", "[::]:0"])
        .act("bind", &["udp", "[::1]:60001"])
        .act("bind", &["udp", "0.0.0.0:60001"]);
    Prepared::from(script)
        .label("config", format!("udp:*:{EVERYWHERE}"))
        .label("data", format!("udp:127.0.0.1:{EVERYWHERE}"))
        .label("supervision", "udp:192.0.2.7:*")
        .label("oversight", format!("udp:*:{OVERSIGHT}"))
        .label("data", format!("udp:192.0.2.7:{OVERSIGHT}"))
}

#[test]
fn the_nearest_pattern_labels_an_address_and_oversight_wins() {
    for part in parts("wildcards") {
        let connect = |label: &str, protocol: &str, host: &str, port: u16| {
            Expected::address(Verb::Connect, label, protocol, &format!("{host}:{port}"))
        };
        let bind =
            |label: &str, address: &str| Expected::address(Verb::Bind, label, "udp", address);
        part.assert_did(&[
            connect("config", "udp", "192.0.2.1", EVERYWHERE),
            connect("config", "udp", "[2001:db8::1]", EVERYWHERE),
            connect("data", "udp", "127.0.0.1", EVERYWHERE),
            connect("supervision", "udp", "192.0.2.7", OTHER),
            connect("config", "udp", "192.0.2.7", EVERYWHERE),
            connect("oversight", "udp", "192.0.2.7", OVERSIGHT).denied(),
            connect("system", "tcp", "127.0.0.1", OVERSIGHT),
            connect("system", "tcp", "127.0.0.1", OTHER),
            bind("workspace", "127.0.0.1:0"),
            bind("workspace", "[::]:0"),
            bind("workspace", "[::1]:60001"),
            bind("system", "0.0.0.0:60001"),
        ]);
    }
}

pub(crate) fn sockets(_: &World) -> Prepared {
    let mut script = Script::default();
    for (socket, _) in SOCKETS {
        script = script.act("socket", &socket.map(|number| number.to_string()));
    }
    script.into()
}

/// Family, type and protocol of sockets, and whether an agent gets them.
const SOCKETS: [([i32; 3], bool); 12] = [
    ([libc::AF_UNIX, libc::SOCK_SEQPACKET, 0], true),
    ([libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE], true),
    ([libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP], true),
    ([libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_UDP], true),
    ([libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP], false),
    ([libc::AF_INET, libc::SOCK_SEQPACKET, 0], false),
    ([libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_SCTP], false),
    ([libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE], false),
    ([libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP], false),
    ([libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW], false),
    ([libc::AF_PACKET, libc::SOCK_DGRAM, 0], false),
    ([libc::AF_VSOCK, libc::SOCK_STREAM, 0], false),
];

#[test]
fn an_agent_gets_no_socket_whose_addresses_nobody_judges() {
    for part in parts("sockets") {
        let expected = SOCKETS.map(|(_, open)| ("socket", if open { "ok" } else { "EPERM" }));
        assert_eq!(part.outcomes(), expected);
    }
}

/// How many connections wait to be accepted.
fn accepted(listener: &TcpListener) -> usize {
    listener.set_nonblocking(true).expect("a listener can be made not to wait");
    std::iter::from_fn(|| match listener.accept() {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        accepted => Some(accepted.expect("a connection is there or not")),
    })
    .count()
}

/// How many datagrams wait to be read.
fn received(socket: &UdpSocket) -> usize {
    socket.set_nonblocking(true).expect("a socket can be made not to wait");
    std::iter::from_fn(|| match socket.recv(&mut [0; 64]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        received => Some(received.expect("a datagram is there or not")),
    })
    .count()
}

/// Servers of the host on one port for each protocol, on all addresses.
struct Servers {
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Servers {
    fn start() -> Self {
        // Dual-stack, so that every spelling reaches them.
        Self {
            tcp: TcpListener::bind("[::]:0").expect("a port is free"),
            udp: UdpSocket::bind("[::]:0").expect("a port is free"),
        }
    }

    fn ports(&self) -> (u16, u16) {
        let port = |address: std::io::Result<SocketAddr>| address.expect("it is bound").port();
        (port(self.tcp.local_addr()), port(self.udp.local_addr()))
    }
}

/// Each road in each spelling, with the effect of each.
fn roads((tcp, udp): (u16, u16), effect: impl Fn(Expected) -> Expected, label: &str) -> Roads {
    let mut roads = Roads::default();
    for (spelling, written) in LOOPBACK {
        let (to_tcp, to_udp) = (format!("{spelling}:{tcp}"), format!("{spelling}:{udp}"));
        roads.script = roads
            .script
            .act("connect", &["tcp", &to_tcp])
            .act("fastopen", &[&to_tcp])
            .act("connect", &["udp", &to_udp])
            .act("sendto", &[&to_udp]);
        let expected = |verb, protocol: &str, port: u16| {
            effect(Expected::address(verb, label, protocol, &format!("{written}:{port}")))
        };
        roads.effects.extend([
            expected(Verb::Connect, "tcp", tcp),
            expected(Verb::Connect, "tcp", tcp),
            expected(Verb::Connect, "udp", udp),
            expected(Verb::Send, "udp", udp),
        ]);
    }
    roads
}

#[derive(Default)]
struct Roads {
    script: Script,
    effects: Vec<Expected>,
}

#[test]
fn what_is_denied_reaches_no_server_and_what_is_granted_does() {
    until_whole(denied);
}

fn denied() {
    let world = World::new();
    let (denied, granted) = (Servers::start(), Servers::start());
    let prevented = |expected: Expected| expected.outcome("EPERM").prevented(Enforcer::CgroupBpf);
    let stopped = roads(denied.ports(), prevented, "system");
    let passed = roads(granted.ports(), |expected| expected, "workspace");
    let (tcp, udp) = granted.ports();
    let ended = Invocation::run(&world, "run")
        .tier(0, "enforce")
        .label("workspace", format!("tcp:127.0.0.1:{tcp}").as_ref())
        .label("workspace", format!("udp:127.0.0.1:{udp}").as_ref())
        .args(["--no-metrics", "--"])
        .args([world.actor()])
        .args(&stopped.script.0)
        .args([","])
        .args(&passed.script.0)
        .args([",", "bind", "tcp", "0.0.0.0:60002", ",", "bind", "tcp", "127.0.0.1:60002"])
        .finish();
    let record = ended.record();
    record.assert_whole();
    traces::assert_none(&record.manifest);
    assert_eq!((accepted(&denied.tcp), received(&denied.udp)), (0, 0));
    let acts = Act::all(&ended.stdout);
    let (refused, done) = acts.split_at(stopped.effects.len());
    assert!(refused.iter().all(|act| act.outcome == "EPERM"), "{refused:?}");
    let (done, binds) = done.split_at(passed.effects.len());
    assert!(done.iter().all(|act| act.outcome == "ok"), "{done:?}");
    // Two roads are connections of TCP, one sends a datagram.
    assert_eq!(accepted(&granted.tcp), 2 * LOOPBACK.len());
    assert_eq!(received(&granted.udp), LOOPBACK.len());
    let binds: Vec<_> = binds.iter().map(|act| act.outcome.as_str()).collect();
    assert_eq!(binds, ["EPERM", "ok"]);
    let bind = |label: &str, address: &str| Expected::address(Verb::Bind, label, "tcp", address);
    let all: Vec<_> = [Expected::file(Verb::Exec, "system", &world.actor())]
        .into_iter()
        .chain(stopped.effects)
        .chain(passed.effects)
        .chain([prevented(bind("system", "0.0.0.0:60002")), bind("workspace", "127.0.0.1:60002")])
        .collect();
    expect::assert_did(&record, acts[0].tgid, &all);
}

#[test]
fn the_port_of_the_metrics_is_oversights_and_closed_at_every_tier() {
    until_whole(metrics);
}

fn metrics() {
    let world = World::new();
    // Free a moment ago: the agent must know the port before the run has it.
    let port = Servers::start().ports().0;
    let address = format!("127.0.0.1:{port}");
    let ended = Invocation::run_alone(&world, "run")
        .tier(5, "enforce")
        .args(["--metrics", &address, "--"])
        .args([world.actor()])
        .args(["connect", "tcp", &address, ",", "connect", "tcp", &format!("[::1]:{port}")])
        .finish();
    let record = ended.record();
    record.assert_whole();
    let outcomes: Vec<_> = Act::all(&ended.stdout).into_iter().map(|act| act.outcome).collect();
    assert_eq!(outcomes, ["EPERM", "EPERM"]);
    for effect in record.of(Verb::Connect) {
        assert_eq!(effect.object.label, "oversight");
        assert_eq!(effect.enforcer, Some(Enforcer::CgroupBpf));
    }
    assert!(record.classes().contains(&"subversion"));
    ended.assert_code(80);
}
