//! Where the probes find the kernel's struct fields.
//!
//! Layouts differ between kernels and rustc emits no CO-RE relocations, so user space reads the
//! offsets from the running kernel's BTF and hands them over as one read-only global. One list
//! declares both the struct that the probes read and the names that user space looks up.

use zerocopy::{Immutable, IntoBytes};

macro_rules! offsets {
    ($($field:ident = $structure:literal . $($member:literal)|+;)+) => {
        /// Byte offsets of kernel struct fields on the running kernel.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, Immutable)]
        #[repr(C)]
        pub struct Offsets {
            $(#[doc = concat!("Offset of a member of `struct ", $structure, "`, in bytes.")]
            pub $field: u32,)+
        }

        /// A field to look up: the struct, and the member's name in one kernel or another.
        pub struct Lookup {
            /// Name of the struct in BTF.
            pub structure: &'static str,
            /// Names of the member, the first that exists counts.
            pub members: &'static [&'static str],
            /// Stores the offset that was found.
            pub store: fn(&mut Offsets, u32),
        }

        /// Everything that the probes need to know of the kernel's layouts.
        pub const LOOKUPS: &[Lookup] = &[
            $(Lookup {
                structure: $structure,
                members: &[$($member),+],
                store: |offsets, value| offsets.$field = value,
            },)+
        ];
    };
}

offsets! {
    dentry_inode = "dentry"."d_inode";
    dentry_parent = "dentry"."d_parent";
    // Linux 6.15 renamed the member so that nobody writes to it.
    dentry_name = "dentry"."d_name"|"__d_name";
    dentry_superblock = "dentry"."d_sb";
    qstr_name = "qstr"."name";
    inode_number = "inode"."i_ino";
    inode_mode = "inode"."i_mode";
    inode_superblock = "inode"."i_sb";
    inode_private = "inode"."i_private";
    superblock_device = "super_block"."s_dev";
    superblock_magic = "super_block"."s_magic";
    superblock_flags = "super_block"."s_flags";
    path_dentry = "path"."dentry";
    file_path = "file"."f_path";
    file_inode = "file"."f_inode";
    file_private = "file"."private_data";
    file_mode = "file"."f_mode";
    file_flags = "file"."f_flags";
    binprm_file = "linux_binprm"."file";
    binprm_filename = "linux_binprm"."filename";
    binprm_interpreter = "linux_binprm"."interp";
    task_tid = "task_struct"."pid";
    task_tgid = "task_struct"."tgid";
    task_flags = "task_struct"."flags";
    task_thread_info = "task_struct"."thread_info";
    task_exit_code = "task_struct"."exit_code";
    task_signal = "task_struct"."signal";
    task_mm = "task_struct"."mm";
    mm_arg_start = "mm_struct"."arg_start";
    mm_arg_end = "mm_struct"."arg_end";
    task_cgroups = "task_struct"."cgroups";
    task_fs = "task_struct"."fs";
    task_files = "task_struct"."files";
    socket_sock = "socket"."sk";
    sock_cgroup = "sock"."sk_cgrp_data";
    sock_cgroup_cgroup = "sock_cgroup_data"."cgroup";
    sock_family = "sock_common"."skc_family";
    sock_port = "sock_common"."skc_num";
    sock_address = "sock_common"."skc_rcv_saddr";
    sock_address_6 = "sock_common"."skc_v6_rcv_saddr";
    sock_protocol = "sock"."sk_protocol";
    sock_peer_pid = "sock"."sk_peer_pid";
    unix_path = "unix_sock"."path";
    unix_address = "unix_sock"."addr";
    unix_peer = "unix_sock"."peer";
    unix_address_bytes = "unix_address"."len";
    unix_address_name = "unix_address"."name";
    thread_info_status = "thread_info"."status";
    signal_live = "signal_struct"."live";
    css_set_cgroup = "css_set"."dfl_cgrp";
    cgroup_node = "cgroup"."kn";
    node_id = "kernfs_node"."id";
    fs_pwd = "fs_struct"."pwd";
    files_table = "files_struct"."fdt";
    table_files = "fdtable"."fd";
    table_length = "fdtable"."max_fds";
    proc_inode_inode = "proc_inode"."vfs_inode";
    proc_inode_pid = "proc_inode"."pid";
    pid_numbers = "pid"."numbers";
    upid_number = "upid"."nr";
    siginfo_code = "kernel_siginfo"."si_code";
    regs_nr = "pt_regs"."orig_ax";
    regs_ret = "pt_regs"."ax";
    regs_arg0 = "pt_regs"."di";
    regs_arg1 = "pt_regs"."si";
    regs_arg2 = "pt_regs"."dx";
    regs_arg3 = "pt_regs"."r10";
    regs_arg4 = "pt_regs"."r8";
}
