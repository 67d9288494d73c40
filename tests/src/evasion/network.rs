//! Roads to other hosts and to services of this one.

use ebpf_common::Verb;
use journal::Enforcer;

use super::{Came, Evasion, Group, Victim, power};

/// An act on an address that no label covers.
const fn address(
    name: &'static str,
    what: &'static str,
    acts: &'static str,
    verb: Verb,
) -> Evasion {
    let came = Came::Prevented(Enforcer::CgroupBpf, verb, "system");
    power(Group::Network, name, what, acts, Enforcer::CgroupBpf, verb)
        .with_lsm(came)
        .with_tracepoints(came)
}

/// A socket on which addresses would not be judged.
const fn socket(name: &'static str, what: &'static str, acts: &'static str) -> Evasion {
    power(Group::Network, name, what, acts, Enforcer::Seccomp, Verb::SyscallRefused)
}

/// A connection to a service of the host's that has no label.
const fn unix(name: &'static str, what: &'static str, acts: &'static str) -> Evasion {
    power(Group::Network, name, what, acts, Enforcer::BpfLsm, Verb::UnixConnect)
        .with_lsm(Came::Prevented(Enforcer::BpfLsm, Verb::UnixConnect, "system"))
        .with_tracepoints(Came::Seen(
            Verb::UnixConnect,
            "system",
            "no enforcer judges sockets of the host here; ownership of its file is what protects one",
        ))
}

pub(super) const ALL: &[Evasion] = &[
    address("tcp", "connect(2), as a baseline", "connect tcp 127.0.0.1:1", Verb::Connect),
    address("tcp-6", "connect(2) by IPv6", "connect tcp [::1]:1", Verb::Connect),
    address(
        "tcp-mapped",
        "connect(2) by IPv6 to an IPv4 address",
        "connect tcp [::ffff:127.0.0.1]:1",
        Verb::Connect,
    ),
    address(
        "tcp-unspecified",
        "connect(2) to 0.0.0.0, which means this host",
        "connect tcp 0.0.0.0:1",
        Verb::Connect,
    ),
    address(
        "fast-open",
        "sendto(2) with MSG_FASTOPEN: a connection without connect(2)",
        "fastopen 127.0.0.1:1",
        Verb::Connect,
    ),
    address("udp", "connect(2) of a datagram socket", "connect udp 192.0.2.1:53", Verb::Connect),
    address("datagram", "sendto(2) without connect(2)", "sendto 192.0.2.1:53", Verb::Send),
    address("answer-outside", "bind(2) to every address", "bind tcp 0.0.0.0:60003", Verb::Bind),
    socket("multipath", "a socket of MPTCP, which not all programs see", "socket 2 1 262"),
    socket("sctp", "a socket of SCTP", "socket 2 1 132"),
    socket("udp-lite", "a socket of UDP-Lite", "socket 2 2 136"),
    socket("icmp", "a socket of ICMP: data in the payload of a ping", "socket 2 2 1"),
    socket("raw-ip", "a raw socket", "socket 2 3 255"),
    socket("packets", "a packet socket", "socket 17 3 0"),
    socket("virtual-machines", "a vsock socket, to the host of a machine", "socket 40 1 0"),
    socket("kernel-cipher", "an AF_ALG socket: more kernel to reach", "socket 38 5 0"),
    unix("unix-stream", "connect(2) to a socket's file", "unix_stream {outside}"),
    unix("unix-datagram", "connect(2) of a datagram socket", "unix_datagram {postbox}"),
    unix("unix-abstract", "connect(2) to an abstract socket", "unix_stream {abstract}"),
    unix("unix-send", "sendto(2) without connect(2)", "unix_send {postbox}")
        .with_tracepoints(Came::Unseen("no tracepoint tells to which socket a datagram goes")),
    Evasion {
        name: "passed-descriptor",
        group: Group::Network,
        what: "another process passes a descriptor of the file, open for writing",
        acts: "receive {passer}",
        victim: Victim::Data,
        lsm: Came::Prevented(Enforcer::BpfLsm, Verb::Receive, "data"),
        tracepoint: Came::Unseen("no tracepoint tells of a descriptor that a message brings"),
    },
];
