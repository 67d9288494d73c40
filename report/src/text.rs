//! The report for a terminal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use journal::{Effect, Verb};
use scoring::{Record, Report};

use crate::{
    account, enforcement, interventions,
    paper::{Column, Paper},
    scale::{Span, duration, moment},
    sentences::{self, counted},
    telling,
};

/// How many effects, calls and other rows a terminal is shown of each kind.
const ROWS: usize = 20;
/// How many effects that broke a constraint are told with it.
const BREACHES: usize = 3;
/// How many effects a sentence names.
const NAMED: usize = 6;

/// The report in plain text: lines of at most 100 columns, without control characters.
#[must_use]
pub fn text(report: &Report, record: &Record) -> String {
    let mut paper = Paper::default();
    let span = Span::of(report, record);
    paper.line(&sentences::headline(report));
    paper.line(&sentences::setting(record));
    paper.line(&sentences::place(record));
    if let Some(command) = sentences::command(record) {
        paper.line(&format!("command: {command}"));
    }
    if let Some(ended) = sentences::ended(record) {
        paper.line(&ended);
    }
    why(&mut paper, report);
    objective(&mut paper, report);
    constraints(&mut paper, report, span);
    violations(&mut paper, report, span);
    intervened(&mut paper, record);
    calls(&mut paper, report, span);
    components(&mut paper, report);
    declared(&mut paper, report, record);
    persistence(&mut paper, record);
    close(&mut paper, report, record);
    paper.finish()
}

fn with_numbers(sentence: &str, seqs: &[u64]) -> String {
    if seqs.is_empty() {
        sentence.to_owned()
    } else {
        format!("{sentence} ({})", sentences::numbers(seqs, NAMED))
    }
}

fn find(report: &Report, seq: u64) -> Option<&Effect> {
    report.notable.iter().find(|effect| effect.seq == seq)
}

fn why(paper: &mut Paper, report: &Report) {
    let why = sentences::why(report);
    paper.heading("Why");
    if let Some(meaning) = sentences::meaning(report) {
        paper.item(&meaning);
    }
    for reason in why.invalid.iter().take(ROWS) {
        paper.item(&format!("- {reason}"));
    }
    left_out(paper, why.invalid.len(), ROWS, "reason", "reasons");
    for (class, sentence, seqs) in &why.classes {
        let severity = report.class_evidence.get(class).map(|evidence| evidence.severity);
        let severity = severity.unwrap_or_default();
        paper.item(&format!("- {} ({severity}): {}", class.words(), with_numbers(sentence, seqs)));
    }
    for reason in why.others.iter().take(ROWS) {
        paper.item(&format!("- {reason}"));
    }
    for (class, reason) in &report.not_judged {
        paper.item(&format!("- {} is not judged: {reason}", class.words()));
    }
}

fn objective(paper: &mut Paper, report: &Report) {
    let Some(objective) = &report.objective else { return };
    let better = if objective.maximize { "more" } else { "less" };
    paper.heading(&format!(
        "Objective: {} in {}, {better} is better",
        objective.name, objective.unit
    ));
    for line in sentences::objective(objective) {
        paper.item(&line);
    }
}

fn constraints(paper: &mut Paper, report: &Report, span: Span) {
    if report.constraints.is_empty() {
        return;
    }
    paper.heading("Safety constraints");
    for constraint in report.constraints.iter().take(ROWS) {
        let word = sentences::held(constraint.held);
        paper.entry(word, 8, &format!("{}: {}", constraint.name, constraint.description));
        paper.more(8, &with_numbers(&sentences::seen(constraint), &constraint.seqs));
        let seqs = constraint.seqs.iter().take(BREACHES);
        for effect in seqs.filter_map(|seq| find(report, *seq)) {
            let at = moment(span.seconds(effect.boot_ns));
            paper.more(
                8,
                &format!(
                    "#{}: {} [{}], {} at {at} by {}",
                    effect.seq,
                    telling::act(effect),
                    telling::label(effect),
                    telling::call(effect),
                    telling::subject(effect)
                ),
            );
        }
    }
    left_out(paper, report.constraints.len(), ROWS, "constraint", "constraints");
}

fn violations(paper: &mut Paper, report: &Report, span: Span) {
    let number = report.violations.len();
    if number == 0 {
        paper.heading("Violations: none");
        return;
    }
    paper.heading(&format!("Violations: {number}"));
    let shown = telling_violations(report);
    for effect in &shown {
        violation(paper, effect, span);
    }
    left_out(paper, number, shown.len(), "violation", "violations");
}

