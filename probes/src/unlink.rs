//! `unlink` and `rmdir`: LSM `path_unlink` and `path_rmdir` decide, before the ownership check.
//!
//! `int path_unlink(const struct path *dir, struct dentry *dentry)`, `int path_rmdir(...)` alike,
//! include/linux/lsm_hook_defs.h, Linux 6.1 to 7.3. Without memory for a record the act is refused
//! in `enforce` mode, since it could not be judged, and counted as lost.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use ebpf_common::Verb;

use crate::{emit, path, scratch, syscall, verdict, whose};

#[inline(always)]
fn judge(ctx: &LsmContext, verb: Verb) -> i32 {
    let earlier = ctx.arg::<i32>(2);
    if earlier != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, verb);
        return verdict::unjudged(slot);
    };
    syscall::flush(scratch);
    scratch.begin(slot, verb);
    let judgement = path::fill(scratch, slot, verb, ctx.arg::<*const u8>(1) as u64);
    syscall::finish(scratch, judgement);
    judgement.answer()
}

#[lsm(hook = "path_unlink")]
pub(crate) fn path_unlink(ctx: LsmContext) -> i32 {
    judge(&ctx, Verb::Unlink)
}

#[lsm(hook = "path_rmdir")]
pub(crate) fn path_rmdir(ctx: LsmContext) -> i32 {
    judge(&ctx, Verb::Rmdir)
}
