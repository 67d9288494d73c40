//! A resolved policy in words: what each effect gets, why, and what makes it true on a host.
//!
//! This speaks of mode `enforce`; in mode `observe` nothing is stopped. Landlock's part assumes that
//! no labelled root lies inside another: [`crate::landlock::plan`] lists those that do.

use std::{collections::BTreeMap, fmt::Write};

use ebpf_common::{Disposition, Enforcer, Label, LabelId, ObjectKind, Verb, Verdict};
use serde::Serialize;

use crate::{compile::Compiled, landlock, rule::Selector, seccomp};

/// What a host can do to make verdicts true. Whoever calls has found it out by trying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostCapabilities {
    /// BPF LSM programs load, so the probe set is `lsm`; else `tracepoint`.
    pub bpf_lsm: bool,
    /// Programs on the runs' cgroups decide on addresses.
    pub cgroup_bpf: bool,
    /// Landlock's ABI, 0 for none.
    pub landlock_abi: u32,
    /// Seccomp filters can be installed.
    pub seccomp: bool,
    /// A call's cgroup can be frozen and killed.
    pub response: bool,
}

/// Effects that fare alike: every verb with every label of the row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedRule {
    /// The verbs' names; empty for a row about system calls.
    pub verbs: Vec<String>,
    /// The labels' names.
    pub labels: Vec<String>,
    /// System calls that are refused whatever their object.
    pub syscalls: Vec<&'static str>,
    /// Tools whose calls the row is about, before they start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// What they get.
    pub verdict: Verdict,
    /// The name of the rule that says so; `None` for the defaults and for rules without a name.
    pub rule: Option<String>,
    /// Why; empty for what is allowed by default.
    pub reason: String,
    /// What makes the verdict true on this host, strongest first.
    pub enforcers: Vec<Enforcer>,
    /// What becomes of the effect; `None` where it is allowed.
    pub disposition: Option<Disposition>,
    /// What else there is to know.
    pub note: Option<&'static str>,
}

const OWNERSHIP: &str = "ownership also stops it where the run's user may not write the directory";
const NO_PROGRAM: &str = "this kernel takes no program for it: it is neither seen nor stopped";
const NO_HOOK: &str = "no hook decides on this verb";
const STOPPED_ALL_THE_SAME: &str =
    "the policy allows it; ownership, seccomp or Landlock's signal scope does not";
const OPENED_ONCE: &str = "the call stands still until somebody answers, and an approval opens the act once; ownership may refuse it all the same";
const OPENED_NEVER: &str = "the call stands still until somebody answers, and an approval opens nothing: seccomp, Landlock or ownership refuses it whatever is answered";
const ASKED_AFTERWARDS: &str =
    "nothing here refuses it: the call stands still afterwards, until somebody answers";
const HELD: &str = "the call is held before it starts, until somebody answers";
const SOME_ARGUMENTS: &str = "only with arguments that ask for it";

