//! `connect`, `bind` and `send`: programs on the run's cgroup decide, before a route is looked for
//! and before ownership of ports is checked. They need no trampoline and nobody outside the run
//! meets them.
//!
//! `BPF_CGROUP_INET4_CONNECT` and the like, Linux 4.17 and 4.18; a program gets the kernel's copy of
//! the address in `struct bpf_sock_addr` (include/uapi/linux/bpf.h) and answers 1 or, for EPERM, 0.
//! The kernel runs all programs and refuses if one does (`bpf_prog_run_array_cg`,
//! kernel/bpf/cgroup.c, Linux 6.1). It goes by the cgroup of the socket, which is its maker's; whose
//! act it is goes by the current task. TCP fast open asks the same program as connect(2). Datagrams
//! of a connected socket were judged when it was connected.
//!
//! There is no outcome but the refusal: the hook comes before the act, and the programs cannot leave
//! a record for its end, since Linux 6.1 lends them no storage of the task.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};
use ebpf_common::{
    Label, LabelId, Verb,
    address::{self, ANY_PORT, AddressKey, TCP, UDP, Words},
    record::{OUTCOME_UNKNOWN, record_flags},
};

use crate::{emit, maps::ADDRESSES, scratch, verdict, whose};

const GO_ON: i32 = 1;
const REFUSE: i32 = 0;
const EPERM: i32 = 1;

/// A field of the context. The verifier knows the offsets of whole fields only, and no others that
/// an optimiser may make of them.
macro_rules! field {
    ($ctx:ident.$($field:tt)+) => {{
        // SAFETY: the kernel hands the program a valid context.
        unsafe { core::ptr::read_volatile(&raw const (*$ctx.sock_addr).$($field)+) }
    }};
}

#[inline(always)]
fn ipv4(ctx: &SockAddrContext) -> Words {
    address::mapped(field!(ctx.user_ip4))
}

#[inline(always)]
fn ipv6(ctx: &SockAddrContext) -> Words {
    [
        field!(ctx.user_ip6[0]),
        field!(ctx.user_ip6[1]),
        field!(ctx.user_ip6[2]),
        field!(ctx.user_ip6[3]),
    ]
}

/// The number of the label under this key, `unknown` where there is none: nobody gives that one.
#[inline(always)]
fn under(key: AddressKey) -> u32 {
    // SAFETY: entries are plain integers, written before the run's first process.
    unsafe { ADDRESSES.get(key) }.map_or(NONE, |&label| label)
}

const NONE: u32 = Label::Unknown as u32;

/// The label of an address: the nearest, except that oversight wins. No loop: the verifier would
/// have to follow an index into the stack.
#[inline(always)]
fn labelled(key: AddressKey) -> u32 {
    let exact = under(key);
    let by_port = under(key.any_address());
    let by_address = under(key.any_port());
    let by_neither = under(key.any_address().any_port());
    let oversight = Label::Oversight as u32;
    if by_port == oversight || by_address == oversight || by_neither == oversight {
        oversight
    } else if exact != NONE {
        exact
    } else if by_port != NONE {
        by_port
    } else if by_address != NONE {
        by_address
    } else {
        by_neither
    }
}

/// The label of an address that no pattern covers.
#[inline(always)]
fn unlabelled(verb: Verb, address: Words, port: u16) -> Label {
    let own =
        verb.number() == Verb::Bind.number() && (port == ANY_PORT || address::is_loopback(address));
    if own { Label::Workspace } else { Label::System }
}

#[inline(always)]
fn judge(ctx: &SockAddrContext, verb: Verb, address: Words) -> i32 {
    let Some(slot) = whose::run_slot() else { return GO_ON };
    let port = u16::from_be(field!(ctx.user_port) as u16);
    let protocol = field!(ctx.protocol);
    let mut record = scratch::subject(slot, verb);
    record.args[0] = u64::from(protocol);
    record.set_address(address, port);
    let found = if protocol == TCP || protocol == UDP {
        let address = address::normalised(address);
        labelled(AddressKey { address, slot, protocol: protocol as u16, port })
    } else {
        NONE
    };
    let label = if found == NONE {
        LabelId::of(unlabelled(verb, address, port))
    } else {
        LabelId::from_number(found as u8)
    };
    let judgement = verdict::judge(slot, record.leaf, verb, label);
    scratch::judged(&mut record, label, judgement);
    record.flags |= record_flags::JUDGED;
    let judgement = verdict::admit(&mut record, judgement);
    let (answer, outcome) =
        if judgement.refuses() { (REFUSE, -EPERM) } else { (GO_ON, OUTCOME_UNKNOWN) };
    emit::emit_alone(&mut record, outcome);
    answer
}

/// IPv6 sockets meet the programs for IPv4 where they send to a mapped address.
macro_rules! programs {
    ($($program:ident: $verb:ident, $address:ident;)+) => {
        $(#[cgroup_sock_addr($program)]
        pub(crate) fn $program(ctx: SockAddrContext) -> i32 {
            judge(&ctx, Verb::$verb, $address(&ctx))
        })+
    };
}

programs! {
    connect4: Connect, ipv4;
    connect6: Connect, ipv6;
    bind4: Bind, ipv4;
    bind6: Bind, ipv6;
    sendmsg4: Send, ipv4;
    sendmsg6: Send, ipv6;
}
