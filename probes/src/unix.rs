//! `unix_connect`: LSM `unix_stream_connect` and `unix_may_send` decide, after the socket was found and
//! after the ownership of its file was checked; where no LSM program loads, the connected socket tells
//! at the end of connect(2) where it leads.
//!
//! `int unix_stream_connect(struct sock *sock, struct sock *other, struct sock *newsk)`, `int
//! unix_may_send(struct socket *sock, struct socket *other)`, include/linux/lsm_hook_defs.h, Linux 6.1
//! to 7.3. They run with the other socket locked; the second for every datagram.

use aya_ebpf::{
    helpers::{
        bpf_probe_read_user,
        generated::{bpf_probe_read_kernel, bpf_probe_read_user as read_user},
    },
    macros::lsm,
    programs::LsmContext,
};
use ebpf_common::{
    Label, LabelId, Verb,
    record::{record_flags, string},
};

use crate::{
    emit,
    kernel::{self, Address, Unknown, load_i32, load_u64, read_u16, read_u32, read_u64},
    kill,
    maps::{TASKS, offset},
    path::{self, AT_FDCWD, End, Written},
    scratch::{self, Scratch},
    syscall,
    verdict::{self, Judgement},
    whose,
};

const AF_UNIX: u16 = 1;
/// `sun_path` lies behind the family, unix(7).
const PATH_OFFSET: u64 = 2;
/// The longest name that has room behind its first byte.
const MAX_NAME: u64 = 107;

/// Whether the other end of the current task's act is no effect: it has no name at all, so that it
/// was handed over, or it has an abstract one and is the run's own.
#[inline(always)]
fn is_own(slot: u32, other: Address, leaf: u64) -> bool {
    has_no_file(other)
        && (read_u64(other, offset!(unix_address)) == 0 || kill::is_of_run(slot, leaf))
}

#[inline(always)]
fn file_of(socket: Address) -> Address {
    read_u64(socket, offset!(unix_path) + offset!(path_dentry))
}

#[inline(always)]
fn has_no_file(socket: Address) -> bool {
    file_of(socket) == 0
}

/// Fills in a record of a connection to this socket.
#[inline(always)]
fn fill(scratch: &mut Scratch, slot: u32, other: Address) -> Judgement {
    scratch.begin(slot, Verb::UnixConnect);
    let dentry = file_of(other);
    if dentry != 0 {
        return path::fill::<Unknown>(scratch, slot, Verb::UnixConnect, dentry);
    }
    let address = read_u64(other, offset!(unix_address));
    let bytes = u64::from(read_u32(address, offset!(unix_address_bytes)));
    let name = address + u64::from(offset!(unix_address_name));
    abstract_name(scratch, name, bytes, false);
    judge_unlabelled(scratch, slot)
}

#[inline(always)]
fn judge_unlabelled(scratch: &mut Scratch, slot: u32) -> Judgement {
    let label = LabelId::of(Label::System);
    let judgement = verdict::judge(slot, scratch.record.leaf, Verb::UnixConnect, label);
    scratch.judged(label, judgement);
    judgement
}

/// Writes the name of an abstract socket as the object's path. `bytes` counts the whole address.
#[inline(always)]
fn abstract_name(scratch: &mut Scratch, address: u64, bytes: u64, from_user: bool) {
    let behind = bytes.wrapping_sub(PATH_OFFSET + 1);
    let size = if behind > MAX_NAME { MAX_NAME } else { behind } as u32;
    let from = (address + PATH_OFFSET + 1) as *const _;
    // SAFETY: the record was just begun, so that the strings are empty and have room; the helpers check
    // the address.
    let failed = unsafe {
        let to = (&raw mut scratch.strings).cast::<u8>();
        to.write(b'@');
        let to = to.add(1).cast();
        if from_user { read_user(to, size, from) } else { bpf_probe_read_kernel(to, size, from) }
    } != 0;
    let read = 1 + if failed { 0 } else { size };
    scratch.used = read;
    scratch.record.string_bytes[string::PATH] = read as u16;
}

#[inline(always)]
fn decide(earlier: i32, other: Address) -> i32 {
    if earlier != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let cgroup = read_u64(other, offset!(sock_cgroup) + offset!(sock_cgroup_cgroup));
    if is_own(slot, other, kernel::id_of_cgroup(cgroup)) {
        return 0;
    }
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, Verb::UnixConnect);
        return verdict::unjudged(slot);
    };
    syscall::flush(scratch);
    let judgement = fill(scratch, slot, other);
    let judgement = verdict::admit(&mut scratch.record, judgement);
    syscall::finish(scratch, judgement);
    judgement.answer()
}

#[lsm(hook = "unix_stream_connect")]
pub(crate) fn unix_stream_connect(ctx: LsmContext) -> i32 {
    decide(ctx.arg(3), ctx.arg::<*const u8>(1) as u64)
}

#[lsm(hook = "unix_may_send")]
pub(crate) fn unix_may_send(ctx: LsmContext) -> i32 {
    let other = ctx.arg::<*const u8>(1) as u64;
    decide(ctx.arg(2), read_u64(other, offset!(socket_sock)))
}

/// Records what came of a connect(2) that no hook has seen, if it was to a socket of this host.
#[inline(always)]
pub(crate) fn connected(slot: u32, registers: Address, outcome: i32) {
    let address = load_u64(registers, offset!(regs_arg1));
    // SAFETY: the helper checks the address.
    let family = unsafe { bpf_probe_read_user(address as *const u16) }.unwrap_or(0);
    if family != AF_UNIX {
        return;
    }
    let other = if outcome < 0 {
        0
    } else {
        let file = kernel::open_file(load_i32(registers, offset!(regs_arg0)));
        let socket = read_u64(read_u64(file, offset!(file_private)), offset!(socket_sock));
        let is_unix = read_u16(socket, offset!(sock_family)) == AF_UNIX;
        let other = if is_unix { read_u64(socket, offset!(unix_peer)) } else { 0 };
        // The other end is the caller's own making; who listens, the caller's end tells.
        if other == 0 || is_own(slot, other, leaf_of_peer(socket)) {
            return;
        }
        other
    };
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, Verb::UnixConnect);
        return;
    };
    if other == 0 {
        refused(scratch, slot, address, load_u64(registers, offset!(regs_arg2)));
    } else {
        let _ = fill(scratch, slot, other);
    }
    syscall::finished(scratch, outcome);
}

/// The leaf of the process that a connected socket's other end is.
#[inline(always)]
fn leaf_of_peer(socket: Address) -> u64 {
    let pid = read_u64(socket, offset!(sock_peer_pid));
    if pid == 0 {
        return 0;
    }
    // SAFETY: entries are plain integers.
    unsafe { TASKS.get(kill::number_of(pid)) }.map_or(0, |task| task.leaf)
}

/// Fills in a record of a connection that failed before a hook, from the address that was given.
#[inline(always)]
fn refused(scratch: &mut Scratch, slot: u32, address: u64, bytes: u64) {
    scratch.begin(slot, Verb::UnixConnect);
    let path = address + PATH_OFFSET;
    // SAFETY: the helper checks the address.
    let first = unsafe { bpf_probe_read_user(path as *const u8) }.unwrap_or(0);
    if first == 0 {
        abstract_name(scratch, address, bytes, true);
        let _ = judge_unlabelled(scratch, slot);
    } else {
        scratch.record.flags |= record_flags::FOLLOWED;
        path::fill_as_written(scratch, slot, AT_FDCWD, Written::User(path), End::Object);
    }
}
