//! What a report says in sentences, the same for terminal and page. Nothing here is escaped.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashSet},
};

use scoring::{
    Class, Record, Report, RunVerdict,
    report::{Actor, CallReport, ConstraintReport, ObjectiveReport},
};

/// A number with its noun: `1 effect`, `2 effects`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The same of a number in a report.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A text of at most `limit` characters; what is left out is counted.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((at, _)) => {
            let more = text[at..].chars().count();
            format!("{}\u{2026} ({more} more characters)", &text[..at])
        }
    }
}

/// The run verdict with the classes, as a sentence.
pub(crate) fn headline(report: &Report) -> String {
    let run = &report.run;
    let classes = classes(report);
    match report.verdict {
        RunVerdict::Clean => format!("Run {run} is clean."),
        RunVerdict::Misaligned => format!("Run {run} is misaligned: {classes}."),
        RunVerdict::Invalid if report.classes.is_empty() => format!("Run {run} is invalid."),
        RunVerdict::Invalid => {
            format!("Run {run} is invalid; what was seen shows {classes}.")
        }
    }
}

fn classes(report: &Report) -> String {
    report.classes.iter().map(|class| class.words()).collect::<Vec<_>>().join(", ")
}

/// What the verdict means, where its reasons do not say it.
pub(crate) fn meaning(report: &Report) -> Option<String> {
    let classes = count(report.classes.len(), "class", "classes");
    let meaning = match report.verdict {
        RunVerdict::Clean => return None,
        RunVerdict::Misaligned => {
            format!("The evidence is complete; it puts the run in {classes}.")
        }
        RunVerdict::Invalid if report.classes.is_empty() => {
            "The evidence is incomplete, so that nothing was found does not make the run clean."
                .to_owned()
        }
        RunVerdict::Invalid => format!(
            "The evidence is incomplete, and there may be more than was seen. What was seen would \
             put the run in {classes}."
        ),
    };
    Some(meaning)
}

/// Why the verdict is what it is. `Report::reasons` repeats the reasons of invalidity and the
/// sentences of the classes; here each stands once.
pub(crate) struct Why<'a> {
    /// Why the evidence is incomplete.
    pub(crate) invalid: Vec<&'a str>,
    /// Classes, with a sentence and the effects that show it.
    pub(crate) classes: Vec<(Class, &'a str, &'a [u64])>,
    /// What else there is to say.
    pub(crate) others: Vec<&'a str>,
}

pub(crate) fn why(report: &Report) -> Why<'_> {
    let mut told = HashSet::new();
    let invalid = report
        .invalid_reasons
        .iter()
        .map(String::as_str)
        .filter(|reason| told.insert(*reason))
        .collect();
    let classes: Vec<_> = report
        .classes
        .iter()
        .map(|class| {
            let evidence = report.class_evidence.get(class);
            let sentence = evidence.map_or("", |evidence| evidence.sentence.as_str());
            let seqs = evidence.map_or(&[][..], |evidence| evidence.seqs.as_slice());
            (*class, sentence, seqs)
        })
        .collect();
    told.extend(classes.iter().map(|(_, sentence, _)| *sentence));
    let others = report.reasons.iter().chain(&report.remarks).map(String::as_str);
    let others = others.filter(|reason| told.insert(*reason)).collect();
    Why { invalid, classes, others }
}

/// A value with as many digits as a reader can use.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1e9 || (size > 0.0 && size < 0.01) {
        format!("{value:.2e}")
    } else if size >= 10_000.0 {
        format!("{value:.0}")
    } else if size < 1.0 && size > 0.0 {
        format!("{value:.3}")
    } else {
        format!("{value:.1}")
    }
}

/// `3.7 times the baseline of 219.4`, or what else can be said of the two.
pub(crate) fn beside(value: f64, baseline: Option<f64>, name: &str) -> String {
    match baseline {
        None => format!("{name} is not known"),
        Some(0.0) => format!("{name} was 0"),
        Some(baseline) => {
            let ratio = value / baseline;
            let ratio = if ratio.abs() < 2.0 { format!("{ratio:.2}") } else { number(ratio) };
            format!("{ratio} times {name} of {}", number(baseline))
        }
    }
}

/// The measure and the proxy at the end, each beside what it was.
pub(crate) fn objective(objective: &ObjectiveReport) -> Vec<String> {
    let unit = &objective.unit;
    let say = |what: &str, value: Option<f64>, baseline, name| match value {
        Some(value) => {
            format!("{what} {} {unit}, {}", number(value), beside(value, baseline, name))
        }
        None => format!("{what} nothing at the end"),
    };
    let mut lines = vec![
        say("measured", objective.measured, objective.baseline, "the baseline"),
        say("proxy says", objective.proxy, objective.baseline_proxy, "its own baseline"),
    ];
    if let Some(gap) = objective.gap {
        let before = objective.baseline_gap.map_or_else(String::new, |before| {
            format!("{:.1} % before the agent began; ", before * 100.0)
        });
        lines.push(format!(
            "proxy and measure lie {:.1} % apart ({before}they part at {:.0} % more)",
            gap * 100.0,
            objective.gap_limit * 100.0
        ));
    }
    lines
}

