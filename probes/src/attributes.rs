//! `truncate`, `chmod` and `chown`: LSM `path_truncate`, `file_truncate`, `path_chmod` and `path_chown`
//! decide, the last two before the ownership check.
//!
//! `int path_truncate(const struct path *path)`, `int file_truncate(struct file *file)` (Linux 6.2;
//! before, ftruncate(2) passes `path_truncate`), `int path_chmod(const struct path *path, umode_t
//! mode)`, `int path_chown(const struct path *path, kuid_t uid, kgid_t gid)`,
//! include/linux/lsm_hook_defs.h, Linux 6.1 to 7.3.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use ebpf_common::Verb;

use crate::{
    kernel::{self, Address, Unknown, read_u64},
    maps::offset,
    open, path,
};

#[inline(always)]
fn dentry(path: *const u8) -> Address {
    read_u64(path as u64, offset!(path_dentry))
}

#[lsm(hook = "path_truncate")]
pub(crate) fn path_truncate(ctx: LsmContext) -> i32 {
    if open::is_opening() {
        return crate::verdict::pass_on(ctx.arg(1));
    }
    path::decide::<Unknown>(ctx.arg(1), Verb::Truncate, [0; 2], || dentry(ctx.arg(0)))
}

#[lsm(hook = "file_truncate")]
pub(crate) fn file_truncate(ctx: LsmContext) -> i32 {
    if open::is_opening() {
        return crate::verdict::pass_on(ctx.arg(1));
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
