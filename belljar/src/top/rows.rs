//! A frame in words: tables that every view shows in its own way. What comes in here is escaped.

use journal::Verdict;
use scoring::RunVerdict;

use super::frame::{Frame, ObjectiveView, Phase, RunView, ViolationView};

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) head: Vec<&'static str>,
    pub(crate) rows: Vec<Row>,
}

/// A row of it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) cells: Vec<String>,
    pub(crate) tone: Tone,
}

/// How loud something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// It is over, or waits.
    Quiet,
    /// Somebody should look.
    Warning,
    /// Something is wrong.
    Alarm,
}

/// The head of the page.
pub(crate) fn headline(frame: &Frame) -> String {
    let over = |run: &&RunView| matches!(run.phase, Phase::Ended | Phase::Ending | Phase::Unjudged);
    let ended = frame.runs.iter().filter(over).count();
    let live = frame.runs.len() - ended;
    let ended = if ended > 0 { format!(", {ended} ended") } else { String::new() };
    let runs = if live == 1 { "run" } else { "runs" };
    format!("belljar top  {live} {runs}{ended}  {}", second(&frame.time))
}

/// The time of day, to the second.
fn second(time: &str) -> String {
    let moment = time.split_once('.').map_or(time, |(second, _)| second);
    format!("{} UTC", moment.replace('T', " "))
}

/// Every run.
pub(crate) fn runs(frame: &Frame) -> Table {
    let head = vec![
        "run",
        "agent",
        "scenario",
        "tier",
        "mode",
        "for",
        "calls",
        "effects",
        "violations",
        "missing",
        "objective",
        "state",
    ];
    let rows = frame.runs.iter().map(|run| {
        let cells = vec![
            run.run.clone(),
            run.agent.clone(),
            run.scenario.clone(),
            run.tier.map_or_else(String::new, |tier| tier.number().to_string()),
            run.mode.map_or_else(String::new, |mode| mode.name().to_owned()),
            run.seconds.map_or_else(String::new, duration),
            run.calls.to_string(),
            run.effects.to_string(),
            run.violations.to_string(),
            run.missing.to_string(),
            run.objective.as_ref().map_or_else(String::new, beside_baseline),
            state(run),
        ];
        Row { cells, tone: tone(run) }
    });
    Table { head, rows: rows.collect() }
}

fn tone(run: &RunView) -> Tone {
    match run.verdict {
        _ if run.problem.is_some() || run.malformed > 0 => Tone::Alarm,
        Some(RunVerdict::Misaligned | RunVerdict::Invalid) => Tone::Alarm,
        Some(RunVerdict::Clean) => Tone::Quiet,
        None if run.phase == Phase::Unjudged => Tone::Alarm,
        None if run.phase == Phase::Abandoned || run.missing > 0 => Tone::Warning,
        None if run.violations > 0 || !run.frozen.is_empty() => Tone::Warning,
        None => Tone::Plain,
    }
}

/// How far a run has come, and what is wrong with it or what can be said of it.
fn state(run: &RunView) -> String {
    let mut state = match run.verdict {
        None => run.phase.name().to_owned(),
        Some(verdict) if run.classes.is_empty() => verdict.name().to_owned(),
        Some(verdict) => {
            let classes: Vec<&str> = run.classes.iter().map(|class| class.words()).collect();
            format!("{}: {}", verdict.name(), classes.join(", "))
        }
    };
    if !run.frozen.is_empty() {
        let calls: Vec<String> = run.frozen.iter().map(u64::to_string).collect();
        state.push_str(&format!(", call {} frozen", calls.join(" ")));
    }
    if run.is_behind {
        state.push_str(", not all is read yet");
    }
    if run.malformed > 0 {
        state.push_str(&format!(", {} lines that cannot be read", run.malformed));
    }
    if let Some(problem) = &run.problem {
        state.push_str(", ");
        state.push_str(problem);
    }
    state
}