/// What groups effects: all that a row says of them.
type Outcome = (Verdict, Option<String>, String, Vec<Enforcer>, Option<&'static str>);

/// Says what the policy means on a host: rows of effects that fare alike, allowed ones first, then
/// the system calls that seccomp refuses.
#[must_use]
pub fn explain(compiled: &Compiled, host: &HostCapabilities) -> Vec<ExplainedRule> {
    // Verbs whose outcomes agree on the same labels share a row.
    let mut rows: BTreeMap<(Outcome, Vec<LabelNumber>), Vec<Verb>> = BTreeMap::new();
    for &verb in Verb::ALL {
        let mut outcomes: BTreeMap<Outcome, Vec<LabelNumber>> = BTreeMap::new();
        for label in labels(compiled).filter(|label| verb.can_meet(label.label())) {
            outcomes.entry(outcome(compiled, host, verb, label)).or_default().push(label.number());
        }
        for row in outcomes {
            rows.entry(row).or_default().push(verb);
        }
    }
    let effects = rows.into_iter().map(|((outcome, labels), verbs)| {
        let (verdict, rule, reason, enforcers, note) = outcome;
        let labels = labels.into_iter().map(LabelId::from_number);
        ExplainedRule {
            verbs: verbs.iter().map(|verb| verb.name().to_owned()).collect(),
            labels: labels.map(|label| compiled.label_name(label)).collect(),
            syscalls: Vec::new(),
            tools: Vec::new(),
            verdict,
            rule,
            reason,
            disposition: disposition(verdict, &enforcers),
            enforcers,
            note,
        }
    });
    effects.chain(refused_syscalls(compiled, host)).chain(tool_calls(compiled)).collect()
}

/// The rules on tool calls that count at the run's tier, the last first: so it is looked for.
fn tool_calls(compiled: &Compiled) -> impl Iterator<Item = ExplainedRule> {
    let rules = compiled.policy().tool_rules().iter().rev();
    rules.filter(|rule| rule.tiers.contains(compiled.tier())).map(|rule| ExplainedRule {
        verbs: Vec::new(),
        labels: Vec::new(),
        syscalls: Vec::new(),
        tools: match &rule.tools {
            Selector::All => vec!["*".to_owned()],
            Selector::Named(tools) => tools.iter().map(|(tool, _)| tool.clone()).collect(),
        },
        verdict: rule.verdict,
        rule: rule.name.clone(),
        reason: rule.reason.clone(),
        enforcers: Vec::new(),
        disposition: rule.verdict.is_violation().then_some(Disposition::Prevented),
        note: (rule.verdict == Verdict::Ask).then_some(HELD),
    })
}

/// Verbs that the policy asks about at the run's tier although seccomp refuses their system calls
/// whatever is answered.
#[must_use]
pub fn asked_in_vain(compiled: &Compiled) -> Vec<Verb> {
    let asks = |verb: &Verb| {
        let mut met = labels(compiled).filter(|label| verb.can_meet(label.label()));
        met.any(|label| compiled.verdict(*verb, label) == Verdict::Ask)
    };
    let verbs = Verb::ALL.iter().copied().filter(asks);
    verbs.filter(|verb| seccomp::refuses(compiled.tier(), *verb)).collect()
}

/// A label by the number that orders it.
type LabelNumber = u8;

/// The labels worth a word: `component` as such stands in only where the run has none by name.
fn labels(compiled: &Compiled) -> impl Iterator<Item = LabelId> {
    let is_named = !compiled.components().is_empty();
    compiled.label_ids().filter(move |label| !is_named || *label != LabelId::of(Label::Component))
}

/// Whether the kernel asks for the same user at least.
fn asks_for_ownership(verb: Verb) -> bool {
    controls(verb) || matches!(verb, Verb::PtraceRead | Verb::PtraceAttach | Verb::MemoryAccess)
}

fn outcome(compiled: &Compiled, host: &HostCapabilities, verb: Verb, label: LabelId) -> Outcome {
    let verdict = compiled.verdict(verb, label);
    let rule = compiled.rule(verb, label);
    // A rule's reason is worth reading also where it allows.
    let reason = rule.map_or_else(|| compiled.reason(verb, label), |rule| rule.reason.clone());
    let name = rule.and_then(|rule| rule.name.clone());
    if !verdict.is_violation() {
        let stopped = is_filtered(compiled, host, verb)
            || (asks_for_ownership(verb) && is_other_user(label))
            || (is_signal(verb) && is_scoped(compiled, host, label));
        return (verdict, name, reason, Vec::new(), stopped.then_some(STOPPED_ALL_THE_SAME));
    }
    let (enforcers, note) = enforcers(compiled, host, verb, label);
    (verdict, name, reason, enforcers, note)
}

fn is_signal(verb: Verb) -> bool {
    matches!(verb, Verb::Kill | Verb::SignalProbe)
}

/// Whether the kernel asks for ownership of the process.
fn controls(verb: Verb) -> bool {
    is_signal(verb)
        || matches!(verb, Verb::Priority | Verb::Affinity | Verb::Rlimit | Verb::OomAdjust)
}

/// The run's user is nobody else's; only components may run under it.
fn is_other_user(label: LabelId) -> bool {
    matches!(label.label(), Label::Host | Label::Oversight)
}

/// Whether seccomp refuses system calls of this verb.
fn is_filtered(compiled: &Compiled, host: &HostCapabilities, verb: Verb) -> bool {
    host.seccomp && seccomp::refuses(compiled.tier(), verb)
}

/// Landlock's scope stops signal 0 with the others.
fn is_scoped(compiled: &Compiled, host: &HostCapabilities, label: LabelId) -> bool {
    landlock::prevents(compiled, Verb::Kill, label, host.landlock_abi)
}

fn enforcers(
    compiled: &Compiled,
    host: &HostCapabilities,
    verb: Verb,
    label: LabelId,
) -> (Vec<Enforcer>, Option<&'static str>) {
    let is_power = verb.object() == ObjectKind::Kernel;
    let is_address = verb.object() == ObjectKind::Address;
    // A cgroup has no hook for what listens.
    let by_cgroup = is_address && verb != Verb::Listen;
    // A hole comes after an open for writing, which has one.
    let is_behind = verb == Verb::Punch && !compiled.verdict(Verb::OpenWrite, label).is_violation();
    let has_hook = !is_power && !is_behind && !matches!(verb, Verb::Fork | Verb::Exit);
    let verdict = compiled.verdict(verb, label);
    let responds = verdict >= Verdict::Freeze || verdict == Verdict::Ask;
    let filtered = is_filtered(compiled, host, verb);
    let able = [
        (filtered, Enforcer::Seccomp),
        (host.bpf_lsm && has_hook && !by_cgroup, Enforcer::BpfLsm),
        (host.cgroup_bpf && by_cgroup, Enforcer::CgroupBpf),
        (landlock::prevents(compiled, verb, label, host.landlock_abi), Enforcer::Landlock),
        (asks_for_ownership(verb) && is_other_user(label), Enforcer::Dac),
        // Whoever has no capability is no other user, whatever it asks for.
        (is_power && !filtered, Enforcer::Dac),
        (host.response && responds, Enforcer::Response),
    ];
    let able = able.into_iter().filter(|(is_able, _)| *is_able).map(|(_, enforcer)| enforcer);
    let able: Vec<_> = able.collect();
    let changes_files = matches!(verb.object(), ObjectKind::File | ObjectKind::FilePair)
        && !matches!(verb, Verb::Exec | Verb::MapExec | Verb::UnixConnect | Verb::Receive);
    let is_unseen = (by_cgroup && !host.cgroup_bpf) || (verb == Verb::Receive && !host.bpf_lsm);
    let note = if verdict == Verdict::Ask {
        Some(asked(host, &able))
    } else if is_power {
        None
    } else if !has_hook {
        Some(NO_HOOK)
    } else if is_unseen {
        Some(NO_PROGRAM)
    } else if changes_files && label.label() != Label::Unknown {
        Some(OWNERSHIP)
    } else {
        None
    };
    (able, note)
}

/// What comes of asking where these enforce.
fn asked(host: &HostCapabilities, able: &[Enforcer]) -> &'static str {
    // Where LSM programs decide, runs have no Landlock domain.
    let refuses_anyhow = |it: &Enforcer| {
        matches!(it, Enforcer::Seccomp | Enforcer::Dac)
            || (*it == Enforcer::Landlock && !host.bpf_lsm)
    };
    let opens = |it: &Enforcer| matches!(it, Enforcer::BpfLsm | Enforcer::CgroupBpf);
    if able.iter().any(refuses_anyhow) {
        OPENED_NEVER
    } else if able.iter().any(opens) {
        OPENED_ONCE
    } else {
        ASKED_AFTERWARDS
    }
}

