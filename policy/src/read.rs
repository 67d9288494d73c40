//! Reading a policy's text. The reader goes on after a mistake, so that all are told at once.

use std::{collections::HashMap, ops::Range};

use ebpf_common::{Label, Tier, Verb, Verdict};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    check::check,
    mistake::{Mistake, MistakeKind, PolicyError},
    nearest,
    rule::{Defaults, LabelPattern, Oversight, Policy, Rule, Selector, TierRange},
};

/// The version of the format that this crate reads.
const VERSION: u8 = 1;
const POLICY: &str = "the policy";
const DEFAULTS: &str = "[defaults]";
const OVERSIGHT: &str = "[oversight]";
const RULE: &str = "[[rule]]";
const RULE_KEYS: [&str; 7] =
    ["name", "verbs", "labels", "lowest_tier", "highest_tier", "verdict", "reason"];
const COMPONENT_PREFIX: &str = "component:";

/// Reads a policy. `name` is what errors call the file.
///
/// # Errors
///
/// With every mistake that was found: text that is not TOML, unknown keys and names, wrong types,
/// rules that grant what no tier can grant, that can never match or that never count.
pub fn parse(source: &str, name: &str) -> Result<Policy, PolicyError> {
    let (document, errors) = DeTable::parse_recoverable(source);
    if !errors.is_empty() {
        // What was recovered would only bring mistakes that follow from these.
        let mistakes = errors.iter().map(|error| {
            let kind = MistakeKind::Syntax { message: error.message().to_owned() };
            Mistake::new(kind, error.span().unwrap_or(0..0))
        });
        return Err(PolicyError::new(name, source, mistakes.collect()));
    }
    let mut reader = Reader { mistakes: Vec::new() };
    let policy = reader.policy(document.get_ref(), source, name);
    if reader.mistakes.is_empty() {
        check(&policy.rules, &mut reader.mistakes);
    }
    if reader.mistakes.is_empty() {
        Ok(policy)
    } else {
        Err(PolicyError::new(name, source, reader.mistakes))
    }
}

pub(crate) type Value<'i> = Spanned<DeValue<'i>>;

pub(crate) struct Reader {
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn policy(&mut self, table: &DeTable<'_>, source: &str, file: &str) -> Policy {
        let keys = ["version", "name", "defaults", "oversight", "redact", "rule", "tool"];
        self.refuse_unknown_keys(table, &keys, POLICY);
        self.version(table);
        let name = self.required(table, "name", POLICY, 0..0);
        let name = name.and_then(|value| self.text(value, "name"));
        let defaults = self.defaults(table);
        let oversight = self.oversight(table);
        let redact = self.redact(table);
        let rules = self.rules(table);
        let tool_rules = self.tool_rules(table);
        Policy {
            name: name.unwrap_or_default(),
            file: file.to_owned(),
            source: source.into(),
            defaults,
            oversight,
            redact,
            rules,
            tool_rules,
        }
    }

    fn version(&mut self, table: &DeTable<'_>) {
        let Some(value) = self.required(table, "version", POLICY, 0..0) else { return };
        let Some(number) = self.integer(value, "version") else { return };
        if number.parse() != Ok(VERSION) {
            self.push(
                Mistake::new(MistakeKind::Version { found: number }, value.span())
                    .help(format!("`version = {VERSION}`")),
            );
        }
    }

