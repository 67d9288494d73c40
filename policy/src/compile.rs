//! A policy resolved for one run: its tier and its components.

use std::{fmt, sync::Arc};

use ebpf_common::{
    Label, LabelId, Need, Tier, Verb, Verdict,
    maps::{NEEDS_OVERSIGHT, TABLE_BYTES, Table, table_index},
    verb::MAX_VERBS,
};
use miette::{Diagnostic, NamedSource, SourceSpan};
use thiserror::Error;

use crate::{
    nearest,
    rule::{LabelPattern, Policy, Rule, Selector, need},
};

/// Why a policy does not fit a run.
#[derive(Debug, Error, Diagnostic)]
pub enum CompileError {
    /// A rule names a component that the scenario does not have.
    #[error(transparent)]
    #[diagnostic(transparent)]
    UnknownComponent(Box<UnknownComponent>),
    /// A component is given twice, so that a rule about it would be ambiguous.
    #[error("component `{name}` is given twice")]
    DuplicateComponent {
        /// Its name.
        name: String,
    },
    /// More components than a table has room for.
    #[error("{given} components, and a run has room for {}", LabelId::MAX_COMPONENTS)]
    TooManyComponents {
        /// How many were given.
        given: usize,
    },
}

/// A rule names a component that the scenario does not have.
#[derive(Debug, Error, Diagnostic)]
#[error("the scenario has no component `{name}`")]
pub struct UnknownComponent {
    /// The name in the rule.
    pub name: String,
    #[source_code]
    source_code: NamedSource<Arc<str>>,
    /// Where, byte offsets in the policy's source.
    #[label("not a component")]
    pub span: SourceSpan,
    /// The nearest component, or all of them.
    #[help]
    pub help: String,
}

/// What decided a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// The policy's defaults.
    Default,
    /// The rule with this index.
    Rule(usize),
}

/// A policy resolved for one run. Lookups are by index: no search, no allocation but for reasons.
#[derive(Clone)]
pub struct Compiled {
    policy: Arc<Policy>,
    tier: Tier,
    components: Vec<String>,
    verdicts: Box<[Verdict; TABLE_BYTES]>,
    origins: Box<[Origin; TABLE_BYTES]>,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Compiled")
            .field("policy", &self.policy.name)
            .field("tier", &self.tier)
            .field("components", &self.components)
            .finish_non_exhaustive()
    }
}

impl Policy {
    /// Resolves the policy for a run of `tier` whose components are named `components`, in the
    /// order of their labels.
    ///
    /// # Errors
    ///
    /// When a rule names a component that is not among them, one is given twice, or there are more
    /// than [`LabelId::MAX_COMPONENTS`].
    pub fn compile(&self, tier: Tier, components: &[String]) -> Result<Compiled, CompileError> {
        if components.len() > LabelId::MAX_COMPONENTS {
            return Err(CompileError::TooManyComponents { given: components.len() });
        }
        for (index, name) in components.iter().enumerate() {
            if components[..index].contains(name) {
                return Err(CompileError::DuplicateComponent { name: name.clone() });
            }
        }
        self.check_components(components)?;
        let mut compiled = Compiled {
            policy: Arc::new(self.clone()),
            tier,
            components: components.to_vec(),
            // What has no verb or no label cannot be judged, so fails closed.
            verdicts: Box::new([self.defaults.unresolved; TABLE_BYTES]),
            origins: Box::new([Origin::Default; TABLE_BYTES]),
        };
        for &verb in Verb::ALL {
            for number in 0..LabelId::COUNT as u8 {
                let (verdict, origin) = compiled.decide(verb, LabelId::from_number(number));
                let index = table_index(verb.number(), number);
                compiled.verdicts[index] = verdict;
                compiled.origins[index] = origin;
            }
        }
        Ok(compiled)
    }

    fn check_components(&self, components: &[String]) -> Result<(), CompileError> {
        for rule in &self.rules {
            let Selector::Named(labels) = &rule.labels else { continue };
            for (pattern, span) in labels {
                let LabelPattern::Component(name) = pattern else { continue };
                if components.contains(name) {
                    continue;
                }
                let help = if components.is_empty() {
                    "it has no components; `component` without a name fits every scenario"
                        .to_owned()
                } else {
                    nearest::help(name, components.iter().map(String::as_str))
                };
                return Err(CompileError::UnknownComponent(Box::new(UnknownComponent {
                    name: name.clone(),
                    source_code: NamedSource::new(&self.file, Arc::clone(&self.source)),
                    span: span.clone().into(),
                    help,
                })));
            }
        }
        Ok(())
    }
}

impl Compiled {
    fn decide(&self, verb: Verb, label: LabelId) -> (Verdict, Origin) {
        let Some(component) = self.component(label) else {
            return (self.policy.defaults.unresolved, Origin::Default);
        };
        let rules = self.policy.rules.iter().enumerate().rev();
        let mut counting = rules.filter(|(_, rule)| rule.tiers.contains(self.tier));
        counting.find(|(_, rule)| rule.covers(verb, label.label(), component)).map_or_else(
            || {
                let need = need(verb, label.label());
                (self.policy.defaults.verdict(need, self.tier), Origin::Default)
            },
            |(index, rule)| (rule.verdict, Origin::Rule(index)),
        )
    }

