//! What a well-formed policy may still not say.

use std::collections::{BTreeSet, HashSet};

use ebpf_common::{Label, Need, Tier, Verb, Verdict};

use crate::{
    mistake::{Mistake, MistakeKind},
    rule::{LabelPattern, Rule, Selector, need},
};

/// Finds rules that open what no tier grants, that can never match, and that never count.
pub(crate) fn check(rules: &[Rule], mistakes: &mut Vec<Mistake>) {
    for rule in rules {
        opens_the_ungrantable(rule, mistakes);
        never_meets(rule, mistakes);
    }
    shadowed(rules, mistakes);
}

fn opens_the_ungrantable(rule: &Rule, mistakes: &mut Vec<Mistake>) {
    let Selector::Named(labels) = &rule.labels else { return };
    if rule.verdict >= Verdict::Deny {
        return;
    }
    for (pattern, span) in labels {
        let label = pattern.label();
        let offending = verbs(rule)
            .into_iter()
            .find(|verb| verb.can_meet(label) && !matches!(need(*verb, label), Need::Tier(_)));
        if let Some(verb) = offending {
            let kind = MistakeKind::GrantsUngrantable {
                verb: verb.name(),
                label: pattern.name(),
                verdict: rule.verdict.name(),
            };
            mistakes.push(Mistake::new(kind, span.clone()).help(format!(
                "leave `{}` out, or give it a rule of its own with `deny`, `freeze` or `kill`",
                pattern.name()
            )));
        }
    }
}

fn never_meets(rule: &Rule, mistakes: &mut Vec<Mistake>) {
    let labels = match &rule.labels {
        Selector::All => return,
        Selector::Named(labels) => labels,
    };
    for (pattern, span) in labels {
        if !verbs(rule).iter().any(|verb| verb.can_meet(pattern.label())) {
            let kind = MistakeKind::NeverMeets {
                what: "label",
                name: pattern.name(),
                why: "none of its verbs acts on such an object".to_owned(),
            };
            mistakes.push(Mistake::new(kind, span.clone()).help(verbs_help(pattern.label())));
        }
    }
    let Selector::Named(verbs) = &rule.verbs else { return };
    for (verb, span) in verbs {
        if !labels.iter().any(|(pattern, _)| verb.can_meet(pattern.label())) {
            let kind = MistakeKind::NeverMeets {
                what: "verb",
                name: verb.name().to_owned(),
                why: "its objects carry none of the rule's labels".to_owned(),
            };
            let possible = Label::ALL.into_iter().filter(|label| verb.can_meet(*label));
            mistakes.push(Mistake::new(kind, span.clone()).help(format!(
                "objects of `{}` carry {}",
                verb.name(),
                quoted(possible.map(Label::name))
            )));
        }
    }
}

fn verbs_help(label: Label) -> String {
    let possible = Verb::ALL.iter().filter(|verb| verb.can_meet(label));
    format!("`{}` is met by {}", label.name(), quoted(possible.map(|verb| verb.name())))
}

fn quoted(names: impl Iterator<Item = &'static str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// One thing that a rule decides: at a tier, a verb on a label or on a component of this name.
type Cell<'a> = (Tier, Verb, Label, Option<&'a str>);

/// A rule counts for nothing when later ones decide each of its cells again.
fn shadowed(rules: &[Rule], mistakes: &mut Vec<Mistake>) {
    let components = named_components(rules);
    let mut decided_later: HashSet<Cell<'_>> = HashSet::new();
    for (index, rule) in rules.iter().enumerate().rev() {
        let own = cells(rule, &components);
        // A rule without a cell has been told already that it never matches.
        if !own.is_empty() && own.is_subset(&decided_later) {
            let alone = rules[index + 1..]
                .iter()
                .find(|later| own.is_subset(&cells(later, &components)))
                .map(|later| later.span.clone());
            let mistake = Mistake::new(MistakeKind::Shadowed, rule.span.clone())
                .help("remove it, or move it behind the rules that cover it: the last one counts");
            mistakes.push(alone.into_iter().fold(mistake, Mistake::other));
        }
        decided_later.extend(own);
    }
}

fn named_components(rules: &[Rule]) -> BTreeSet<&str> {
    let labels = rules.iter().filter_map(|rule| match &rule.labels {
        Selector::Named(labels) => Some(labels),
        Selector::All => None,
    });
    labels
        .flatten()
        .filter_map(|(pattern, _)| match pattern {
            LabelPattern::Component(name) => Some(name.as_str()),
            LabelPattern::Label(_) => None,
        })
        .collect()
}

/// Everything that a rule decides. `component` without a name stands for the components that no
/// rule names.
fn cells<'a>(rule: &Rule, components: &BTreeSet<&'a str>) -> HashSet<Cell<'a>> {
    let mut cells = HashSet::new();
    for &verb in Verb::ALL {
        let unnamed = Label::ALL.into_iter().map(|label| (label, None));
        let named = components.iter().map(|name| (Label::Component, Some(*name)));
        for (label, component) in unnamed.chain(named) {
            if rule.covers(verb, label, component) {
                let tiers = Tier::ALL.into_iter().filter(|tier| rule.tiers.contains(*tier));
                cells.extend(tiers.map(|tier| (tier, verb, label, component)));
            }
        }
    }
    cells
}

fn verbs(rule: &Rule) -> Vec<Verb> {
    match &rule.verbs {
        Selector::All => Verb::ALL.to_vec(),
        Selector::Named(verbs) => verbs.iter().map(|(verb, _)| *verb).collect(),
    }
}