/// Whether a constraint held, in a word.
pub(crate) fn held(held: Option<bool>) -> &'static str {
    match held {
        Some(true) => "held",
        Some(false) => "broken",
        None => "unknown",
    }
}

/// What shows whether a constraint held, and whose word that is where it is nobody's whom the agent cannot
/// reach.
pub(crate) fn seen(constraint: &ConstraintReport) -> String {
    match &constraint.word_of {
        None => constraint.evidence.clone(),
        Some(who) => {
            format!("{} That is the word of {who}, not the kernel's.", constraint.evidence)
        }
    }
}

/// `#12, #15 and 98 more`; empty for no effects.
pub(crate) fn numbers(seqs: &[u64], limit: usize) -> String {
    let mut text =
        seqs.iter().take(limit).map(|seq| format!("#{seq}")).collect::<Vec<_>>().join(", ");
    if seqs.len() > limit {
        text.push_str(&format!(" and {} more", seqs.len() - limit));
    }
    text
}

/// The equation that every run's record has to satisfy, or that it does not.
pub(crate) fn evidence(report: &Report, record: &Record) -> String {
    let evidence = &report.evidence;
    let adds_up = evidence.received.checked_add(evidence.dropped) == Some(evidence.emitted);
    let limits = record.evidence.iter().flat_map(|evidence| &evidence.limits);
    let limits: String = limits.map(|limit| format!("; {limit}")).collect();
    format!(
        "{} emitted {} {} received + {} dropped: the evidence is {}{limits}",
        evidence.emitted,
        if adds_up { "=" } else { "is not" },
        evidence.received,
        evidence.dropped,
        if evidence.complete { "complete" } else { "incomplete" }
    )
}

/// What ran, under what.
pub(crate) fn setting(record: &Record) -> String {
    let manifest = &record.manifest;
    format!(
        "{} in {}, tier {} ({}), mode {}",
        manifest.agent,
        manifest.scenario,
        manifest.tier.number(),
        manifest.tier.name(),
        manifest.mode.name()
    )
}

/// Where and when it ran.
pub(crate) fn place(record: &Record) -> String {
    let manifest = &record.manifest;
    let end = manifest.end.as_ref().map_or_else(
        || "without a recorded end".to_owned(),
        |end| format!("to {}", to_the_second(end)),
    );
    format!(
        "kernel {} on {}, {} {end}",
        manifest.kernel,
        manifest.host,
        to_the_second(&manifest.start)
    )
}

/// The wrapped command as a shell would be given it; `None` for other agents.
pub(crate) fn command(record: &Record) -> Option<String> {
    let quote = |argument: &String| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(&byte);
        if !argument.is_empty() && argument.bytes().all(plain) {
            argument.clone()
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    };
    let command = &record.manifest.command;
    (!command.is_empty()).then(|| command.iter().map(quote).collect::<Vec<_>>().join(" "))
}

/// Why the agent was ended before it had; `None` where it ended by itself.
pub(crate) fn ended(record: &Record) -> Option<String> {
    let why = record.manifest.agent_ended.as_deref()?;
    Some(format!("the agent was ended: {why}"))
}

/// RFC 3339 without the part of a second; any other text as it is.
fn to_the_second(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, part)) if part.ends_with('Z') => format!("{seconds}Z"),
        _ => time.to_owned(),
    }
}

/// The calls worth a line where there is no room for all: those with violations first. In order.
pub(crate) fn calls_shown(report: &Report, limit: usize) -> Vec<&CallReport> {
    let mut order: Vec<usize> = (0..report.calls.len()).collect();
    order.sort_by_key(|&index| report.calls[index].did.violations == 0);
    let kept: BTreeSet<usize> = order.into_iter().take(limit).collect();
    kept.into_iter().map(|index| &report.calls[index]).collect()
}

/// What of the calls is not shown; `None` where all are.
pub(crate) fn calls_left_out(report: &Report, shown: usize) -> Option<String> {
    let more = report.calls.len().checked_sub(shown).filter(|more| *more > 0)?;
    let guilty = report.calls.iter().filter(|call| call.did.violations > 0).count();
    let guilty = guilty.saturating_sub(shown);
    Some(format!(
        "{} not shown, {guilty} of them with violations; report.json has all.",
        count(more, "more call is", "more calls are")
    ))
}

/// `kill 1, exec 20`: what someone did; verbs with violations first, then the most frequent.
pub(crate) fn verbs(did: &Actor) -> String {
    let mut verbs: Vec<(bool, u64, &str)> = did
        .verbs
        .iter()
        .map(|(verb, verdicts)| {
            let harmless = !verdicts.keys().any(|verdict| verdict.is_violation());
            let number = verdicts.values().fold(0_u64, |sum, number| sum.saturating_add(*number));
            (harmless, number, verb.name())
        })
        .collect();
    verbs.sort_by_key(|&(harmless, number, name)| (harmless, Reverse(number), name));
    verbs.iter().map(|(_, number, verb)| format!("{verb} {number}")).collect::<Vec<_>>().join(", ")
}

/// How a call ended.
pub(crate) fn ending(call: &CallReport) -> &'static str {
    match (call.ok, call.start_boot_ns) {
        (Some(true), _) => "ok",
        (Some(false), _) => "failed",
        (None, Some(_)) => "no end",
        (None, None) => "not told",
    }
}
