//! Reads of kernel memory and of the current task, each wrapped once, and the record of its act.
//!
//! Pointers are plain numbers here. There are two ways to read through one. Where the verifier knows
//! what it points to (a hook's argument, the current task, and whatever is loaded from those), a
//! plain load does: the kernel gives 0 for an address that faults. Elsewhere
//! `bpf_probe_read_kernel` reads, at the price of a call, and a failed read gives 0. Every caller
//! treats 0 as absent. The verifier refuses a plain load through a pointer that it does not know, and
//! since Linux 6.5 it searches all names of the kernel's types for each pointer that is loaded through
//! one that it does: where acts are rare, a program that reads is loaded in half the time.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::task_struct,
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid,
        bpf_get_current_task_btf, bpf_get_current_uid_gid, bpf_ktime_get_boot_ns,
        generated::{bpf_probe_read_kernel, bpf_probe_read_user, bpf_task_pt_regs},
    },
};
use ebpf_common::{Record, Verb, Verdict, record::MAX_ARGV_BYTES};

use crate::maps::offset;

/// Address of a kernel object; 0 is none.
pub(crate) type Address = u64;

macro_rules! reader {
    ($name:ident, $type:ty) => {
        #[inline(always)]
        pub(crate) fn $name(base: Address, offset: u32) -> $type {
            let mut value = MaybeUninit::<$type>::uninit();
            let size = size_of::<$type>() as u32;
            // SAFETY: the helper checks the address; it writes the whole value in any case, zeros
            // where it fails (`bpf_probe_read_kernel_common`, kernel/trace/bpf_trace.c, Linux 6.1 to
            // 7.3). What it gives back is not asked: the verifier would look at all twice.
            unsafe {
                bpf_probe_read_kernel(
                    value.as_mut_ptr().cast(),
                    size,
                    (base + u64::from(offset)) as *const _,
                );
                value.assume_init()
            }
        }
    };
}

reader!(read_u64, u64);
reader!(read_u32, u32);
reader!(read_u16, u16);
reader!(read_i32, i32);

macro_rules! loader {
    ($name:ident, $type:ty) => {
        #[inline(always)]
        pub(crate) fn $name(base: Address, offset: u32) -> $type {
            // SAFETY: the verifier refuses the load unless it knows the pointer; volatile since
            // the kernel changes what is read.
            unsafe { core::ptr::read_volatile((base + u64::from(offset)) as *const $type) }
        }
    };
}

loader!(load_u64, u64);
loader!(load_u32, u32);
loader!(load_u16, u16);
loader!(load_i32, i32);

/// One of the two ways to read.
pub(crate) trait Memory {
    fn u64(base: Address, offset: u32) -> u64;
    fn u32(base: Address, offset: u32) -> u32;
    fn u16(base: Address, offset: u32) -> u16;
}

/// Through pointers that the verifier knows.
pub(crate) struct Known;

/// Through any.
pub(crate) struct Unknown;

impl Memory for Known {
    #[inline(always)]
    fn u64(base: Address, offset: u32) -> u64 {
        load_u64(base, offset)
    }

    #[inline(always)]
    fn u32(base: Address, offset: u32) -> u32 {
        load_u32(base, offset)
    }

    #[inline(always)]
    fn u16(base: Address, offset: u32) -> u16 {
        load_u16(base, offset)
    }
}

impl Memory for Unknown {
    #[inline(always)]
    fn u64(base: Address, offset: u32) -> u64 {
        read_u64(base, offset)
    }

    #[inline(always)]
    fn u32(base: Address, offset: u32) -> u32 {
        read_u32(base, offset)
    }

    #[inline(always)]
    fn u16(base: Address, offset: u32) -> u16 {
        read_u16(base, offset)
    }
}

/// The current task, as the verifier's trusted pointer.
#[inline(always)]
pub(crate) fn current() -> *mut task_struct {
    // SAFETY: takes no arguments and always gives the current task.
    unsafe { bpf_get_current_task_btf() }
}

/// Thread group and thread id of the current task, in the initial pid namespace.
#[inline(always)]
pub(crate) fn current_ids() -> (u32, u32) {
    let both = bpf_get_current_pid_tgid();
    ((both >> 32) as u32, both as u32)
}