    fn defaults(&mut self, table: &DeTable<'_>) -> Defaults {
        let mut defaults = Defaults::default();
        let Some(value) = table.get("defaults") else { return defaults };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(value, "defaults", "a table");
            return defaults;
        };
        let keys = ["granted", "above_tier", "oversight", "unresolved"];
        self.refuse_unknown_keys(table, &keys, DEFAULTS);
        let mut given = |key, stored: &mut Verdict, at_least| {
            let Some(value) = table.get(key) else { return };
            let Some(verdict) = self.verdict(value, key) else { return };
            if verdict < at_least {
                self.push(
                    Mistake::new(MistakeKind::DefaultTooMild { key }, value.span())
                        .help("no tier grants this: `deny`, `freeze` or `kill`"),
                );
            }
            *stored = verdict;
        };
        given("granted", &mut defaults.granted, Verdict::Allow);
        given("above_tier", &mut defaults.above_tier, Verdict::Allow);
        given("oversight", &mut defaults.oversight, Verdict::Deny);
        given("unresolved", &mut defaults.unresolved, Verdict::Deny);
        if defaults.granted > defaults.above_tier {
            let key = if table.contains_key("granted") { "granted" } else { "above_tier" };
            let span = table.get(key).map_or(0..0, Spanned::span);
            self.push(
                Mistake::new(MistakeKind::DefaultsInverted, span)
                    .help("what the tier grants cannot fare worse than what it does not"),
            );
        }
        defaults
    }

    fn oversight(&mut self, table: &DeTable<'_>) -> Oversight {
        let mut oversight = Oversight::default();
        let Some(value) = table.get("oversight") else { return oversight };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(value, "oversight", "a table");
            return oversight;
        };
        const KEY: &str = "unwatched_tier";
        self.refuse_unknown_keys(table, &[KEY], OVERSIGHT);
        if let Some(tier) = table.get(KEY).and_then(|value| self.tier(value, KEY)) {
            oversight.unwatched_tier = tier;
        }
        oversight
    }

    fn rules(&mut self, table: &DeTable<'_>) -> Vec<Rule> {
        let Some(value) = table.get("rule") else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(value, "rule", "an array of tables, `[[rule]]`");
            return Vec::new();
        };
        let mut rules = Vec::new();
        let mut names = HashMap::new();
        for value in array {
            let Some(table) = value.get_ref().as_table() else {
                self.wrong_type(value, "rule", "an array of tables, `[[rule]]`");
                continue;
            };
            if let Some(rule) = self.rule(table, value.span()) {
                if let Some(name) = &rule.name {
                    let span = table.get("name").map_or(0..0, Spanned::span);
                    self.refuse_twice(&mut names, "rule", name.clone(), span);
                }
                rules.push(rule);
            }
        }
        rules
    }

    fn rule(&mut self, table: &DeTable<'_>, span: Range<usize>) -> Option<Rule> {
        self.refuse_unknown_keys(table, &RULE_KEYS, RULE);
        let before = self.mistakes.len();
        let name = table.get("name").and_then(|value| self.text(value, "name"));
        let verbs = self
            .required(table, "verbs", RULE, span.clone())
            .and_then(|value| self.selector(value, "verbs", "verb", Self::verb));
        let labels = self
            .required(table, "labels", RULE, span.clone())
            .and_then(|value| self.selector(value, "labels", "label", Self::label));
        let tiers = self.tiers(table);
        let verdict = self.required(table, "verdict", RULE, span.clone());
        let verdict = verdict.and_then(|value| self.verdict(value, "verdict"));
        let reason = self.required(table, "reason", RULE, span.clone());
        let reason = reason.and_then(|value| self.text(value, "reason"));
        if self.mistakes.len() > before {
            return None;
        }
        Some(Rule {
            name,
            verbs: verbs?,
            labels: labels?,
            tiers,
            verdict: verdict?,
            reason: reason?,
            span,
        })
    }

    pub(crate) fn selector<T>(
        &mut self,
        value: &Value<'_>,
        key: &'static str,
        what: &'static str,
        mut read: impl FnMut(&mut Self, &str, Range<usize>) -> Option<T>,
    ) -> Option<Selector<T>> {
        const EXPECTED: &str = "a list of names or \"*\"";
        if value.get_ref().as_str() == Some("*") {
            return Some(Selector::All);
        }
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(value, key, EXPECTED);
            return None;
        };
        if array.is_empty() {
            self.push(Mistake::new(MistakeKind::Empty { key }, value.span()).help(EXPECTED));
        }
        let mut seen = HashMap::new();
        let mut named = Vec::new();
        for value in array {
            match value.get_ref().as_str() {
                Some("*") => {
                    let kind = MistakeKind::UnknownName { what, name: "*".to_owned() };
                    let help = format!("for everything write `{key} = \"*\"`, without a list");
                    self.push(Mistake::new(kind, value.span()).help(help));
                }
                Some(name) => {
                    self.refuse_twice(&mut seen, what, name.to_owned(), value.span());
                    if let Some(read) = read(self, name, value.span()) {
                        named.push((read, value.span()));
                    }
                }
                None => self.wrong_type(value, key, EXPECTED),
            }
        }
        Some(Selector::Named(named))
    }

    fn verb(&mut self, name: &str, span: Range<usize>) -> Option<Verb> {
        let verb = Verb::from_name(name);
        if verb.is_none() {
            self.unknown_name("verb", name, span, Verb::ALL.iter().map(|verb| verb.name()));
        }
        verb
    }

    fn label(&mut self, name: &str, span: Range<usize>) -> Option<LabelPattern> {
        if let Some(component) = name.strip_prefix(COMPONENT_PREFIX) {
            let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if component.is_empty() || !component.bytes().all(is_name_byte) {
                let kind = MistakeKind::ComponentName { name: component.to_owned() };
                self.push(
                    Mistake::new(kind, span)
                        .help("letters, digits, `-` and `_`; `component` alone means all of them"),
                );
                return None;
            }
            return Some(LabelPattern::Component(component.to_owned()));
        }
        let label = Label::from_name(name);
        if label.is_none() {
            self.unknown_name("label", name, span, Label::ALL.into_iter().map(Label::name));
        }
        label.map(LabelPattern::Label)
    }

    pub(crate) fn verdict(&mut self, value: &Value<'_>, key: &'static str) -> Option<Verdict> {
        let Some(name) = value.get_ref().as_str() else {
            self.wrong_type(value, key, "a verdict's name");
            return None;
        };
        let verdict = Verdict::from_name(name);
        if verdict.is_none() {
            let names = Verdict::ALL.into_iter().map(Verdict::name);
            self.unknown_name("verdict", name, value.span(), names);
        }
        verdict
    }

    pub(crate) fn tiers(&mut self, table: &DeTable<'_>) -> TierRange {
        let mut range = TierRange::ALL;
        if let Some(tier) = table.get("lowest_tier").and_then(|it| self.tier(it, "lowest_tier")) {
            range.lowest = tier;
        }
        if let Some(value) = table.get("highest_tier") {
            let Some(tier) = self.tier(value, "highest_tier") else { return range };
            range.highest = tier;
            if range.lowest > tier {
                let (lowest, highest) = (range.lowest.number(), tier.number());
                self.push(Mistake::new(MistakeKind::TierRange { lowest, highest }, value.span()));
            }
        }
        range
    }

    fn tier(&mut self, value: &Value<'_>, key: &'static str) -> Option<Tier> {
        let number = self.integer(value, key)?;
        let tier = number.parse().ok().and_then(Tier::from_number);
        if tier.is_none() {
            self.push(Mistake::new(MistakeKind::NoSuchTier { number }, value.span()));
        }
        tier
    }

    pub(crate) fn text(&mut self, value: &Value<'_>, key: &'static str) -> Option<String> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(value, key, "a string");
            return None;
        };
        if text.trim().is_empty() {
            self.push(Mistake::new(MistakeKind::Empty { key }, value.span()));
            return None;
        }
        if text.chars().any(char::is_control) {
            self.push(Mistake::new(MistakeKind::ControlCharacter { key }, value.span()));
            return None;
        }
        Some(text.to_owned())
    }

    /// The integer in decimal; any length, for the message of whoever finds it too great.
    fn integer(&mut self, value: &Value<'_>, key: &'static str) -> Option<String> {
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(value, key, "an integer");
            return None;
        };
        let digits = integer.as_str();
        let number = i64::from_str_radix(digits, integer.radix());
        Some(number.map_or_else(|_| digits.to_owned(), |number| number.to_string()))
    }

    pub(crate) fn required<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        key: &'static str,
        place: &'static str,
        span: Range<usize>,
    ) -> Option<&'t Value<'i>> {
        let value = table.get(key);
        if value.is_none() {
            self.push(Mistake::new(MistakeKind::MissingKey { key, place }, span));
        }
        value
    }

    pub(crate) fn refuse_unknown_keys(
        &mut self,
        table: &DeTable<'_>,
        known: &[&str],
        place: &'static str,
    ) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref();
            let help = nearest::help(name, known.iter().copied());
            let kind = MistakeKind::UnknownKey { key: printable(name), place };
            self.push(Mistake::new(kind, key.span()).help(help));
        }
    }

    pub(crate) fn refuse_twice(
        &mut self,
        seen: &mut HashMap<String, Range<usize>>,
        what: &'static str,
        name: String,
        span: Range<usize>,
    ) {
        if let Some(first) = seen.get(&name) {
            let kind = MistakeKind::Duplicate { what, name: printable(&name) };
            self.push(Mistake::new(kind, span).other(first.clone()));
        } else {
            seen.insert(name, span);
        }
    }

    fn unknown_name(
        &mut self,
        what: &'static str,
        name: &str,
        span: Range<usize>,
        known: impl Iterator<Item = &'static str> + Clone,
    ) {
        let help = nearest::help(name, known);
        let kind = MistakeKind::UnknownName { what, name: printable(name) };
        self.push(Mistake::new(kind, span).help(help));
    }

    pub(crate) fn wrong_type(
        &mut self,
        value: &Value<'_>,
        key: &'static str,
        expected: &'static str,
    ) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.push(Mistake::new(MistakeKind::WrongType { key, found, expected }, value.span()));
    }

    /// How many mistakes were found by now.
    pub(crate) fn mistakes(&self) -> usize {
        self.mistakes.len()
    }

    pub(crate) fn push(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }
}

/// A name from the file, fit for a terminal.
fn printable(name: &str) -> String {
    name.escape_debug().to_string()
}
