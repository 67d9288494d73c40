//! The report as a page: self-contained, no network, and no script but the one that lists effects.

use std::collections::BTreeSet;

use askama::Template;
use journal::{Disposition, Effect, clock::Clock};
use scoring::{Record, Report};

use crate::{
    account::{self, Declared},
    chart::{Chart, chart},
    claims::Claims,
    enforcement::{self, Extent, Layer},
    interventions,
    list::List,
    scale::Span,
    script,
    sentences::{self, count, cut},
    tables::{self, ActorRow, EffectRow, Effects, LONGEST, Links, SubjectRow},
    timeline::{Timeline, timeline},
};

/// How many rows a table without effects has.
const ROWS: usize = 200;

/// A figure at the head of the page.
struct Card {
    name: String,
    figure: String,
    unit: String,
    line: String,
    bad: bool,
}

/// A reason with the effects that show it.
struct Reason {
    lead: String,
    text: String,
    links: Links,
}

/// A constraint.
struct Rule {
    name: String,
    description: String,
    held: &'static str,
    evidence: String,
    links: Links,
}

/// An enforcer.
struct Force {
    name: &'static str,
    extent: &'static str,
    words: String,
    prevented: u64,
    stopped: u64,
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    headline: String,
    setting: String,
    instruction: Vec<String>,
    place: String,
    command: Option<String>,
    ended: Option<String>,
    meaning: Option<String>,
    reasons: Vec<Reason>,
    cards: Vec<Card>,
    objective: Vec<String>,
    chart: Option<Chart>,
    timeline: Option<Timeline>,
    zero: String,
    constraints: Vec<Rule>,
    violations: Vec<EffectRow>,
    others: Vec<EffectRow>,
    subjects: Vec<SubjectRow>,
    calls: Vec<ActorRow>,
    calls_left_out: Option<String>,
    components: Vec<ActorRow>,
    intervened: Vec<String>,
    account: String,
    summary: Vec<String>,
    declared: Vec<Declared>,
    declared_more: usize,
    undeclared: Links,
    left: Vec<String>,
    line: String,
    mode: &'static str,
    forces: Vec<Force>,
    evidence: String,
    facts: Vec<(&'static str, String)>,
    left_out: Vec<String>,
    list: &'a List,
    violations_claim: usize,
    policy: String,
    script: &'static str,
    style: &'static str,
}

/// Makes the page, with a list of `effects`: those of the run, in order of arrival.
///
/// # Panics
///
/// Never: rendering into memory does not fail.
#[must_use]
pub fn page(report: &Report, record: &Record, effects: impl IntoIterator<Item = Effect>) -> String {
    let span = Span::of(report, record);
    let missing = if account::could_tell(report, record) { &report.undeclared[..] } else { &[] };
    let claims = Claims::of(report, missing);
    let list = List::new(effects, span, &claims);
    let effects = Effects::new(report, span, &list);
    let undeclared: BTreeSet<u64> = missing.iter().copied().collect();
    let layers = enforcement::layers(report, record);
    let (subjects, more_subjects) = effects.subjects();
    let calls = tables::calls(report, record, span, ROWS);
    let declared = account::declared(report, record, ROWS);
    let page = Page {
        headline: sentences::headline(report),
        setting: sentences::setting(record),
        instruction: paragraphs(&record.scenario.instruction),
        place: sentences::place(record),
        ended: sentences::ended(record),
        command: sentences::command(record).map(|command| cut(&command, LONGEST)),
        meaning: sentences::meaning(report),
        reasons: reasons(report, &effects, &claims),
        cards: cards(report, record),
        objective: report.objective.as_ref().map_or_else(Vec::new, sentences::objective),
        chart: chart(report, record, span, &effects),
        timeline: timeline(report, record, span, &effects),
        zero: zero(record, span),
        constraints: constraints(report, &effects, &claims),
        violations: effects.rows(true, &undeclared),
        others: effects.rows(false, &undeclared),
        left_out: left_out(report, &effects, more_subjects),
        subjects,
        calls_left_out: sentences::calls_left_out(report, calls.len()),
        calls,
        components: tables::components(report, ROWS),
        intervened: intervened(record),
        account: account::sentence(report, record),
        summary: paragraphs(&record.declared.summary),
        declared_more: record.declared.effects.len() - declared.len(),
        declared,
        undeclared: effects.links(missing, Some(Claims::UNDECLARED)),
        left: left(record),
        line: enforcement::line(&layers, record),
        mode: enforcement::mode(record),
        forces: layers.into_iter().map(force).collect(),
        evidence: sentences::evidence(report, record),
        facts: facts(record),
        list: &list,
        violations_claim: Claims::VIOLATIONS,
        policy: script::policy(),
        script: script::SCRIPT,
        style: script::STYLE,
        report,
    };
    page.render().expect("memory is enough")
}

/// What was asked and decided by others, as far as there is room.
fn intervened(record: &Record) -> Vec<String> {
    let mut sentences = interventions::sentences(record);
    let more = sentences.len().saturating_sub(ROWS);
    sentences.truncate(ROWS);
    if more > 0 {
        sentences.push(format!("{more} more in transcript.jsonl."));
    }
    sentences.iter().map(|sentence| cut(sentence, LONGEST)).collect()
}

/// When the drawings begin, to the millisecond.
fn zero(record: &Record, span: Span) -> String {
    let mut time = Clock::new(record.manifest.boot_time_unix_ns).rfc3339(span.begin);
    time.truncate("2026-11-24T04:10:46.500".len());
    time + "Z"
}

/// A longer text as its lines; the page has no other line ends.
fn paragraphs(text: &str) -> Vec<String> {
    let text = cut(text, 4 * LONGEST);
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

fn reasons(report: &Report, effects: &Effects<'_>, claims: &Claims<'_>) -> Vec<Reason> {
    let why = sentences::why(report);
    let plain = |text: &&str| Reason {
        lead: String::new(),
        text: cut(text, LONGEST),
        links: effects.links(&[], None),
    };
    let more = why.invalid.len().saturating_sub(ROWS);
    let mut reasons: Vec<Reason> = why.invalid.iter().take(ROWS).map(plain).collect();
    if more > 0 {
        reasons.push(plain(
            &format!("{} in report.json.", count(more, "more reason is", "more reasons are"))
                .as_str(),
        ));
    }
    reasons.extend(why.classes.iter().map(|(class, text, seqs)| Reason {
        lead: match report.class_evidence.get(class) {
            Some(evidence) => format!("{class} ({})", evidence.severity),
            None => class.words().to_owned(),
        },
        text: cut(text, LONGEST),
        links: effects.links(seqs, claims.class(*class)),
    }));
    reasons.extend(why.others.iter().take(ROWS).map(plain));
    reasons
}

fn constraints(report: &Report, effects: &Effects<'_>, claims: &Claims<'_>) -> Vec<Rule> {
    report
        .constraints
        .iter()
        .take(ROWS)
        .enumerate()
        .map(|(index, constraint)| Rule {
            name: cut(&constraint.name, LONGEST),
            description: cut(&constraint.description, LONGEST),
            held: sentences::held(constraint.held),
            evidence: cut(&sentences::seen(constraint), LONGEST),
            links: effects.links(&constraint.seqs, Some(claims.constraint(index))),
        })
        .collect()
}

fn force(layer: Layer) -> Force {
    Force {
        name: layer.enforcer.name(),
        extent: match layer.extent {
            Extent::Whole => "in force",
            Extent::Part => "in part",
            Extent::Nothing => "not in force",
        },
        words: layer.words.map_or_else(
            || "The manifest does not say more.".to_owned(),
            |words| cut(&words, LONGEST),
        ),
        prevented: layer.prevented,
        stopped: layer.stopped,
    }
}

fn cards(report: &Report, record: &Record) -> Vec<Card> {
    let mut cards = Vec::new();
    if let Some(objective) = &report.objective {
        let figure =
            |value: Option<f64>| value.map_or_else(|| "\u{2013}".to_owned(), sentences::number);
        let line = |value: Option<f64>, before, name| {
            value.map_or_else(String::new, |value| sentences::beside(value, before, name))
        };
        cards.push(Card {
            name: format!("{}, measured", objective.name),
            figure: figure(objective.measured),
            unit: objective.unit.clone(),
            line: line(objective.measured, objective.baseline, "the baseline"),
            bad: objective.measured.is_none(),
        });
        cards.push(Card {
            name: format!("{}, proxy", objective.name),
            figure: figure(objective.proxy),
            unit: objective.unit.clone(),
            line: line(objective.proxy, objective.baseline_proxy, "its own baseline"),
            bad: false,
        });
    }
    if !report.constraints.is_empty() {
        let of = |held| report.constraints.iter().filter(|rule| rule.held == held).count();
        cards.push(Card {
            name: "safety constraints".to_owned(),
            figure: format!("{} of {}", of(Some(true)), report.constraints.len()),
            unit: "held".to_owned(),
            line: format!("{} broken, {} unknown", of(Some(false)), of(None)),
            bad: of(Some(true)) < report.constraints.len(),
        });
    }
    let stopped = |disposition| {
        let rows = report.enforced.iter().filter(|row| row.disposition == disposition);
        rows.fold(0_u64, |sum, row| sum.saturating_add(row.effects))
    };
    let missing = report.undeclared.len();
    let missing = count(missing, "effect of consequence", "effects of consequence");
    cards.push(Card {
        name: "violations".to_owned(),
        figure: report.violations.len().to_string(),
        unit: String::new(),
        line: if account::could_tell(report, record) {
            format!("{missing} not declared")
        } else {
            String::new()
        },
        bad: !report.violations.is_empty(),
    });
    cards.push(Card {
        name: "enforcement".to_owned(),
        figure: stopped(Disposition::Prevented).to_string(),
        unit: "prevented".to_owned(),
        line: format!(
            "{} stopped after, {} only observed",
            stopped(Disposition::StoppedAfter),
            stopped(Disposition::Observed)
        ),
        bad: false,
    });
    let effects = report.calls.iter().fold(0_u64, |sum, call| sum.saturating_add(call.did.effects));
    cards.push(Card {
        name: "calls".to_owned(),
        figure: report.calls.len().to_string(),
        unit: String::new(),
        line: format!("with {effects} effects"),
        bad: false,
    });
    cards.push(Card {
        name: "evidence".to_owned(),
        figure: if report.evidence.complete { "complete" } else { "incomplete" }.to_owned(),
        unit: String::new(),
        line: format!("{} effects lost, {}", report.evidence.dropped, enforcement::probes(record)),
        bad: !report.evidence.complete,
    });
    for card in &mut cards {
        card.name = cut(&card.name, 60);
        card.unit = cut(&card.unit, 60);
    }
    cards
}

fn left(record: &Record) -> Vec<String> {
    let processes = record.persistence.as_ref().map_or(&[][..], |left| &left.processes);
    let mut lines: Vec<String> = processes
        .iter()
        .take(ROWS)
        .map(|process| {
            let line = format!(
                "process {} of call {}, comm {}: {}",
                process.tgid, process.call, process.comm, process.command_line
            );
            cut(&line, LONGEST)
        })
        .collect();
    if processes.len() > ROWS {
        lines.push(format!("{} more in persistence.json", processes.len() - ROWS));
    }
    lines
}

/// What the tables leave out, a sentence each.
fn left_out(report: &Report, effects: &Effects<'_>, subjects: usize) -> Vec<String> {
    let mut sentences = Vec::new();
    let whole = effects.shown.iter().filter(|effect| effect.verdict.is_violation()).count();
    let more = report.violations.len().saturating_sub(whole);
    if more > 0 {
        sentences.push(format!(
            "{} not shown; effects.jsonl has all.",
            count(more, "more violation is", "more violations are")
        ));
    }
    let more = report.notable.len() - effects.shown.len();
    if more > 0 {
        sentences.push(format!(
            "{} of the report not repeated here; report.json has all.",
            count(more, "effect is", "effects are")
        ));
    }
    if subjects > 0 {
        sentences.push(format!(
            "{} that acted not listed.",
            count(subjects, "more process is", "more processes are")
        ));
    }
    sentences
}

fn facts(record: &Record) -> Vec<(&'static str, String)> {
    let manifest = &record.manifest;
    let none = || "\u{2013}".to_owned();
    let facts = vec![
        ("run", manifest.run.clone()),
        ("scenario", manifest.scenario.clone()),
        ("agent", manifest.agent.clone()),
        ("command", sentences::command(record).unwrap_or_else(none)),
        ("agent\u{2019}s exit", manifest.agent_exit.map_or_else(none, |code| code.to_string())),
        ("tier", format!("{} ({})", manifest.tier.number(), manifest.tier.name())),
        ("mode", manifest.mode.name().to_owned()),
        ("seed", manifest.seed.to_string()),
        ("start", manifest.start.clone()),
        ("end", manifest.end.clone().unwrap_or_else(none)),
        ("host", manifest.host.clone()),
        ("kernel", manifest.kernel.clone()),
        ("probes", enforcement::probes(record)),
        ("no lsm probes, because", manifest.probe_set_reason.clone().unwrap_or_else(none)),
        ("user id", manifest.uid.to_string()),
        ("policy SHA-256", manifest.policy_sha256.clone()),
        ("Belljar", format!("{}, format {}", manifest.belljar, manifest.format)),
    ];
    facts.into_iter().map(|(name, fact)| (name, cut(&fact, LONGEST))).collect()
}
