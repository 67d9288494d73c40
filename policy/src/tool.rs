//! Reading `[[tool]]`: what is said to a tool call before it starts.
//!
//! The names of tools are not this crate's to know: whoever hands them out has them checked
//! ([`Policy::check_tools`]).

use std::{collections::HashMap, ops::Range};

use ebpf_common::{Tier, Verdict};
use toml::{Spanned, de::DeTable};

use crate::{
    compile::Compiled,
    mistake::{Mistake, MistakeKind, PolicyError},
    nearest,
    read::Reader,
    rule::{Policy, Selector, TierRange},
};

const TOOL: &str = "[[tool]]";
const KEYS: [&str; 6] = ["name", "tools", "lowest_tier", "highest_tier", "verdict", "reason"];

/// One `[[tool]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolRule {
    /// Its name, unique among these.
    pub name: Option<String>,
    /// The tools that it covers.
    pub tools: Selector<String>,
    /// The tiers at which it counts.
    pub tiers: TierRange,
    /// What it says: `allow`, `ask` or `deny`.
    pub verdict: Verdict,
    /// Why, in words for people.
    pub reason: String,
}

impl ToolRule {
    /// Whether the rule speaks of this tool in a run of `tier`.
    #[must_use]
    pub fn covers(&self, tool: &str, tier: Tier) -> bool {
        let named = match &self.tools {
            Selector::All => true,
            Selector::Named(tools) => tools.iter().any(|(own, _)| own == tool),
        };
        named && self.tiers.contains(tier)
    }
}

impl Policy {
    /// The rules on tool calls in the order of the file; the last that covers one counts.
    #[must_use]
    pub fn tool_rules(&self) -> &[ToolRule] {
        &self.tool_rules
    }

    /// Refuses rules about tools that nobody has.
    ///
    /// # Errors
    ///
    /// With every name that is not among `known`.
    pub fn check_tools(&self, known: &[&'static str]) -> Result<(), PolicyError> {
        let named = self.tool_rules.iter().filter_map(|rule| match &rule.tools {
            Selector::All => None,
            Selector::Named(tools) => Some(tools),
        });
        let unknown = named.flatten().filter(|(tool, _)| !known.contains(&tool.as_str()));
        let mistakes: Vec<_> = unknown
            .map(|(tool, span)| {
                let name = tool.escape_debug().to_string();
                let help = nearest::help(&name, known.iter().copied());
                let kind = MistakeKind::UnknownName { what: "tool", name };
                Mistake::new(kind, span.clone()).help(help)
            })
            .collect();
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(PolicyError::new(&self.file, &self.source, mistakes))
        }
    }
}

impl Compiled {
    /// The rule that decides on calls of a tool, if one does.
    #[must_use]
    pub fn tool_rule(&self, tool: &str) -> Option<&ToolRule> {
        let rules = self.policy().tool_rules.iter().rev();
        rules.into_iter().find(|rule| rule.covers(tool, self.tier()))
    }
}

impl Reader {
    pub(crate) fn tool_rules(&mut self, table: &DeTable<'_>) -> Vec<ToolRule> {
        const TABLES: &str = "an array of tables, `[[tool]]`";
        let Some(value) = table.get("tool") else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(value, "tool", TABLES);
            return Vec::new();
        };
        let (mut rules, mut names) = (Vec::new(), HashMap::new());
        for value in array {
            let Some(table) = value.get_ref().as_table() else {
                self.wrong_type(value, "tool", TABLES);
                continue;
            };
            let Some(rule) = self.tool_rule(table, value.span()) else { continue };
            if let Some(name) = &rule.name {
                let span = table.get("name").map_or(0..0, Spanned::span);
                self.refuse_twice(&mut names, "rule", name.clone(), span);
            }
            rules.push(rule);
        }
        rules
    }

    fn tool_rule(&mut self, table: &DeTable<'_>, span: Range<usize>) -> Option<ToolRule> {
        self.refuse_unknown_keys(table, &KEYS, TOOL);
        let before = self.mistakes();
        let name = table.get("name").and_then(|value| self.text(value, "name"));
        let tools = self.required(table, "tools", TOOL, span.clone()).and_then(|value| {
            self.selector(value, "tools", "tool", |_, name, _| Some(name.to_owned()))
        });
        let tiers = self.tiers(table);
        let verdict = self.required(table, "verdict", TOOL, span.clone()).and_then(|value| {
            let verdict = self.verdict(value, "verdict")?;
            if !matches!(verdict, Verdict::Allow | Verdict::Ask | Verdict::Deny) {
                let kind = MistakeKind::ToolVerdict { verdict: verdict.name() };
                let help = "a call that has not started can be let through, asked about or refused: \
                            `allow`, `ask` or `deny`";
                self.push(Mistake::new(kind, value.span()).help(help));
            }
            Some(verdict)
        });
        let reason = self.required(table, "reason", TOOL, span);
        let reason = reason.and_then(|value| self.text(value, "reason"));
        if self.mistakes() > before {
            return None;
        }
        Some(ToolRule { name, tools: tools?, tiers, verdict: verdict?, reason: reason? })
    }
}