    /// The component's name where the label is one; `None` for the label of a component that the
    /// run does not have.
    fn component(&self, label: LabelId) -> Option<Option<&str>> {
        match label.component_index() {
            None => Some(None),
            Some(index) => self.components.get(index).map(|name| Some(name.as_str())),
        }
    }

    fn index(verb: Verb, label: LabelId) -> usize {
        table_index(verb.number(), label.number())
    }

    /// What the policy says to an effect.
    #[must_use]
    pub fn verdict(&self, verb: Verb, label: LabelId) -> Verdict {
        self.verdicts[Self::index(verb, label)]
    }

    /// Which of an act's two labels decides: the one with the more severe verdict. A rename is a
    /// removal from one and an arrival in the other.
    #[must_use]
    pub fn decisive(&self, verb: Verb, from: LabelId, to: Option<LabelId>) -> LabelId {
        match to {
            Some(to) if self.verdict(verb, to) > self.verdict(verb, from) => to,
            _ => from,
        }
    }

    /// What the policy says to an act that failed because nothing was there to act on: it is marked,
    /// and it is no violation. What was named as oversight's is one all the same.
    #[must_use]
    pub fn verdict_for_absent(&self, verdict: Verdict, label: LabelId) -> Verdict {
        if label.label() == Label::Oversight { verdict } else { verdict.min(Verdict::Audit) }
    }

    /// Why, in words for people; empty where the verdict is to allow.
    #[must_use]
    pub fn reason(&self, verb: Verb, label: LabelId) -> String {
        if self.verdict(verb, label) == Verdict::Allow {
            return String::new();
        }
        match (self.rule(verb, label), self.need(verb, label)) {
            (Some(rule), _) => rule.reason.clone(),
            (None, Need::Never) => "a power that no tier grants".to_owned(),
            (None, Need::Oversight) => "belongs to oversight, which no tier grants".to_owned(),
            (None, Need::Unresolved) => {
                "the object could not be resolved, so nothing can grant it".to_owned()
            }
            (None, need @ Need::Tier(tier)) if need.is_granted_at(self.tier) => {
                format!("granted by tier {tier}, marked by the policy's defaults")
            }
            (None, Need::Tier(tier)) => {
                format!("needs tier {tier}, the run has {}", self.tier.number())
            }
        }
    }

    /// Whether an effect may happen only while an observer watches.
    #[must_use]
    pub fn needs_oversight(&self, verb: Verb, label: LabelId) -> bool {
        !self.need(verb, label).is_granted_at(self.policy.oversight.unwatched_tier)
    }

    /// Whether it can ask about an effect.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.verdicts.contains(&Verdict::Ask)
    }

    /// Why an effect was denied that the run's tier grants.
    #[must_use]
    pub fn unwatched_reason(&self) -> String {
        let tier = self.policy.oversight.unwatched_tier;
        format!("no observer watched, and without one nothing above tier {tier} goes on")
    }

    /// What an effect needs. A label that the verb cannot meet, or of a component that the run does
    /// not have, is unresolved.
    #[must_use]
    pub fn need(&self, verb: Verb, label: LabelId) -> Need {
        self.component(label).map_or(Need::Unresolved, |_| need(verb, label.label()))
    }

    /// The rule that decides, or `None` where the defaults do.
    #[must_use]
    pub fn rule(&self, verb: Verb, label: LabelId) -> Option<&Rule> {
        match self.origins[Self::index(verb, label)] {
            Origin::Default => None,
            Origin::Rule(index) => Some(&self.policy.rules[index]),
        }
    }

    /// The label's name in records: `component:NAME` for components.
    #[must_use]
    pub fn label_name(&self, label: LabelId) -> String {
        match self.component(label) {
            Some(Some(name)) => format!("component:{name}"),
            Some(None) => label.label().name().to_owned(),
            None => Label::Unknown.name().to_owned(),
        }
    }

    /// The label of this name, as [`Self::label_name`] spells it.
    #[must_use]
    pub fn label_id(&self, name: &str) -> Option<LabelId> {
        name.strip_prefix("component:").map_or_else(
            || Label::from_name(name).map(LabelId::of),
            |name| {
                let index = self.components.iter().position(|component| component == name)?;
                LabelId::component(index)
            },
        )
    }

    /// Every label that an effect of this run can carry: the closed set, then the components.
    pub fn label_ids(&self) -> impl Iterator<Item = LabelId> + '_ {
        let components = (0..self.components.len()).filter_map(LabelId::component);
        Label::ALL.into_iter().map(LabelId::of).chain(components)
    }

    /// The tier that the run has been granted.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// The components, in the order of their labels.
    #[must_use]
    pub fn components(&self) -> &[String] {
        &self.components
    }

    /// The policy that was resolved.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The verdicts as the kernel's map holds them. What is denied anyway is not marked as needing
    /// oversight.
    #[must_use]
    pub fn table(&self) -> Box<Table> {
        let mut table = Box::new(Table { verdicts: [0; TABLE_BYTES] });
        for verb in 0..MAX_VERBS as u8 {
            for label in 0..LabelId::COUNT as u8 {
                let index = table_index(verb, label);
                table.verdicts[index] = self.verdicts[index] as u8;
            }
        }
        for &verb in Verb::ALL {
            for label in self.label_ids() {
                let index = Self::index(verb, label);
                if !self.verdicts[index].is_violation() && self.needs_oversight(verb, label) {
                    table.verdicts[index] |= NEEDS_OVERSIGHT;
                }
            }
        }
        table
    }
}
