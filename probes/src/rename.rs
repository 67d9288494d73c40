//! `rename`: LSM `path_rename` decides, before the ownership check. A rename out of a label removes
//! from it and one onto an existing name deletes it, so both ends are judged and the more severe
//! verdict counts. RENAME_EXCHANGE is one rename, whose destination moves as well.
//!
//! `int path_rename(const struct path *old_dir, struct dentry *old_dentry, const struct path
//! *new_dir, struct dentry *new_dentry, unsigned int flags)`, include/linux/lsm_hook_defs.h, Linux
//! 6.1 to 7.3.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use ebpf_common::{Verb, record::string};

use crate::{emit, kernel::Known, path, scratch, syscall, verdict, walk, whose};

#[lsm(hook = "path_rename")]
pub(crate) fn path_rename(ctx: LsmContext) -> i32 {
    let earlier = ctx.arg::<i32>(5);
    if earlier != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, Verb::Rename);
        return verdict::unjudged(slot);
    };
    syscall::flush(scratch);
    scratch.begin(slot, Verb::Rename);
    scratch.record.args[0] = u64::from(ctx.arg::<u32>(4));
    let from = path::fill(scratch, slot, Verb::Rename, ctx.arg::<*const u8>(1) as u64);
    let to = walk::walk::<Known>(scratch, slot, ctx.arg::<*const u8>(3) as u64, string::TO);
    scratch.record.to_label = to.label.number();
    let judgement =
        verdict::worse(from, verdict::judge(slot, scratch.record.leaf, Verb::Rename, to.label));
    scratch.record.verdict = judgement.verdict;
    syscall::finish(scratch, judgement);
    judgement.answer()
}