fn disposition(verdict: Verdict, enforcers: &[Enforcer]) -> Option<Disposition> {
    if !verdict.is_violation() {
        return None;
    }
    Some(match enforcers {
        [] => Disposition::Observed,
        [Enforcer::Response] => Disposition::StoppedAfter,
        _ => Disposition::Prevented,
    })
}

fn refused_syscalls(compiled: &Compiled, host: &HostCapabilities) -> Vec<ExplainedRule> {
    let mut rows: Vec<ExplainedRule> = Vec::new();
    let enforcers = if host.seccomp { vec![Enforcer::Seccomp] } else { Vec::new() };
    for refusal in seccomp::plan(compiled.tier()).refusals {
        let note = refusal.condition.map(|_| SOME_ARGUMENTS);
        let same = |row: &&mut ExplainedRule| row.reason == refusal.reason && row.note == note;
        if let Some(row) = rows.iter_mut().find(same) {
            if !row.syscalls.contains(&refusal.syscall) {
                row.syscalls.push(refusal.syscall);
            }
            continue;
        }
        rows.push(ExplainedRule {
            verbs: Vec::new(),
            labels: Vec::new(),
            syscalls: vec![refusal.syscall],
            tools: Vec::new(),
            verdict: Verdict::Deny,
            rule: None,
            reason: refusal.reason.to_owned(),
            disposition: disposition(Verdict::Deny, &enforcers),
            enforcers: enforcers.clone(),
            note,
        });
    }
    rows
}