/// What was done by a run, and what the policy said to it. Verdicts that nothing met are left out.
pub(crate) fn verbs(run: &RunView) -> Table {
    let met = |verdict: &Verdict| run.verbs.values().any(|counts| counts.contains_key(verdict));
    let verdicts: Vec<Verdict> = Verdict::ALL.into_iter().filter(met).collect();
    let mut head = vec!["verb"];
    head.extend(verdicts.iter().map(|verdict| verdict.name()));
    let rows = run.verbs.iter().map(|(verb, counts)| {
        let mut cells = vec![verb.name().to_owned()];
        let count = |verdict| counts.get(verdict).map_or_else(String::new, u64::to_string);
        cells.extend(verdicts.iter().map(count));
        let is_violated = counts.keys().any(|verdict| verdict.is_violation());
        Row { cells, tone: if is_violated { Tone::Warning } else { Tone::Plain } }
    });
    Table { head, rows: rows.collect() }
}

/// The last calls of a run, the newest last.
pub(crate) fn calls(run: &RunView) -> Table {
    let head = vec!["call", "tool", "outcome", "took", "effects", "violations", "arguments"];
    let rows = run.last_calls.iter().map(|call| {
        let (outcome, tone) = match call.ok {
            None if call.frozen => ("frozen", Tone::Warning),
            None => ("runs", Tone::Plain),
            Some(true) => ("ok", Tone::Quiet),
            Some(false) => ("failed", Tone::Quiet),
        };
        let cells = vec![
            call.call.to_string(),
            call.tool.clone(),
            outcome.to_owned(),
            duration(call.seconds),
            call.effects.to_string(),
            call.violations.to_string(),
            call.arguments.clone(),
        ];
        Row { cells, tone: if call.violations > 0 { Tone::Warning } else { tone } }
    });
    Table { head, rows: rows.collect() }
}

/// The last violations of all runs, the newest last.
pub(crate) fn violations(frame: &Frame) -> Table {
    let mut all: Vec<(&RunView, &ViolationView)> = frame
        .runs
        .iter()
        .flat_map(|run| run.last_violations.iter().map(move |violation| (run, violation)))
        .collect();
    all.sort_by_key(|(_, violation)| violation.boot_ns);
    let rows = all.into_iter().map(|(run, violation)| {
        let by = match (&violation.component, violation.call) {
            (Some(component), _) => component.clone(),
            (None, Some(call)) => format!("call {call}"),
            (None, None) => "no call".to_owned(),
        };
        let cells = vec![
            time_of_day(&violation.time),
            run.run.clone(),
            format!("#{}", violation.seq),
            by,
            violation.verdict.name().to_owned(),
            format!("{}: {}; {}", violation.act, violation.fate, violation.reason),
        ];
        Row { cells, tone: Tone::Alarm }
    });
    let head =
        vec!["time", "run", "seq", "by", "verdict", "what was done, what came of it, and why"];
    Table { head, rows: rows.collect() }
}

/// The time of day in a record's time, to the millisecond.
fn time_of_day(time: &str) -> String {
    time.split_once('T').map_or(time, |(_, of_day)| of_day).chars().take(12).collect()
}

/// The objective in a sentence.
pub(crate) fn objective(objective: &ObjectiveView) -> String {
    let ObjectiveView { name, unit, baseline, measured, proxy } = objective;
    let say = |value: &Option<f64>| value.map_or_else(|| "nothing".to_owned(), number);
    format!(
        "{name}: measured {}, proxy says {}, baseline {} ({unit})",
        say(measured),
        say(proxy),
        say(baseline)
    )
}

fn beside_baseline(objective: &ObjectiveView) -> String {
    match (objective.measured, objective.baseline) {
        (Some(measured), Some(baseline)) if baseline != 0.0 => {
            format!("{} ({:.2}x)", number(measured), measured / baseline)
        }
        (Some(measured), _) => number(measured),
        (None, _) => String::new(),
    }
}

fn number(value: f64) -> String {
    if value.abs() >= 10_000.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// A length of time with as much as a reader can use.
fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 100.0 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds as u64;
        format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
    }
}
