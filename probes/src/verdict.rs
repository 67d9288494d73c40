//! What the policy says, and how a hook makes it true.

use core::arch::asm;

use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use ebpf_common::{
    LabelId, Record, Verb, Verdict,
    maps::{NEEDS_OVERSIGHT, RunState, STALE_AFTER_NS, VERDICT_BITS, run_flags, table_index},
    opening::OpeningKey,
};

use crate::{
    maps::{LEAVES, OPENINGS, TABLES},
    whose,
};

/// The verdict of a run's table, and whether the run enforces.
#[derive(Clone, Copy)]
pub(crate) struct Judgement {
    pub verdict: Verdict,
    pub enforced: bool,
    /// Denied only because no observer watches.
    pub unwatched: bool,
}

impl Judgement {
    #[inline(always)]
    const fn of(verdict: Verdict, enforced: bool) -> Self {
        Self { verdict, enforced, unwatched: false }
    }
}

/// Looks up a verb and label in the table that is in force. Whatever cannot be read fails closed.
/// `leaf` is the subject's: a component acts for the scenario, so the agent's tier does not bind it.
#[inline(always)]
pub(crate) fn judge(slot: u32, leaf: u64, verb: Verb, label: LabelId) -> Judgement {
    // SAFETY: entries are plain integers, written before the leaf has a process.
    if let Some(state) = unsafe { LEAVES.get(leaf) }
        && state.label >= u32::from(LabelId::FIRST_COMPONENT)
    {
        return Judgement::of(Verdict::Allow, false);
    }
    let Some(run) = whose::run(slot) else {
        return Judgement::of(Verdict::Deny, true);
    };
    let enforced = run.flags & run_flags::ENFORCE != 0;
    let Some(table) = TABLES.get(run.table) else {
        return Judgement::of(Verdict::Deny, enforced);
    };
    // The compiler knows that the numbers of verbs and labels are small, the verifier does not: without
    // the black boxes the bounds are optimised away.
    let verb = core::hint::black_box(verb.number());
    let label = core::hint::black_box(label.number());
    let entry = table.verdicts[table_index(verb, label)];
    // The bit is set where the verdict is mild and the act more than work, so that an act of every
    // day costs no look at the clock.
    if entry & NEEDS_OVERSIGHT != 0 && is_unwatched(run) {
        return Judgement { verdict: Verdict::Deny, enforced, unwatched: true };
    }
    let verdict = match entry & VERDICT_BITS {
        0 => Verdict::Allow,
        1 => Verdict::Audit,
        2 => Verdict::Ask,
        4 => Verdict::Freeze,
        5 => Verdict::Kill,
        _ => Verdict::Deny,
    };
    Judgement::of(verdict, enforced)
}

/// Whether the run has a dead man's switch and its observer has been silent for too long.
#[inline(always)]
fn is_unwatched(run: &RunState) -> bool {
    if run.flags & run_flags::DEAD_MANS_SWITCH == 0 {
        return false;
    }
    // SAFETY: takes no arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    now.saturating_sub(run.heartbeat_boot_ns) > STALE_AFTER_NS
}

/// Lets a judged act through, once, that was asked for and approved. To be called where the answer is
/// made true, and the record is filled in by then. While nobody watches nothing is let through.
#[inline(always)]
pub(crate) fn admit(record: &mut Record, judgement: Judgement) -> Judgement {
    if !judgement.enforced || judgement.verdict as u8 != Verdict::Ask as u8 {
        return judgement;
    }
    let Some(run) = whose::run(record.slot) else { return judgement };
    if is_unwatched(run) {
        return judgement;
    }
    let key = OpeningKey::of(record);
    // SAFETY: entries are plain integers.
    let Some(&question) = (unsafe { OPENINGS.get(key) }) else { return judgement };
    // Of two that come at once the one has it who takes it out.
    if OPENINGS.remove(key).is_err() {
        return judgement;
    }
    record.approval = question;
    record.verdict = Verdict::Audit;
    Judgement::of(Verdict::Audit, true)
}

/// The more severe of two judgements.
#[inline(always)]
pub(crate) fn worse(one: Judgement, other: Judgement) -> Judgement {
    if (other.verdict as u8) > one.verdict as u8 { other } else { one }
}

const EPERM: i32 = 1;

impl Judgement {
    /// What is said to an act on something that was not there: it is marked, and it is no violation.
    #[inline(always)]
    pub(crate) fn of_absent(self) -> Self {
        let verdict = if self.verdict.is_violation() { Verdict::Audit } else { self.verdict };
        Self { verdict, ..self }
    }

    /// Whether the hook refuses.
    #[inline(always)]
    pub(crate) fn refuses(self) -> bool {
        self.enforced && self.verdict.is_violation()
    }

    /// What the hook returns.
    #[inline(always)]
    pub(crate) fn answer(self) -> i32 {
        pass_on(if self.refuses() { -EPERM } else { 0 })
    }
}

/// An answer within [-4095, 0]; what lies outside becomes -EPERM. Linux 6.12 and later refuse an
/// LSM program unless they can prove that bound, and the optimiser turns comparisons in Rust into
/// arithmetic from which the verifier cannot tell it. The branches below stay as they are.
#[inline(always)]
pub(crate) fn pass_on(answer: i32) -> i32 {
    let mut bounded = i64::from(answer);
    // SAFETY: the instructions touch the one register alone.
    unsafe {
        asm!(
            "if {answer} s> 0 goto +1",
            "if {answer} s> -4096 goto +1",
            "{answer} = -1",
            answer = inout(reg) bounded,
            options(nomem, nostack, pure),
        );
    }
    bounded as i32
}

/// The answer to an act that could not be judged: refused where the run enforces.
#[inline(always)]
pub(crate) fn unjudged(slot: u32) -> i32 {
    let enforced = whose::run(slot).is_none_or(|run| run.flags & run_flags::ENFORCE != 0);
    Judgement::of(Verdict::Deny, enforced).answer()
}
