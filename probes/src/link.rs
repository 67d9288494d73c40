//! `link`: LSM `path_link` decides, before the ownership check. Under its new name a file can be
//! reached from where other labels hold, so both ends are judged and the more severe verdict counts.
//!
//! `int path_link(struct dentry *old_dentry, const struct path *new_dir, struct dentry *new_dentry)`,
//! include/linux/lsm_hook_defs.h, Linux 6.1 to 7.3.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use ebpf_common::{Verb, record::string};

use crate::{emit, kernel::Unknown, path, scratch, syscall, verdict, walk, whose};

#[lsm(hook = "path_link")]
pub(crate) fn path_link(ctx: LsmContext) -> i32 {
    let earlier = ctx.arg::<i32>(3);
    if earlier != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, Verb::Link);
        return verdict::unjudged(slot);
    };
    syscall::flush(scratch);
    scratch.begin(slot, Verb::Link);
    let (old, new) = (ctx.arg::<*const u8>(0) as u64, ctx.arg::<*const u8>(2) as u64);
    let from = path::locate::<Unknown>(scratch, slot, old);
    let to = walk::walk::<Unknown>(scratch, slot, new, string::TO);
    let leaf = scratch.record.leaf;
    let judge = |label| verdict::judge(slot, leaf, Verb::Link, label);
    let judgement = verdict::worse(judge(from.label), judge(to.label));
    scratch.judged(from.label, judgement);
    scratch.record.to_label = to.label.number();
    path::name(scratch, new);
    let judgement = verdict::admit(&mut scratch.record, judgement);
    syscall::finish(scratch, judgement);
    judgement.answer()
}