/// Cgroup id of the leaf that the current task is in.
#[inline(always)]
pub(crate) fn current_leaf() -> u64 {
    // SAFETY: takes no arguments.
    unsafe { bpf_get_current_cgroup_id() }
}

/// A record of an act of the current task, object and outcome not filled in.
#[inline(always)]
pub(crate) fn subject(slot: u32, verb: Verb, exec_id: u64) -> Record {
    let (tgid, tid) = current_ids();
    Record {
        seq: 0,
        // SAFETY: takes no arguments.
        boot_ns: unsafe { bpf_ktime_get_boot_ns() },
        leaf: current_leaf(),
        exec_id,
        args: [0; 2],
        object_id: 0,
        object_number: 0,
        object_extra: 0,
        tgid,
        tid,
        uid: bpf_get_current_uid_gid() as u32,
        outcome: 0,
        slot,
        flags: 0,
        verb,
        verdict: Verdict::Allow,
        label: 0,
        to_label: 0,
        port: 0,
        approval: 0,
        string_bytes: [0; 4],
        comm: bpf_get_current_comm().unwrap_or([0; 16]),
    }
}

/// Saved registers of the current task's entry into the kernel.
#[inline(always)]
pub(crate) fn current_registers() -> Address {
    // SAFETY: the argument is the current task as the verifier knows it.
    unsafe { bpf_task_pt_regs(current()) as Address }
}

/// Cgroup id of the leaf that a task is in. The verifier knows the pointer.
#[inline(always)]
pub(crate) fn leaf_of(task: Address) -> u64 {
    let set = load_u64(task, offset!(task_cgroups));
    let cgroup = load_u64(set, offset!(css_set_cgroup));
    let node = load_u64(cgroup, offset!(cgroup_node));
    load_u64(node, offset!(node_id))
}

/// Id of a cgroup whose address was read from somewhere; 0 for none.
#[inline(always)]
pub(crate) fn id_of_cgroup(cgroup: Address) -> u64 {
    read_u64(read_u64(cgroup, offset!(cgroup_node)), offset!(node_id))
}

/// Number of the inode behind a dentry, 0 if it has none. The check is the verifier's wish where it
/// knows that there may be none (`BTF_TYPE_SAFE_TRUSTED_OR_NULL(struct dentry)`, Linux 7.3).
#[inline(always)]
pub(crate) fn inode_number<M: Memory>(dentry: Address) -> u64 {
    let inode = M::u64(dentry, offset!(dentry_inode));
    if inode == 0 { 0 } else { M::u64(inode, offset!(inode_number)) }
}

/// The open file behind a descriptor of the current task, 0 if there is none.
#[inline(always)]
pub(crate) fn open_file(descriptor: i32) -> Address {
    let files = read_u64(current() as Address, offset!(task_files));
    let table = read_u64(files, offset!(files_table));
    if descriptor < 0 || descriptor as u32 >= read_u32(table, offset!(table_length)) {
        return 0;
    }
    let slots = read_u64(table, offset!(table_files));
    read_u64(slots + (descriptor as u64) * 8, 0)
}

/// The dentry of an open file, however the verifier knows it; 0 if there is none.
#[inline(always)]
pub(crate) fn dentry_of<M: Memory>(file: Address) -> Address {
    M::u64(file, offset!(file_path) + offset!(path_dentry))
}

/// The current task's working directory.
#[inline(always)]
pub(crate) fn working_directory() -> Address {
    let fs = read_u64(current() as Address, offset!(task_fs));
    read_u64(fs, offset!(fs_pwd) + offset!(path_dentry))
}

/// Copies the arguments of the current task's program, as far as a record has them, and gives how many bytes
/// that were and how many there are. They lie at the top of a new program's stack, where the kernel has
/// just written them; a page that is gone again gives none.
#[inline(always)]
pub(crate) fn arguments(to: *mut u8) -> (u64, u64) {
    let memory = read_u64(current() as Address, offset!(task_mm));
    let start = read_u64(memory, offset!(mm_arg_start));
    let all = read_u64(memory, offset!(mm_arg_end)).wrapping_sub(start);
    let size = if all > MAX_ARGV_BYTES as u64 { MAX_ARGV_BYTES as u64 } else { all };
    // SAFETY: the caller has room for as many; the helper checks the address.
    let failed = unsafe { bpf_probe_read_user(to.cast(), size as u32, start as *const _) } != 0;
    (if failed { 0 } else { size }, all)
}
