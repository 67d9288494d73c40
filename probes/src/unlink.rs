//! `unlink` and `rmdir`: LSM `path_unlink` and `path_rmdir` decide, before the ownership check.
//!
//! `int path_unlink(const struct path *dir, struct dentry *dentry)`, `int path_rmdir(...)` alike,
//! include/linux/lsm_hook_defs.h, Linux 6.1 to 7.3.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use ebpf_common::Verb;

use crate::{kernel::Known, path};

#[lsm(hook = "path_unlink")]
pub(crate) fn path_unlink(ctx: LsmContext) -> i32 {
    path::decide::<Known>(ctx.arg(2), Verb::Unlink, [0; 2], || ctx.arg::<*const u8>(1) as u64)
}

#[lsm(hook = "path_rmdir")]
pub(crate) fn path_rmdir(ctx: LsmContext) -> i32 {
    path::decide::<Known>(ctx.arg(2), Verb::Rmdir, [0; 2], || ctx.arg::<*const u8>(1) as u64)
}
