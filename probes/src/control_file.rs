//! Files that hold no data: to write to one in `/proc` is an act on a process, in a cgroup's directory an
//! act on all processes there. `oom_adjust`, `cgroup_write`, `cgroup_move` and `cgroup_kill`, as LSM
//! `file_open` and the end of an open meet them; see `open`.
//!
//! A file is told by its name: only the kernel makes files in these file systems.

use ebpf_common::Verb;

use crate::{
    emit,
    kernel::{self, Address, Memory, Unknown, read_u64},
    kill::{self, Named},
    maps::{TASKS, offset},
    scratch::{self, Scratch},
    syscall,
    verdict::{self, Judgement},
};

pub(crate) const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

/// The first sixteen bytes of a name, filled up with zeros.
const fn name(text: &str) -> [u64; 2] {
    let mut bytes = [0; 16];
    let mut index = 0;
    while index < text.len() {
        bytes[index] = text.as_bytes()[index];
        index += 1;
    }
    let [low, high] = [bytes.first_chunk::<8>(), bytes.last_chunk::<8>()];
    match (low, high) {
        (Some(low), Some(high)) => [u64::from_ne_bytes(*low), u64::from_ne_bytes(*high)],
        _ => panic!("sixteen bytes hold eight"),
    }
}

/// Whether a file's name is `text` with its end, of at most 15 bytes.
#[inline(always)]
fn is(read: [u64; 2], text: &'static str) -> bool {
    let wanted = name(text);
    let bits = (text.len() as u32 + 1) * 8;
    if bits <= 64 {
        let mask = u64::MAX >> (64 - bits);
        (read[0] ^ wanted[0]) & mask == 0
    } else {
        let mask = u64::MAX >> (128 - bits);
        read[0] == wanted[0] && (read[1] ^ wanted[1]) & mask == 0
    }
}

#[inline(always)]
fn name_of<M: Memory>(file: Address) -> [u64; 2] {
    let dentry = kernel::dentry_of::<M>(file);
    let name = M::u64(dentry, offset!(dentry_name) + offset!(qstr_name));
    [read_u64(name, 0), read_u64(name, 8)]
}

/// The verb of an open for writing of a file of `/proc`; none for a file of the run's own processes.
#[inline(always)]
pub(crate) fn of_process<M: Memory>(slot: u32, file: Address, inode: Address) -> Option<Verb> {
    let number = kill::number_of_proc_inode(inode);
    if number == 0 {
        return Some(Verb::OpenWrite);
    }
    // SAFETY: entries are plain integers.
    if let Some(task) = unsafe { TASKS.get(number) }
        && kill::is_of_run(slot, task.leaf)
    {
        return None;
    }
    let name = name_of::<M>(file);
    let adjusts = is(name, "oom_score_adj") || is(name, "oom_adj");
    Some(if adjusts { Verb::OomAdjust } else { Verb::OpenWrite })
}

/// The verb of an open for writing of a cgroup's file.
#[inline(always)]
pub(crate) fn of_cgroup<M: Memory>(file: Address) -> Verb {
    let name = name_of::<M>(file);
    if is(name, "cgroup.procs") || is(name, "cgroup.threads") {
        Verb::CgroupMove
    } else if is(name, "cgroup.kill") {
        Verb::CgroupKill
    } else {
        Verb::CgroupWrite
    }
}

/// Fills in a record of an `oom_adjust` through this file.
#[inline(always)]
pub(crate) fn fill(scratch: &mut Scratch, slot: u32, file: Address) -> Judgement {
    let inode = Unknown::u64(file, offset!(file_inode));
    let named = Named::by_task(kill::number_of_proc_inode(inode) as i32);
    kill::fill_named(scratch, slot, Verb::OomAdjust, [0; 2], named, 0)
}

/// What LSM `file_open` says to an `oom_adjust`.
#[inline(always)]
pub(crate) fn decide(slot: u32, file: Address) -> i32 {
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, Verb::OomAdjust);
        return verdict::unjudged(slot);
    };
    syscall::flush(scratch);
    let judgement = fill(scratch, slot, file);
    let judgement = verdict::admit(&mut scratch.record, judgement);
    syscall::finish(scratch, judgement);
    judgement.answer()
}
