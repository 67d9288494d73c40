//! `truncate`, `chmod`, `chown`, `times` and `setxattr`: LSM `path_truncate`, `file_truncate`, `path_chmod`
//! and `path_chown` decide, the last two before the ownership check; `inode_setattr`, `inode_setxattr`,
//! `inode_removexattr`, `inode_set_acl` and `inode_remove_acl` after it.
//!
//! `int path_truncate(const struct path *path)`, `int file_truncate(struct file *file)` (Linux 6.2;
//! before, ftruncate(2) passes `path_truncate`), `int path_chmod(const struct path *path, umode_t
//! mode)`, `int path_chown(const struct path *path, kuid_t uid, kgid_t gid)`, `int inode_setattr(struct
//! mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)` (`idmap` from Linux 6.9 on), `int
//! inode_setxattr(struct mnt_idmap *idmap, struct dentry *dentry, const char *name, const void *value,
//! size_t size, int flags)`, `int inode_removexattr(struct mnt_idmap *idmap, struct dentry *dentry, const
//! char *name)`, `int inode_set_acl(struct mnt_idmap *idmap, struct dentry *dentry, const char *acl_name,
//! struct posix_acl *kacl)` and `int inode_remove_acl(struct mnt_idmap *idmap, struct dentry *dentry, const
//! char *acl_name)` (both Linux 6.2; before, they pass the hooks of other attributes),
//! include/linux/lsm_hook_defs.h, Linux 6.1 to 7.3.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use ebpf_common::Verb;

use crate::{
    arguments,
    kernel::{self, Address, Unknown, load_u64, read_u64},
    maps::offset,
    open, path, verdict,
};

#[inline(always)]
fn dentry(path: *const u8) -> Address {
    read_u64(path as u64, offset!(path_dentry))
}

#[lsm(hook = "path_truncate")]
pub(crate) fn path_truncate(ctx: LsmContext) -> i32 {
    let inode = read_u64(dentry(ctx.arg(0)), offset!(dentry_inode));
    if open::is_opening() || open::is_in_memory::<Unknown>(inode) {
        return verdict::pass_on(ctx.arg(1));
    }
    path::decide::<Unknown>(ctx.arg(1), Verb::Truncate, [0; 2], || dentry(ctx.arg(0)))
}

#[lsm(hook = "file_truncate")]
pub(crate) fn file_truncate(ctx: LsmContext) -> i32 {
    let inode = read_u64(ctx.arg::<*const u8>(0) as u64, offset!(file_inode));
    if open::is_opening() || open::is_in_memory::<Unknown>(inode) {
        return verdict::pass_on(ctx.arg(1));
    }
    path::decide::<Unknown>(ctx.arg(1), Verb::Truncate, [0; 2], || {
        kernel::dentry_of::<Unknown>(ctx.arg::<*const u8>(0) as u64)
    })
}

/// Permission bits, chmod(2).
pub(crate) const PERMISSIONS: u32 = 0o7777;

#[lsm(hook = "path_chmod")]
pub(crate) fn path_chmod(ctx: LsmContext) -> i32 {
    let mode = u64::from(u32::from(ctx.arg::<u16>(1)) & PERMISSIONS);
    path::decide::<Unknown>(ctx.arg(2), Verb::Chmod, [mode, 0], || dentry(ctx.arg(0)))
}

#[lsm(hook = "path_chown")]
pub(crate) fn path_chown(ctx: LsmContext) -> i32 {
    let ids = [u64::from(ctx.arg::<u32>(1)), u64::from(ctx.arg::<u32>(2))];
    path::decide::<Unknown>(ctx.arg(3), Verb::Chown, ids, || dentry(ctx.arg(0)))
}

#[inline(always)]
fn decide(earlier: i32, verb: Verb, dentry: *const u8) -> i32 {
    path::decide::<Unknown>(earlier, verb, [0; 2], || dentry as u64)
}

/// Fires for permission bits, owners and sizes too, which other hooks have judged.
#[inline(always)]
fn decide_times(earlier: i32, dentry: *const u8) -> i32 {
    let number = load_u64(kernel::current_registers(), offset!(regs_nr));
    if !arguments::sets_times(number) {
        return verdict::pass_on(earlier);
    }
    decide(earlier, Verb::Times, dentry)
}

#[lsm(hook = "inode_setattr")]
pub(crate) fn inode_setattr(ctx: LsmContext) -> i32 {
    decide_times(ctx.arg(3), ctx.arg(1))
}

/// The same before Linux 6.9.
#[lsm(hook = "inode_setattr")]
pub(crate) fn inode_setattr_early(ctx: LsmContext) -> i32 {
    decide_times(ctx.arg(2), ctx.arg(0))
}

#[lsm(hook = "inode_setxattr")]
pub(crate) fn inode_setxattr(ctx: LsmContext) -> i32 {
    decide(ctx.arg(6), Verb::Setxattr, ctx.arg(1))
}

#[lsm(hook = "inode_removexattr")]
pub(crate) fn inode_removexattr(ctx: LsmContext) -> i32 {
    decide(ctx.arg(3), Verb::Setxattr, ctx.arg(1))
}

#[lsm(hook = "inode_set_acl")]
pub(crate) fn inode_set_acl(ctx: LsmContext) -> i32 {
    decide(ctx.arg(4), Verb::Setxattr, ctx.arg(1))
}

#[lsm(hook = "inode_remove_acl")]
pub(crate) fn inode_remove_acl(ctx: LsmContext) -> i32 {
    decide(ctx.arg(3), Verb::Setxattr, ctx.arg(1))
}
