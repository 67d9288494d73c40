//! Reading a grid's text. The reader goes on after a mistake, so that all are told at once.

use toml::de::{DeTable, DeValue};

use super::{
    Axes, Exclusion, Placed, TierChoice,
    expand::Command,
    mistake::{Mistake, MistakeKind},
    value::{Reader, Value, nearest},
};

/// The version of the format that this crate reads.
const VERSION: i128 = 1;
const GRID: &str = "the grid";
const COMMAND: &str = "[[command]]";
const EXCLUDE: &str = "[[exclude]]";
const MODES: [&str; 2] = ["observe", "enforce"];
/// What the instructions are called that a run gets when none are asked for.
const PLAIN: &str = "plain";
/// The mode of a run for which none is asked for.
const ENFORCE: &str = "enforce";
/// Most seeds of a grid.
const MOST_SEEDS: i128 = 100_000;
/// Words that each run is given by the sweep.
const RESERVED: [&str; 16] = [
    "--scenario",
    "--instructions",
    "--agent",
    "--tier",
    "--mode",
    "--out",
    "--seed",
    "--metrics",
    "--no-metrics",
    "--observer",
    "--key",
    "--json",
    "--quiet",
    "-q",
    "--policy",
    "--",
];

/// The axes of a grid; nothing where the text is not TOML.
pub(super) fn axes(source: &str, mistakes: &mut Vec<Mistake>) -> Option<Axes> {
    let (document, errors) = DeTable::parse_recoverable(source);
    if !errors.is_empty() {
        // What was recovered would only bring mistakes that follow from these.
        mistakes.extend(errors.iter().map(|error| {
            let kind = MistakeKind::Syntax { message: error.message().to_owned() };
            Mistake::new(kind, error.span().unwrap_or(0..0))
        }));
        return None;
    }
    let mut reader = Reader { mistakes };
    Some(reader.grid(document.get_ref()))
}

