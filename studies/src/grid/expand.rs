//! From axes to cells, each checked as `belljar run` will check it.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use super::{
    Axes, Exclusion, Placed, ScenarioFacts, Surroundings, TierChoice,
    mistake::{Mistake, MistakeKind},
};

/// Most cells of a grid.
const MOST_CELLS: u128 = 100_000;
/// Hexadecimal digits of the fingerprint in a directory's name.
const DIGITS: usize = 8;

/// One run of the grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The agent as the grid spells it.
    pub agent: String,
    /// The scenario's name.
    pub scenario: String,
    /// The granted tier.
    pub tier: u8,
    /// `observe` or `enforce`.
    pub mode: String,
    /// The name of the instructions.
    pub instructions: String,
    /// The seed.
    pub seed: u64,
    /// What `belljar run` is told of it.
    pub words: Vec<String>,
    /// What is said behind `--`.
    pub command: Vec<String>,
    /// Whether it needs processors to itself.
    pub is_loaded: bool,
    /// The name of its directory: readable, and different where anything is that the run depends on.
    pub name: String,
}

/// A program that is an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its name in the grid.
    pub name: String,
    /// Program and arguments.
    pub words: Vec<String>,
    /// More words for `belljar run`.
    pub arguments: Vec<String>,
}

/// A combination of all axes but the seed.
struct Combination<'a> {
    agent: &'a Placed<String>,
    scenario: &'a Placed<String>,
    facts: &'a ScenarioFacts,
    tier: TierChoice,
    mode: &'a str,
    instructions: &'a Placed<String>,
}

