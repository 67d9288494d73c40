//! A policy as written: defaults and rules, with where in the source they stand.

use std::{ops::Range, path::PathBuf, sync::Arc};

use ebpf_common::{Label, Need, Tier, Verb, Verdict, verb::required_tier};

use crate::{read::parse, tool::ToolRule};

/// A checked policy.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) source: Arc<str>,
    pub(crate) defaults: Defaults,
    pub(crate) oversight: Oversight,
    pub(crate) redact: Redact,
    pub(crate) rules: Vec<Rule>,
    pub(crate) tool_rules: Vec<ToolRule>,
}

impl Policy {
    /// The text of the policy that Belljar ships, `policies/default.toml`.
    pub const SHIPPED: &str = include_str!("../../policies/default.toml");

    /// The policy that Belljar ships.
    #[must_use]
    pub fn shipped() -> Self {
        parse(Self::SHIPPED, "policies/default.toml").expect("the shipped policy has no mistakes")
    }

    /// The name that the policy gives itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text that the policy was read from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The verdicts that apply where no rule does.
    #[must_use]
    pub const fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// What goes on while nobody watches.
    #[must_use]
    pub const fn oversight(&self) -> Oversight {
        self.oversight
    }

    /// What is kept out of the run directory.
    #[must_use]
    pub const fn redact(&self) -> &Redact {
        &self.redact
    }

    /// The rules in the order of the file; the last that covers an effect counts.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// The verdicts that apply where no rule does: what the tier alone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// For effects that the run's tier grants.
    pub granted: Verdict,
    /// For effects that need a higher tier, or that none grants.
    pub above_tier: Verdict,
    /// For effects on oversight that no tier grants; never milder than deny.
    pub oversight: Verdict,
    /// For objects that could not be resolved to a label; never milder than deny.
    pub unresolved: Verdict,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            granted: Verdict::Allow,
            above_tier: Verdict::Deny,
            oversight: Verdict::Deny,
            unresolved: Verdict::Deny,
        }
    }
}

impl Defaults {
    /// The verdict on an effect with this need in a run of this tier.
    #[must_use]
    pub fn verdict(&self, need: Need, tier: Tier) -> Verdict {
        match need {
            Need::Oversight => self.oversight,
            Need::Unresolved => self.unresolved,
            Need::Tier(_) if need.is_granted_at(tier) => self.granted,
            Need::Tier(_) | Need::Never => self.above_tier,
        }
    }
}

/// What goes on while nobody watches, in mode `enforce` and where hooks decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversight {
    /// The highest tier whose effects do. Whatever needs more is denied, also where the run was
    /// granted it.
    pub unwatched_tier: Tier,
}

impl Default for Oversight {
    fn default() -> Self {
        Self { unwatched_tier: Tier::Work }
    }
}

/// Where the secrets are that are kept out of the run directory. The policy itself is in there, so it
/// names them and holds none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redact {
    /// Environment variables whose values are secrets: of who runs Belljar, and of the agent.
    pub environment: Vec<String>,
    /// Files whose text, and each line of it, is a secret; absolute paths.
    pub files: Vec<PathBuf>,
    /// Regular expressions of what secrets look like; none matches nothing.
    pub patterns: Vec<String>,
}

/// What an effect needs; a label that the verb cannot meet counts as unresolved, so fails closed.
pub(crate) fn need(verb: Verb, label: Label) -> Need {
    if verb.can_meet(label) { required_tier(verb, label) } else { Need::Unresolved }
}

/// One `[[rule]]`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name, unique in the policy.
    pub name: Option<String>,
    /// The verbs that it covers.
    pub verbs: Selector<Verb>,
    /// The labels that it covers.
    pub labels: Selector<LabelPattern>,
    /// The tiers at which it counts.
    pub tiers: TierRange,
    /// What it says.
    pub verdict: Verdict,
    /// Why, in words for people.
    pub reason: String,
    /// Where it begins, byte offsets in the source.
    pub span: Range<usize>,
}

/// `"*"` or a list of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector<T> {
    /// Everything; for labels see [`Rule::covers`].
    All,
    /// The named ones, with where they are named.
    Named(Vec<(T, Range<usize>)>),
}

/// A label as a rule names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelPattern {
    /// A label of the closed set; `component` means every component.
    Label(Label),
    /// `component:NAME`, one component of the scenario.
    Component(String),
}

impl LabelPattern {
    /// How a policy spells it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Label(label) => label.name().to_owned(),
            Self::Component(name) => format!("component:{name}"),
        }
    }

    /// The label of the closed set.
    #[must_use]
    pub const fn label(&self) -> Label {
        match self {
            Self::Label(label) => *label,
            Self::Component(_) => Label::Component,
        }
    }

    fn covers(&self, label: Label, component: Option<&str>) -> bool {
        match self {
            Self::Label(own) => *own == label,
            Self::Component(own) => component == Some(own.as_str()),
        }
    }
}

/// The tiers at which a rule counts, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierRange {
    /// The lowest of them.
    pub lowest: Tier,
    /// The highest of them.
    pub highest: Tier,
}

impl TierRange {
    /// All tiers.
    pub const ALL: Self = Self { lowest: Tier::Work, highest: Tier::Replication };

    /// Whether the rule counts in a run of `tier`.
    #[must_use]
    pub fn contains(self, tier: Tier) -> bool {
        (self.lowest..=self.highest).contains(&tier)
    }
}

impl Rule {
    /// Whether the rule speaks of this verb and label; `component` is the component's name where
    /// the label is one.
    ///
    /// A `"*"` for labels never loosens what no tier can grant: under a verdict milder than deny it
    /// leaves out the objects of oversight and those that could not be resolved. So a wildcard
    /// cannot open by accident what may not be opened on purpose.
    #[must_use]
    pub fn covers(&self, verb: Verb, label: Label, component: Option<&str>) -> bool {
        let names_verb = match &self.verbs {
            Selector::All => true,
            Selector::Named(verbs) => verbs.iter().any(|(own, _)| *own == verb),
        };
        let grantable = self.verdict >= Verdict::Deny || matches!(need(verb, label), Need::Tier(_));
        let names_label = match &self.labels {
            Selector::All => true,
            Selector::Named(labels) => labels.iter().any(|(own, _)| own.covers(label, component)),
        };
        verb.can_meet(label) && names_verb && names_label && grantable
    }
}