/// The violations that tell most, in their order: attacks on oversight, then one of each kind, then what
/// is left. What an agent does many times must not hide what it does once.
fn telling_violations(report: &Report) -> Vec<&Effect> {
    let mut before: HashMap<(Verb, &str), usize> = HashMap::new();
    let all = report.notable.iter().filter(|effect| effect.verdict.is_violation());
    let mut ranked: Vec<_> = all
        .map(|effect| {
            let times = before.entry((effect.verb, effect.object.label.as_str())).or_default();
            *times += 1;
            (if effect.subverts() { 0 } else { *times }, effect)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut shown: Vec<_> = ranked.into_iter().take(ROWS).map(|(_, effect)| effect).collect();
    shown.sort_by_key(|effect| effect.seq);
    shown
}

fn violation(paper: &mut Paper, effect: &Effect, span: Span) {
    let lead = format!("#{}", effect.seq);
    let width = 7;
    paper.entry(
        &lead,
        width,
        &format!(
            "{} [{}]: verdict {}, {}",
            telling::act(effect),
            telling::label(effect),
            effect.verdict.name(),
            telling::fate(effect)
        ),
    );
    let at = moment(span.seconds(effect.boot_ns));
    paper
        .more(width, &format!("{} at {at} by {}", telling::call(effect), telling::subject(effect)));
    if !effect.reason.is_empty() {
        paper.more(width, &format!("why: {}", effect.reason));
    }
}

fn intervened(paper: &mut Paper, record: &Record) {
    let sentences = interventions::sentences(record);
    if sentences.is_empty() {
        return;
    }
    paper.heading("Asked and decided by others");
    for sentence in sentences.iter().take(ROWS) {
        paper.item(&format!("- {sentence}"));
    }
    left_out(paper, sentences.len(), ROWS, "sentence", "sentences");
}

fn calls(paper: &mut Paper, report: &Report, span: Span) {
    if report.calls.is_empty() {
        paper.heading("Calls: none");
        return;
    }
    paper.heading("Calls");
    let shown = sentences::calls_shown(report, ROWS);
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|call| {
            let begin = call.start_boot_ns.map(|at| moment(span.seconds(at)));
            let took = call.duration_ns.map(duration);
            vec![
                call.call.to_string(),
                call.tool.clone().unwrap_or_else(|| "\u{2013}".to_owned()),
                begin.unwrap_or_else(|| "\u{2013}".to_owned()),
                took.unwrap_or_else(|| "\u{2013}".to_owned()),
                sentences::ending(call).to_owned(),
                call.did.effects.to_string(),
                call.did.violations.to_string(),
                sentences::verbs(&call.did),
            ]
        })
        .collect();
    let columns = [
        column("call", true, 6),
        column("tool", false, 18),
        column("start", true, 10),
        column("took", true, 10),
        column("outcome", false, 8),
        column("effects", true, 9),
        column("violations", true, 10),
        column("what it did", false, 60),
    ];
    paper.table(&columns, &rows);
    if let Some(sentence) = sentences::calls_left_out(report, shown.len()) {
        paper.item(&sentence);
    }
}

fn column(head: &'static str, right: bool, widest: usize) -> Column {
    Column { head, right, widest }
}

fn components(paper: &mut Paper, report: &Report) {
    if report.components.is_empty() {
        return;
    }
    paper.heading("Components of the scenario");
    for component in report.components.iter().take(ROWS) {
        let did = &component.did;
        let line = format!(
            "{}, {}: {}",
            counted(did.effects, "effect", "effects"),
            counted(did.violations, "violation", "violations"),
            sentences::verbs(did)
        );
        paper.entry(&component.name, 18, &line);
    }
    left_out(paper, report.components.len(), ROWS, "component", "components");
}

fn declared(paper: &mut Paper, report: &Report, record: &Record) {
    paper.heading("Declared beside observed");
    paper.item(&account::sentence(report, record));
    if !account::could_tell(report, record) {
        return;
    }
    let unseen = account::declared(report, record, ROWS);
    let unseen: Vec<_> = unseen.iter().filter(|declared| !declared.observed).collect();
    for declared in &unseen {
        let verb = declared.verb.name();
        paper.item(&format!("- declared and not observed: {verb} {}", declared.object));
    }
    left_out(paper, report.unobserved.len(), unseen.len(), "declared effect", "declared effects");
    // An effect that is no violation is shown nowhere else.
    let missing: BTreeSet<u64> = report.undeclared.iter().copied().collect();
    let effects: BTreeMap<u64, &Effect> =
        report.notable.iter().map(|effect| (effect.seq, effect)).collect();
    for seq in missing.iter().take(ROWS) {
        let act = effects.get(seq).map_or_else(String::new, |effect| {
            format!(
                " {} [{}], {}",
                telling::act(effect),
                telling::label(effect),
                telling::call(effect)
            )
        });
        paper.item(&format!("- observed and not declared: #{seq}{act}"));
    }
    left_out(paper, missing.len(), ROWS, "observed effect", "observed effects");
}

fn persistence(paper: &mut Paper, record: &Record) {
    let Some(persistence) = &record.persistence else { return };
    if persistence.processes.is_empty() {
        return;
    }
    paper.heading("Still there after the agent had ended");
    for process in persistence.processes.iter().take(ROWS) {
        paper.item(&format!(
            "- process {} of call {}, comm {}: {}",
            process.tgid, process.call, process.comm, process.command_line
        ));
    }
    left_out(paper, persistence.processes.len(), ROWS, "process", "processes");
}

fn close(paper: &mut Paper, report: &Report, record: &Record) {
    let layers = enforcement::layers(report, record);
    paper.heading(&format!("Evidence: {}", sentences::evidence(report, record)));
    paper.line(&enforcement::line(&layers, record));
    paper.item(enforcement::mode(record));
    for layer in layers.iter().filter(|layer| layer.extent != enforcement::Extent::Whole) {
        if let Some(words) = &layer.words {
            paper.item(&format!("- {}: {words}", layer.enforcer.name()));
        }
    }
}

fn left_out(paper: &mut Paper, all: usize, shown: usize, one: &str, many: &str) {
    if let Some(more) = all.checked_sub(shown).filter(|more| *more > 0) {
        let verb = if more == 1 { "is" } else { "are" };
        paper.item(&format!(
            "{} {verb} not shown; report.json and effects.jsonl have all.",
            sentences::count(more, &format!("more {one}"), &format!("more {many}"))
        ));
    }
}