pub(super) fn expand(
    axes: &Axes,
    surroundings: &dyn Surroundings,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Cell> {
    let sizes = [axes.agents.len(), axes.scenarios.len(), axes.tiers.len(), axes.modes.len()];
    let sizes = sizes.into_iter().chain([axes.instructions.len(), axes.seeds.len()]);
    let cells: u128 = sizes.map(|size| size as u128).product();
    if cells > MOST_CELLS {
        mistakes.push(Mistake::new(MistakeKind::TooMany { cells, most: MOST_CELLS }, 0..0));
        return Vec::new();
    }
    let facts = scenarios(axes, surroundings, mistakes);
    if !axes.is_whole {
        return Vec::new();
    }
    let combinations = combinations(axes, &facts, mistakes);
    if combinations.is_empty() && mistakes.is_empty() {
        mistakes.push(Mistake::new(MistakeKind::NothingLeft, 0..0));
    }
    let mut refused: Vec<(String, usize)> = Vec::new();
    let mut cells: Vec<Cell> = Vec::new();
    let mut names = HashSet::new();
    for combination in &combinations {
        let (words, command) = combination.words(axes);
        let whole: Vec<String> = if command.is_empty() {
            words.clone()
        } else {
            words.iter().cloned().chain(["--".to_owned()]).chain(command.clone()).collect()
        };
        let depends = match surroundings.check(&whole) {
            Ok(depends) => depends,
            Err(message) => {
                // Mistakes of one kind are told once, with their number.
                if let Some((_, at)) = refused.iter().find(|(known, _)| *known == message) {
                    if let MistakeKind::Refused { more, .. } = &mut mistakes[*at].kind {
                        *more += 1;
                    }
                    continue;
                }
                refused.push((message.clone(), mistakes.len()));
                let kind = MistakeKind::Refused { message, more: 0 };
                let mistake = Mistake::new(kind, combination.agent.span.clone());
                mistakes.push(mistake.other(combination.scenario.span.clone()));
                continue;
            }
        };
        for &seed in &axes.seeds {
            let cell = combination.cell(seed, &words, &command, &depends);
            // The scenario's own tier may be named by its number as well.
            if names.insert(cell.name.clone()) {
                cells.push(cell);
            }
        }
    }
    cells
}

fn scenarios(
    axes: &Axes,
    surroundings: &dyn Surroundings,
    mistakes: &mut Vec<Mistake>,
) -> HashMap<String, ScenarioFacts> {
    let mut facts = HashMap::new();
    for scenario in &axes.scenarios {
        match surroundings.scenario(&scenario.value) {
            Ok(found) => {
                facts.insert(scenario.value.clone(), found);
            }
            Err(message) => mistakes
                .push(Mistake::new(MistakeKind::Scenario { message }, scenario.span.clone())),
        }
    }
    facts
}

fn combinations<'a>(
    axes: &'a Axes,
    facts: &'a HashMap<String, ScenarioFacts>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Combination<'a>> {
    let mut counts = vec![0_usize; axes.exclusions.len()];
    let mut combinations = Vec::new();
    for scenario in &axes.scenarios {
        let Some(facts) = facts.get(&scenario.value) else { continue };
        let mut missing: Vec<&str> = Vec::new();
        for agent in &axes.agents {
            for tier in &axes.tiers {
                for mode in &axes.modes {
                    for instructions in &axes.instructions {
                        let combination = Combination {
                            agent,
                            scenario,
                            facts,
                            tier: tier.value,
                            mode: &mode.value,
                            instructions,
                        };
                        let mut is_excluded = false;
                        for (exclusion, count) in axes.exclusions.iter().zip(&mut counts) {
                            if combination.is_excluded_by(exclusion) {
                                *count += 1;
                                is_excluded = true;
                            }
                        }
                        if is_excluded {
                            continue;
                        }
                        if facts.instructions.contains(&instructions.value) {
                            combinations.push(combination);
                        } else if !missing.contains(&instructions.value.as_str()) {
                            missing.push(&instructions.value);
                            mistakes.push(combination.without_instructions());
                        }
                    }
                }
            }
        }
    }
    // One scenario that cannot be read would make innocent exclusions look idle.
    if facts.len() == axes.scenarios.len() {
        for (exclusion, count) in axes.exclusions.iter().zip(counts) {
            if count == 0 {
                mistakes.push(Mistake::new(MistakeKind::ExcludesNothing, exclusion.span.clone()));
            }
        }
    }
    combinations
}

impl Combination<'_> {
    fn is_excluded_by(&self, exclusion: &Exclusion) -> bool {
        let has = |values: &Option<Vec<String>>, value: &str| {
            values.as_ref().is_none_or(|values| values.iter().any(|it| it == value))
        };
        let same_tier =
            |tier: &TierChoice| *tier == self.tier || self.number(*tier) == self.number(self.tier);
        has(&exclusion.agents, &self.agent.value)
            && has(&exclusion.scenarios, &self.scenario.value)
            && has(&exclusion.modes, self.mode)
            && has(&exclusion.instructions, &self.instructions.value)
            && exclusion.tiers.as_ref().is_none_or(|tiers| tiers.iter().any(same_tier))
    }

    fn number(&self, tier: TierChoice) -> u8 {
        match tier {
            TierChoice::Default => self.facts.default_tier,
            TierChoice::Number(number) => number,
        }
    }

    fn without_instructions(&self) -> Mistake {
        let kind = MistakeKind::Instructions {
            scenario: self.facts.name.clone(),
            name: self.instructions.value.clone(),
        };
        let known: Vec<_> = self.facts.instructions.iter().map(|it| format!("`{it}`")).collect();
        let help =
            format!("it has {}; an [[exclude]] leaves out what there is not", known.join(", "));
        Mistake::new(kind, self.instructions.span.clone())
            .other(self.scenario.span.clone())
            .help(help)
    }

    /// What `belljar run` is told, but for the seed, and what is said behind `--`.
    fn words(&self, axes: &Axes) -> (Vec<String>, Vec<String>) {
        let tier = self.number(self.tier).to_string();
        let mut words: Vec<String> =
            ["--scenario", &self.scenario.value, "--tier", &tier, "--mode", self.mode]
                .map(str::to_owned)
                .into();
        words.extend(["--instructions".to_owned(), self.instructions.value.clone()]);
        if let Some(policy) = &axes.policy {
            words.extend(["--policy".to_owned(), policy.clone()]);
        }
        words.extend(axes.arguments.iter().cloned());
        let command = self.agent.value.strip_prefix("command:");
        let command = command.and_then(|name| axes.commands.iter().find(|it| it.name == name));
        match command {
            Some(command) => {
                words.extend(command.arguments.iter().cloned());
                (words, command.words.clone())
            }
            None => {
                words.extend(["--agent".to_owned(), self.agent.value.clone()]);
                (words, Vec::new())
            }
        }
    }

    fn cell(&self, seed: u64, words: &[String], command: &[String], depends: &str) -> Cell {
        let mut words = words.to_vec();
        words.extend(["--seed".to_owned(), seed.to_string()]);
        let tier = self.number(self.tier);
        let mut hasher = Sha256::new();
        for word in words.iter().chain(["--".to_owned()].iter()).chain(command) {
            hasher.update(word.as_bytes());
            hasher.update([0]);
        }
        hasher.update(&self.facts.sha256);
        hasher.update(depends);
        let digest = hex::encode(hasher.finalize());
        let name = format!(
            "{}-{}-{}-t{tier}-{}-s{seed}-{}",
            slug(&self.facts.name),
            slug(self.agent.value.split_once(':').map_or("agent", |(_, name)| name)),
            slug(&self.instructions.value),
            self.mode,
            &digest[..DIGITS]
        );
        Cell {
            agent: self.agent.value.clone(),
            scenario: self.facts.name.clone(),
            tier,
            mode: self.mode.to_owned(),
            instructions: self.instructions.value.clone(),
            seed,
            words,
            command: command.to_vec(),
            is_loaded: self.facts.is_loaded,
            name,
        }
    }
}

/// A word for a file's name.
#[must_use]
pub fn slug(text: &str) -> String {
    const LONGEST: usize = 24;
    let kept = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    let slug: String = text.chars().map(kept).take(LONGEST).collect();
    slug.trim_matches('-').to_lowercase()
}