const HEADINGS: [&str; 5] = ["VERDICT", "VERBS", "LABELS", "ENFORCED BY", "WHY"];
/// Widths that columns are wrapped to, characters; the last column ends at about 130.
const WIDTHS: [usize; 5] = [7, 28, 30, 20, 40];

/// The rows as an aligned table for terminals, without colour. Notes follow the table.
#[must_use]
pub fn render_table(rules: &[ExplainedRule]) -> String {
    let mut notes: Vec<&str> = Vec::new();
    let mut rows = vec![HEADINGS.map(|heading| vec![heading.to_owned()])];
    for rule in rules {
        let mark = rule.note.map(|note| {
            let known = notes.iter().position(|known| *known == note);
            known.unwrap_or_else(|| {
                notes.push(note);
                notes.len() - 1
            }) + 1
        });
        let cells = cells(rule, mark);
        rows.push(std::array::from_fn(|column| wrap(&cells[column], WIDTHS[column])));
    }
    let widths: [usize; 5] = std::array::from_fn(|column| {
        let lines = rows.iter().flat_map(|row| &row[column]);
        lines.map(|line| line.chars().count()).max().unwrap_or(0)
    });
    let mut text = String::new();
    for row in &rows {
        for line in 0..row.iter().map(Vec::len).max().unwrap_or(0) {
            let mut out = String::new();
            for (cell, width) in row.iter().zip(widths) {
                let part = cell.get(line).map_or("", String::as_str);
                write!(out, "{part:width$}  ").expect("a string takes all that is written");
            }
            text.push_str(out.trim_end());
            text.push('\n');
        }
    }
    for (index, note) in notes.iter().enumerate() {
        writeln!(text, "[{}] {note}", index + 1).expect("a string takes all that is written");
    }
    text
}

fn cells(rule: &ExplainedRule, mark: Option<usize>) -> [String; 5] {
    let (what, labels) = if !rule.tools.is_empty() {
        (rule.tools.join(", "), "any (tool calls)".to_owned())
    } else if rule.verbs.is_empty() {
        (rule.syscalls.join(", "), "any (system calls)".to_owned())
    } else {
        (rule.verbs.join(", "), rule.labels.join(", "))
    };
    let names: Vec<_> = rule.enforcers.iter().map(|enforcer| enforcer.name()).collect();
    let mut by = match rule.disposition {
        None => "-".to_owned(),
        Some(Disposition::Prevented) if !rule.tools.is_empty() => "the runner".to_owned(),
        Some(Disposition::Prevented) => names.join(", "),
        Some(Disposition::StoppedAfter) => format!("{} (after)", names.join(", ")),
        Some(Disposition::Observed) => "none, observed".to_owned(),
    };
    if let Some(mark) = mark {
        write!(by, " [{mark}]").expect("a string takes all that is written");
    }
    let why = match &rule.rule {
        Some(name) => format!("{} (rule {name})", rule.reason),
        None if rule.reason.is_empty() => "the run's tier grants it".to_owned(),
        None => rule.reason.clone(),
    };
    [rule.verdict.name().to_owned(), what, labels, by, why]
}

/// Breaks a text at spaces into lines of at most `width` characters; a longer word stays whole.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
