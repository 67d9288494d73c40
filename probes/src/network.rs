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
//! `listen`: LSM `socket_listen` decides, `int socket_listen(struct socket *sock, int backlog)`,
//! include/linux/lsm_hook_defs.h, Linux 6.1 to 7.3; where no LSM program loads, the system call's end
//! tells.
//!
//! There is no outcome but the refusal: the hook comes before the act, and the programs cannot leave
//! a record for its end, since Linux 6.1 lends them no storage of the task.

use aya_ebpf::{
    macros::{cgroup_sock_addr, lsm},
    programs::{LsmContext, SockAddrContext},
};
use ebpf_common::{
    Label, LabelId, Record, Verb,
    address::{self, ANY_ADDRESS, ANY_PORT, AddressKey, TCP, UDP, Words},
    record::{OUTCOME_UNKNOWN, record_flags},
};

use crate::{
    create::S_IFMT,
    emit,
    kernel::{self, Address, load_i32, read_u16, read_u32, read_u64},
    maps::{ADDRESSES, offset},
    scratch::{self, Scratch},
    syscall,
    verdict::{self, Judgement},
    whose,
};

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
fn under(key: &AddressKey) -> u32 {
    // SAFETY: entries are plain integers, written before the run's first process.
    unsafe { ADDRESSES.get(key) }.map_or(NONE, |&label| label)
}

const NONE: u32 = Label::Unknown as u32;

/// The label of an address: the nearest, except that oversight wins. No loop: the verifier would
/// have to follow an index into the stack.
#[inline(always)]
fn labelled(key: &mut AddressKey) -> u32 {
    let exact = under(key);
    let port = core::mem::replace(&mut key.port, ANY_PORT);
    let by_address = under(key);
    key.address = ANY_ADDRESS;
    let by_neither = under(key);
    key.port = port;
    let by_port = under(key);
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
    let own = matches!(verb, Verb::Bind | Verb::Listen)
        && (port == ANY_PORT || address::is_loopback(address));
    if own { Label::Workspace } else { Label::System }
}

#[inline(always)]
fn judge(ctx: &SockAddrContext, verb: Verb, address: Words) -> i32 {
    let Some(slot) = whose::run_slot() else { return GO_ON };
    let port = u16::from_be(field!(ctx.user_port) as u16);
    let mut record = scratch::subject(slot, verb);
    let mut key = AddressKey { address, slot, protocol: field!(ctx.protocol) as u16, port };
    let judgement = judged(&mut record, &mut key);
    let (answer, outcome) =
        if judgement.refuses() { (REFUSE, -EPERM) } else { (GO_ON, OUTCOME_UNKNOWN) };
    emit::emit_alone(&mut record, outcome);
    answer
}

/// Fills in a record of an act on an address, and what the policy says to it. `key` has the address as
/// it is, and is used up.
#[inline(always)]
fn judged(record: &mut Record, key: &mut AddressKey) -> Judgement {
    let verb = record.verb;
    record.args[0] = u64::from(key.protocol);
    record.set_address(key.address, key.port);
    let without = LabelId::of(unlabelled(verb, key.address, key.port));
    key.address = address::normalised(key.address);
    let protocol = u32::from(key.protocol);
    let found = if protocol == TCP || protocol == UDP { labelled(key) } else { NONE };
    let label = if found == NONE { without } else { LabelId::from_number(found as u8) };
    let judgement = verdict::judge(record.slot, record.leaf, verb, label);
    scratch::judged(record, label, judgement);
    record.flags |= record_flags::JUDGED;
    verdict::admit(record, judgement)
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Fills in a record of a socket that is to listen, if it is one of the network, and what the policy says
/// to it.
#[inline(always)]
fn fill_listener(scratch: &mut Scratch, socket: Address) -> Option<Judgement> {
    let family = read_u16(socket, offset!(sock_family));
    if family != AF_INET && family != AF_INET6 {
        return None;
    }
    // The record has no strings: their room is the key's, for the sake of the stack.
    // SAFETY: it is large enough and aligned, and any bytes are a key.
    let key = unsafe { &mut *(&raw mut scratch.strings).cast::<AddressKey>() };
    if family == AF_INET {
        key.address = address::mapped(read_u32(socket, offset!(sock_address)));
    } else {
        for number in 0..4 {
            key.address[number] = read_u32(socket, offset!(sock_address_6) + 4 * number as u32);
        }
    }
    key.slot = scratch.record.slot;
    key.protocol = read_u16(socket, offset!(sock_protocol));
    key.port = read_u16(socket, offset!(sock_port));
    Some(judged(&mut scratch.record, key))
}

#[lsm(hook = "socket_listen")]
pub(crate) fn socket_listen(ctx: LsmContext) -> i32 {
    let earlier = ctx.arg::<i32>(2);
    if earlier != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let socket = read_u64(ctx.arg::<*const u8>(0) as u64, offset!(socket_sock));
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, Verb::Listen);
        return verdict::unjudged(slot);
    };
    syscall::flush(scratch);
    scratch.begin(slot, Verb::Listen);
    let Some(judgement) = fill_listener(scratch, socket) else { return 0 };
    syscall::finish(scratch, judgement);
    judgement.answer()
}

/// Records what came of the listen(2) with these registers.
#[inline(always)]
pub(crate) fn listened(registers: Address, outcome: i32) {
    let Some(slot) = whose::run_slot() else { return };
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, Verb::Listen);
        return;
    };
    syscall::flush(scratch);
    scratch.begin(slot, Verb::Listen);
    if fill_listened(scratch, load_i32(registers, offset!(regs_arg0))) {
        // No hook has judged it, so that nothing was prevented.
        scratch.record.flags &= !record_flags::JUDGED;
        syscall::finished(scratch, outcome);
    }
}

/// Fills in a record of a descriptor's socket that listens; whether it is one. A function of its own,
/// that neither begins a record nor hands one over, for the sake of the stack.
#[inline(never)]
fn fill_listened(scratch: &mut Scratch, descriptor: i32) -> bool {
    let file = kernel::open_file(descriptor);
    if file == 0 || !is_socket(file) {
        return false;
    }
    let socket = read_u64(read_u64(file, offset!(file_private)), offset!(socket_sock));
    fill_listener(scratch, socket).is_some()
}

#[inline(always)]
fn is_socket(file: Address) -> bool {
    const S_IFSOCK: u32 = 0o140_000;
    let inode = read_u64(file, offset!(file_inode));
    u32::from(read_u16(inode, offset!(inode_mode))) & S_IFMT == S_IFSOCK
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
