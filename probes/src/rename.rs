//! `rename` and `exchange`: LSM `path_rename` decides, before the ownership check. A rename out of a label removes
//! from it and one onto an existing name deletes it, so both ends are judged and the more severe
//! verdict counts. Of an exchange the destination moves as well. A directory above a
//! labelled root takes the root along, so what lies below is judged too.
//!
//! `int path_rename(const struct path *old_dir, struct dentry *old_dentry, const struct path
//! *new_dir, struct dentry *new_dentry, unsigned int flags)`, include/linux/lsm_hook_defs.h, Linux
//! 6.1 to 7.3.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use ebpf_common::{Label, LabelId, Verb, maps::FileKey, record::string, verb::taken_along_counts};

use crate::{
    emit,
    kernel::{self, Address, Known},
    maps::ANCESTORS,
    path,
    scratch::{self, Scratch},
    syscall,
    verdict::{self, Judgement},
    walk, whose,
};

/// RENAME_EXCHANGE, include/uapi/linux/fs.h.
const EXCHANGE: u64 = 1 << 1;

/// What a rename with these flags is.
#[inline(always)]
pub(crate) fn verb_of(flags: u64) -> Verb {
    if flags & EXCHANGE != 0 { Verb::Exchange } else { Verb::Rename }
}

/// Judges one end of a rename: its own label, and those of labelled roots below it. Gives the label
/// that decided.
#[inline(always)]
fn judge_end(
    scratch: &Scratch,
    slot: u32,
    dentry: Address,
    device: u32,
    label: LabelId,
) -> (LabelId, Judgement) {
    let (leaf, verb) = (scratch.record.leaf, scratch.record.verb);
    let mut worst = (label, verdict::judge(slot, leaf, verb, label));
    let key = FileKey { inode: kernel::inode_number::<Known>(dentry), device, slot };
    // SAFETY: entries are plain integers, written before the run and removed after it.
    if let Some(&below) = unsafe { ANCESTORS.get(key) } {
        for label in Label::FOR_PATHS {
            if below & 1 << label as u32 != 0 {
                let label = LabelId::of(label);
                let judgement = verdict::judge(slot, leaf, verb, label);
                if taken_along_counts((worst.0, worst.1.verdict), (label, judgement.verdict)) {
                    worst = (label, judgement);
                }
            }
        }
    }
    worst
}

#[lsm(hook = "path_rename")]
pub(crate) fn path_rename(ctx: LsmContext) -> i32 {
    let earlier = ctx.arg::<i32>(5);
    if earlier != 0 {
        return verdict::pass_on(earlier);
    }
    let Some(slot) = whose::run_slot() else { return 0 };
    let flags = u64::from(ctx.arg::<u32>(4));
    let verb = verb_of(flags);
    let Some(scratch) = scratch::get() else {
        emit::lost(slot, verb);
        return verdict::unjudged(slot);
    };
    syscall::flush(scratch);
    scratch.begin(slot, verb);
    scratch.record.args[0] = flags;
    let (old, new) = (ctx.arg::<*const u8>(1) as u64, ctx.arg::<*const u8>(3) as u64);
    let from = path::locate::<Known>(scratch, slot, old);
    let to = walk::walk::<Known>(scratch, slot, new, string::TO);
    let (from_label, from) = judge_end(scratch, slot, old, from.device, from.label);
    let (to_label, to) = judge_end(scratch, slot, new, to.device, to.label);
    let judgement = verdict::worse(from, to);
    scratch.judged(from_label, judgement);
    scratch.record.to_label = to_label.number();
    path::name(scratch, new);
    let judgement = verdict::admit(&mut scratch.record, judgement);
    syscall::finish(scratch, judgement);
    judgement.answer()
}