impl Reader<'_> {
    fn grid(&mut self, table: &DeTable<'_>) -> Axes {
        let keys = [
            "version",
            "name",
            "agents",
            "scenarios",
            "tiers",
            "modes",
            "instructions",
            "seeds",
            "policy",
            "arguments",
            "command",
            "exclude",
        ];
        self.refuse_unknown_keys(table, &keys, GRID);
        self.version(table);
        let name = self.required(table, "name", GRID, 0..0);
        let name = name.and_then(|value| self.text(value, "name"));
        let agents = self.required(table, "agents", GRID, 0..0);
        let mut agents = agents.map(|value| self.axis(value, "agents")).unwrap_or_default();
        let scenarios = self.required(table, "scenarios", GRID, 0..0);
        let scenarios = scenarios.map(|value| self.axis(value, "scenarios")).unwrap_or_default();
        let commands = self.commands(table);
        self.agents(&mut agents, &commands);
        let mut axes = Axes {
            name: name.unwrap_or_default(),
            agents,
            scenarios,
            tiers: vec![Placed { value: TierChoice::Default, span: 0..0 }],
            modes: vec![Placed { value: ENFORCE.to_owned(), span: 0..0 }],
            instructions: vec![Placed { value: PLAIN.to_owned(), span: 0..0 }],
            seeds: self.seeds(table),
            arguments: Vec::new(),
            policy: table.get("policy").and_then(|value| self.text(value, "policy")),
            commands: commands.into_iter().map(|command| command.value).collect(),
            exclusions: Vec::new(),
            is_whole: false,
        };
        if let Some(value) = table.get("tiers") {
            or_as_it_was(&mut axes.tiers, self.tiers(value));
        }
        if let Some(value) = table.get("modes") {
            let modes = self.axis(value, "modes");
            let modes = modes.into_iter().filter(|mode| self.is_mode(mode)).collect();
            or_as_it_was(&mut axes.modes, modes);
        }
        if let Some(value) = table.get("instructions") {
            or_as_it_was(&mut axes.instructions, self.axis(value, "instructions"));
        }
        if let Some(value) = table.get("arguments") {
            axes.arguments = self.arguments(value);
        }
        let before = self.mistakes.len();
        axes.exclusions = self.exclusions(table, &axes);
        axes.is_whole = self.mistakes.len() == before;
        axes
    }

    fn version(&mut self, table: &DeTable<'_>) {
        let Some(value) = self.required(table, "version", GRID, 0..0) else { return };
        match self.integer(value, "version") {
            None | Some(VERSION) => {}
            Some(number) => {
                let kind = MistakeKind::Version { found: number.to_string() };
                let help = format!("`version = {VERSION}`");
                self.push(Mistake::new(kind, value.span()).help(help));
            }
        }
    }

    /// Keeps those agents that are spelled like one.
    fn agents(&mut self, agents: &mut Vec<Placed<String>>, commands: &[Placed<Command>]) {
        let all = std::mem::take(agents);
        for agent in all {
            let before = self.mistakes.len();
            let spelled = agent.value.as_str();
            if let Some(name) = spelled.strip_prefix("command:") {
                if !commands.iter().any(|command| command.value.name == name) {
                    let names: Vec<_> = commands.iter().map(|it| it.value.name.as_str()).collect();
                    let help = match names.as_slice() {
                        [] => "a [[command]] with this `name` says what is run".to_owned(),
                        names => nearest(name, names),
                    };
                    let kind = MistakeKind::UnknownName { what: "command", name: name.to_owned() };
                    self.push(Mistake::new(kind, agent.span.clone()).help(help));
                }
            } else if !spelled.starts_with("organism:") && !spelled.starts_with("llm:") {
                let kind = MistakeKind::AgentSpelling { spelled: spelled.to_owned() };
                let help = "organism:NAME, llm:PROVIDER/MODEL, or command:NAME with a [[command]]";
                self.push(Mistake::new(kind, agent.span.clone()).help(help));
            }
            if self.mistakes.len() == before {
                agents.push(agent);
            }
        }
        for command in commands {
            let wanted = format!("command:{}", command.value.name);
            if !agents.iter().any(|agent| agent.value == wanted) {
                let kind = MistakeKind::UnusedCommand { name: command.value.name.clone() };
                let help = format!("put \"{wanted}\" into `agents`");
                self.push(Mistake::new(kind, command.span.clone()).help(help));
            }
        }
    }

    fn commands(&mut self, table: &DeTable<'_>) -> Vec<Placed<Command>> {
        let mut commands: Vec<Placed<Command>> = Vec::new();
        for (table, span) in self.tables(table, "command") {
            self.refuse_unknown_keys(table, &["name", "words", "arguments"], COMMAND);
            let name = self.required(table, "name", COMMAND, span.clone());
            let place = name.map_or(0..0, toml::Spanned::span);
            let name = name.and_then(|value| self.text(value, "name"));
            let words = self.required(table, "words", COMMAND, span.clone());
            let words = words.map(|value| self.texts(value, "words")).unwrap_or_default();
            let words = words.into_iter().map(|word| word.value).collect();
            let arguments = table.get("arguments").map(|value| self.arguments(value));
            let Some(name) = name else { continue };
            if let Some(first) = commands.iter().find(|it| it.value.name == name) {
                let kind = MistakeKind::Duplicate { key: "command", value: name };
                self.push(Mistake::new(kind, place).other(first.span.clone()));
                continue;
            }
            let arguments = arguments.unwrap_or_default();
            commands.push(Placed { value: Command { name, words, arguments }, span: place });
        }
        commands
    }

    /// More words for `belljar run`.
    fn arguments(&mut self, value: &Value<'_>) -> Vec<String> {
        let words = self.texts(value, "arguments");
        let before = self.mistakes.len();
        for word in &words {
            let flag = word.value.split('=').next().unwrap_or_default();
            if RESERVED.contains(&flag) {
                let kind = MistakeKind::Reserved { word: flag.to_owned() };
                let help = "it has a key of its own in the grid, or a flag of `belljar sweep`";
                self.push(Mistake::new(kind, word.span.clone()).help(help));
            }
        }
        if self.mistakes.len() > before {
            // Without its flag a value would be one mistake more.
            return Vec::new();
        }
        words.into_iter().map(|word| word.value).collect()
    }

    fn is_mode(&mut self, mode: &Placed<String>) -> bool {
        let is_one = MODES.contains(&mode.value.as_str());
        if !is_one {
            let kind = MistakeKind::UnknownName { what: "mode", name: mode.value.clone() };
            let help = nearest(&mode.value, &MODES);
            self.push(Mistake::new(kind, mode.span.clone()).help(help));
        }
        is_one
    }

    fn tiers(&mut self, value: &Value<'_>) -> Vec<Placed<TierChoice>> {
        let mut tiers: Vec<Placed<TierChoice>> = Vec::new();
        for value in self.list(value, "tiers", "a list of tiers").unwrap_or_default() {
            let Some(tier) = self.tier(value) else { continue };
            match tiers.iter().find(|other| other.value == tier) {
                Some(first) => {
                    let text = match tier {
                        TierChoice::Default => "default".to_owned(),
                        TierChoice::Number(number) => number.to_string(),
                    };
                    let kind = MistakeKind::Duplicate { key: "tiers", value: text };
                    self.push(Mistake::new(kind, value.span()).other(first.span.clone()));
                }
                None => tiers.push(Placed { value: tier, span: value.span() }),
            }
        }
        tiers
    }

    fn tier(&mut self, value: &Value<'_>) -> Option<TierChoice> {
        let found = match value.get_ref() {
            DeValue::String(text) if text == "default" => return Some(TierChoice::Default),
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(_) => {
                let number = self.integer(value, "tiers")?;
                match u8::try_from(number) {
                    Ok(tier @ 0..=5) => return Some(TierChoice::Number(tier)),
                    _ => number.to_string(),
                }
            }
            _ => {
                self.wrong_type(value, "tiers", "a number from 0 to 5, or \"default\"");
                return None;
            }
        };
        self.push(Mistake::new(MistakeKind::NoSuchTier { found }, value.span()));
        None
    }

    /// How many, from 1 on, or which.
    fn seeds(&mut self, table: &DeTable<'_>) -> Vec<u64> {
        let Some(value) = table.get("seeds") else { return vec![1] };
        if value.get_ref().as_array().is_none() {
            let Some(number) = self.integer(value, "seeds") else { return Vec::new() };
            if !(1..=MOST_SEEDS).contains(&number) {
                let kind = MistakeKind::NoSuchSeed { found: format!("a number of {number}") };
                let help = "how many seeds, from 1 on, or a list of them";
                self.push(Mistake::new(kind, value.span()).help(help));
                return Vec::new();
            }
            return (1..=u64::try_from(number).unwrap_or(1)).collect();
        }
        let mut seeds = Vec::new();
        for value in self.list(value, "seeds", "a list of whole numbers").unwrap_or_default() {
            let Some(number) = self.integer(value, "seeds") else { continue };
            match i64::try_from(number)
                .map_err(|_| ())
                .and_then(|it| u64::try_from(it).map_err(|_| ()))
            {
                Ok(seed) if seeds.contains(&seed) => {
                    let kind = MistakeKind::Duplicate { key: "seeds", value: seed.to_string() };
                    self.push(Mistake::new(kind, value.span()));
                }
                Ok(seed) => seeds.push(seed),
                Err(_) => {
                    let kind = MistakeKind::NoSuchSeed { found: number.to_string() };
                    self.push(Mistake::new(kind, value.span()));
                }
            }
        }
        seeds
    }

    fn exclusions(&mut self, table: &DeTable<'_>, axes: &Axes) -> Vec<Exclusion> {
        let mut exclusions = Vec::new();
        for (table, span) in self.tables(table, "exclude") {
            let keys = ["agents", "scenarios", "tiers", "modes", "instructions"];
            self.refuse_unknown_keys(table, &keys, EXCLUDE);
            if table.is_empty() {
                self.push(Mistake::new(MistakeKind::Empty { key: "exclude" }, span));
                continue;
            }
            let before = self.mistakes.len();
            let mut named = |key, axis: &[Placed<String>]| {
                let value = table.get(key)?;
                let texts = self.axis(value, key);
                let known: Vec<_> = axis.iter().map(|it| it.value.as_str()).collect();
                for text in texts.iter().filter(|text| !known.contains(&text.value.as_str())) {
                    let kind = MistakeKind::UnknownName { what: "value", name: text.value.clone() };
                    let help = nearest(&text.value, &known);
                    self.push(Mistake::new(kind, text.span.clone()).help(help));
                }
                Some(texts.into_iter().map(|text| text.value).collect())
            };
            let exclusion = Exclusion {
                agents: named("agents", &axes.agents),
                scenarios: named("scenarios", &axes.scenarios),
                modes: named("modes", &axes.modes),
                instructions: named("instructions", &axes.instructions),
                tiers: table
                    .get("tiers")
                    .map(|value| self.tiers(value).into_iter().map(|tier| tier.value).collect()),
                span,
            };
            if self.mistakes.len() == before {
                exclusions.push(exclusion);
            }
        }
        exclusions
    }

    /// The tables of an array of tables.
    fn tables<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        key: &'static str,
    ) -> Vec<(&'t DeTable<'i>, std::ops::Range<usize>)> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(value, key, "an array of tables");
            return Vec::new();
        };
        let mut tables = Vec::new();
        for value in array {
            match value.get_ref().as_table() {
                Some(table) => tables.push((table, value.span())),
                None => self.wrong_type(value, key, "an array of tables"),
            }
        }
        tables
    }
}

/// An axis of which nothing can be used stays what it is without being named, so that the rest can be
/// checked.
fn or_as_it_was<T>(axis: &mut Vec<T>, given: Vec<T>) {
    if !given.is_empty() {
        *axis = given;
    }
}
