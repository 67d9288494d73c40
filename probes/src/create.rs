//! `create` and `symlink`: LSM `path_mknod`, `path_mkdir` and `path_symlink` decide, before the
//! ownership check. An open that is to make what it opens passes `path_mknod` first, also where another
//! made it meanwhile: what it came to, [`crate::open`] sees.
//!
//! `int path_mknod(const struct path *dir, struct dentry *dentry, umode_t mode, unsigned int dev)`,
//! `int path_mkdir(const struct path *dir, struct dentry *dentry, umode_t mode)`, `int
//! path_symlink(const struct path *dir, struct dentry *dentry, const char *old_name)`,
//! include/linux/lsm_hook_defs.h, Linux 6.1 to 7.3.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use ebpf_common::Verb;

use crate::{kernel::Unknown, path};

/// The type bits of a mode, inode(7).
pub(crate) const S_IFMT: u32 = 0o170_000;
pub(crate) const S_IFREG: u32 = 0o100_000;
pub(crate) const S_IFDIR: u32 = 0o040_000;

/// The type that mknod(2) makes of a mode: without any it is a regular file.
#[inline(always)]
pub(crate) fn type_of(mode: u32) -> u64 {
    let kind = mode & S_IFMT;
    u64::from(if kind == 0 { S_IFREG } else { kind })
}

#[lsm(hook = "path_mknod")]
pub(crate) fn path_mknod(ctx: LsmContext) -> i32 {
    let kind = type_of(u32::from(ctx.arg::<u16>(2)));
    path::decide::<Unknown>(ctx.arg(4), Verb::Create, [kind, 0], || ctx.arg::<*const u8>(1) as u64)
}

#[lsm(hook = "path_mkdir")]
pub(crate) fn path_mkdir(ctx: LsmContext) -> i32 {
    let kind = u64::from(S_IFDIR);
    path::decide::<Unknown>(ctx.arg(3), Verb::Create, [kind, 0], || ctx.arg::<*const u8>(1) as u64)
}

#[lsm(hook = "path_symlink")]
pub(crate) fn path_symlink(ctx: LsmContext) -> i32 {
    path::decide::<Unknown>(ctx.arg(3), Verb::Symlink, [0; 2], || ctx.arg::<*const u8>(1) as u64)
}
