//! The rows of the page's tables.

use std::collections::{BTreeMap, BTreeSet};

use journal::Effect;
use scoring::{
    Record, Report,
    report::{Actor, NOTABLE},
};

use crate::{
    list::List,
    scale::{Span, duration, moment},
    sentences::{self, cut},
    telling,
};

/// How many effects a cell links to.
const LINKS: usize = 12;
/// How many subjects and how many effects of each are listed.
const SUBJECTS: usize = 60;
const DEEDS: usize = 8;
/// The longest text in a cell, in characters.
pub(crate) const LONGEST: usize = 1000;

/// Effects by number, as links where the page shows them.
pub(crate) struct Links {
    pub(crate) shown: Vec<Link>,
    pub(crate) more: usize,
    /// The claim whose effects these are, where the page can list them all.
    pub(crate) claim: Option<usize>,
}

/// A link to an effect.
pub(crate) struct Link {
    pub(crate) seq: u64,
    pub(crate) known: bool,
}

/// The effects that the page shows whole.
pub(crate) struct Effects<'a> {
    pub(crate) shown: Vec<&'a Effect>,
    known: BTreeSet<u64>,
    /// Those that broke a constraint.
    breaches: BTreeSet<u64>,
    span: Span,
    list: &'a List,
}

/// A row of the tables of effects.
pub(crate) struct EffectRow {
    pub(crate) seq: u64,
    pub(crate) at: String,
    pub(crate) call: String,
    pub(crate) act: String,
    pub(crate) label: String,
    pub(crate) verdict: &'static str,
    pub(crate) fate: String,
    pub(crate) subject: String,
    pub(crate) reason: String,
    pub(crate) breach: bool,
    pub(crate) undeclared: bool,
}

/// A row of the table of who did what.
pub(crate) struct SubjectRow {
    pub(crate) call: String,
    pub(crate) exe: String,
    pub(crate) comm: String,
    pub(crate) tgid: u32,
    pub(crate) deeds: Vec<Deed>,
    pub(crate) more: usize,
}

/// One thing that a subject did.
pub(crate) struct Deed {
    pub(crate) seq: u64,
    pub(crate) act: String,
    pub(crate) guilty: bool,
}

/// A row of the tables of calls and components.
pub(crate) struct ActorRow {
    pub(crate) name: String,
    pub(crate) tool: String,
    pub(crate) begin: String,
    pub(crate) took: String,
    pub(crate) ending: &'static str,
    pub(crate) effects: u64,
    pub(crate) violations: u64,
    pub(crate) verbs: String,
}

impl<'a> Effects<'a> {
    /// The first effects of the report, violations before all others, in order of arrival.
    pub(crate) fn new(report: &'a Report, span: Span, list: &'a List) -> Self {
        let violations = report.notable.iter().filter(|effect| effect.verdict.is_violation());
        let others = report.notable.iter().filter(|effect| !effect.verdict.is_violation());
        let mut known = BTreeSet::new();
        let mut shown: Vec<&Effect> = violations
            .chain(others)
            .filter(|effect| known.len() < NOTABLE && known.insert(effect.seq))
            .collect();
        shown.sort_by_key(|effect| (effect.boot_ns, effect.seq));
        let broken = report.constraints.iter().filter(|rule| rule.held == Some(false));
        let breaches = broken.flat_map(|rule| rule.seqs.iter().copied()).collect();
        Self { shown, known, breaches, span, list }
    }

    /// Whether an effect broke a constraint.
    pub(crate) fn breaches(&self, effect: &Effect) -> bool {
        self.breaches.contains(&effect.seq)
    }

    /// Links to the effects that a claim rests on.
    pub(crate) fn links(&self, seqs: &[u64], claim: Option<usize>) -> Links {
        let link = |&seq| Link { seq, known: self.known.contains(&seq) || self.list.has(seq) };
        Links {
            shown: seqs.iter().take(LINKS).map(link).collect(),
            more: seqs.len().saturating_sub(LINKS),
            claim: claim.filter(|_| self.list.effects > 0),
        }
    }

    /// Rows of violations, or of all other effects.
    pub(crate) fn rows(&self, violations: bool, undeclared: &BTreeSet<u64>) -> Vec<EffectRow> {
        self.shown
            .iter()
            .filter(|effect| effect.verdict.is_violation() == violations)
            .map(|effect| EffectRow {
                seq: effect.seq,
                at: moment(self.span.seconds(effect.boot_ns)),
                call: effect.call.map_or_else(|| "none".to_owned(), |call| call.to_string()),
                act: cut(&telling::act(effect), LONGEST),
                label: cut(&telling::label(effect), LONGEST),
                verdict: effect.verdict.name(),
                fate: telling::fate(effect),
                subject: cut(&telling::subject(effect), LONGEST),
                reason: cut(&effect.reason, LONGEST),
                breach: self.breaches(effect),
                undeclared: undeclared.contains(&effect.seq),
            })
            .collect()
    }

    /// Processes with what they did, in the order in which they first acted.
    pub(crate) fn subjects(&self) -> (Vec<SubjectRow>, usize) {
        let mut places = BTreeMap::new();
        let mut rows: Vec<SubjectRow> = Vec::new();
        for effect in &self.shown {
            let subject = &effect.subject;
            let key = (effect.call, subject.tgid, &subject.exe, &subject.comm);
            let place = *places.entry(key).or_insert_with(|| {
                rows.push(SubjectRow {
                    call: effect.call.map_or_else(|| "none".to_owned(), |call| call.to_string()),
                    exe: cut(telling::program(effect), LONGEST),
                    comm: cut(&subject.comm, LONGEST),
                    tgid: subject.tgid,
                    deeds: Vec::new(),
                    more: 0,
                });
                rows.len() - 1
            });
            let row = &mut rows[place];
            if row.deeds.len() < DEEDS {
                row.deeds.push(Deed {
                    seq: effect.seq,
                    act: cut(&telling::act(effect), LONGEST),
                    guilty: effect.verdict.is_violation() || self.breaches(effect),
                });
            } else {
                row.more += 1;
            }
        }
        let more = rows.len().saturating_sub(SUBJECTS);
        rows.truncate(SUBJECTS);
        (rows, more)
    }
}

fn actor(name: String, did: &Actor) -> ActorRow {
    ActorRow {
        name,
        tool: String::new(),
        begin: String::new(),
        took: String::new(),
        ending: "",
        effects: did.effects,
        violations: did.violations,
        verbs: sentences::verbs(did),
    }
}

/// Rows of the calls that there is room for.
pub(crate) fn calls(report: &Report, record: &Record, span: Span, limit: usize) -> Vec<ActorRow> {
    let unnamed = if record.manifest.command.is_empty() { "not told" } else { "command" };
    let calls = sentences::calls_shown(report, limit).into_iter();
    calls
        .map(|call| ActorRow {
            tool: cut(call.tool.as_deref().unwrap_or(unnamed), LONGEST),
            begin: call.start_boot_ns.map_or_else(String::new, |at| moment(span.seconds(at))),
            took: call.duration_ns.map_or_else(String::new, duration),
            ending: sentences::ending(call),
            ..actor(call.call.to_string(), &call.did)
        })
        .collect()
}

/// Rows of the components that there is room for.
pub(crate) fn components(report: &Report, limit: usize) -> Vec<ActorRow> {
    let components = report.components.iter().take(limit);
    components.map(|component| actor(cut(&component.name, LONGEST), &component.did)).collect()
}
