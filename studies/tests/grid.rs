//! Grids: what they expand to, and that their mistakes are told at once with their places.

use std::collections::BTreeSet;

use studies::grid::{Grid, GridError, ScenarioFacts, Surroundings};

/// Two scenarios, and a `belljar run` that knows some organisms.
struct World;

impl Surroundings for World {
    fn scenario(&self, spelled: &str) -> Result<ScenarioFacts, String> {
        let facts = |default_tier, instructions: &[&str], is_loaded| ScenarioFacts {
            name: spelled.to_owned(),
            default_tier,
            instructions: instructions.iter().map(|&it| it.to_owned()).collect(),
            is_loaded,
            sha256: format!("file of {spelled}"),
        };
        match spelled {
            "migrate" => Ok(facts(3, &["plain", "strict"], false)),
            "throughput" => Ok(facts(2, &["plain"], true)),
            _ => Err(format!("no scenario is named {spelled:?}")),
        }
    }

    fn check(&self, words: &[String]) -> Result<String, String> {
        let agent = words.iter().position(|word| word == "--agent").map(|at| &words[at + 1]);
        match agent.map(String::as_str) {
            Some("organism:nobody") => Err("no organism is named \"nobody\"".to_owned()),
            agent => Ok(format!("text of {agent:?}")),
        }
    }
}

fn parse(source: &str) -> Result<Grid, GridError> {
    Grid::parse(source, "grid.toml", &World)
}

fn grid(source: &str) -> Grid {
    parse(source).unwrap_or_else(|error| panic!("{:?}", miette::Report::new(error)))
}

fn mistakes(source: &str) -> Vec<(String, String)> {
    let error = parse(source).expect_err("it has mistakes");
    let place = |offset: usize, length: usize| source[offset..offset + length].to_owned();
    let mistakes = error.mistakes.iter();
    mistakes.map(|it| (it.to_string(), place(it.span.offset(), it.span.len()))).collect()
}

const SMALL: &str = r#"
version = 1
name = "small"
agents = ["organism:honest", "organism:shortcut"]
scenarios = ["migrate", "throughput"]
"#;

#[test]
fn axes_are_multiplied_and_what_is_not_said_is_what_a_run_takes() {
    let grid = grid(&format!("{SMALL}seeds = 3"));
    assert_eq!(grid.cells.len(), 2 * 2 * 3);
    let cell = &grid.cells[1];
    assert_eq!((cell.scenario.as_str(), cell.agent.as_str()), ("migrate", "organism:honest"));
    assert_eq!((cell.tier, cell.mode.as_str(), cell.seed), (3, "enforce", 2));
    let words = "--scenario migrate --tier 3 --mode enforce --instructions plain --agent organism:honest --seed 2";
    assert_eq!(cell.words.join(" "), words);
    assert!(cell.name.starts_with("migrate-honest-plain-t3-enforce-s2-"), "{}", cell.name);
    assert!(!cell.is_loaded && grid.cells.last().unwrap().is_loaded);
    let names: BTreeSet<_> = grid.cells.iter().map(|cell| &cell.name).collect();
    assert_eq!(names.len(), grid.cells.len());
}

#[test]
fn a_cells_name_changes_with_all_that_its_run_depends_on_and_with_nothing_else() {
    let name = |source: &str| grid(source).cells[0].name.clone();
    let small = name(SMALL);
    assert_eq!(name(&SMALL.replace("small", "other")), small);
    assert_eq!(name(&format!("{SMALL}seeds = 9")), small);
    assert_ne!(name(&format!("{SMALL}seeds = [2]")), small);
    assert_ne!(name(&format!("{SMALL}modes = [\"observe\"]")), small);
    assert_ne!(name(&format!("{SMALL}arguments = [\"--budget-calls\", \"5\"]")), small);
    assert_ne!(name(&format!("{SMALL}policy = \"p.toml\"")), small);
}

#[test]
fn a_tier_that_is_also_the_scenarios_own_is_one_cell() {
    let tiers = |tiers: &str| grid(&format!("{SMALL}tiers = {tiers}")).cells.len();
    assert_eq!(tiers(r#"["default"]"#), 4);
    assert_eq!(tiers(r#"["default", 3]"#), 2 + 4);
    assert_eq!(tiers("[2, 3]"), 8);
}

#[test]
fn exclusions_leave_out_what_they_name() {
    let source = format!(
        r#"{SMALL}instructions = ["plain", "strict"]
tiers = [2, 3]
[[exclude]]
scenarios = ["throughput"]
instructions = ["strict"]
[[exclude]]
agents = ["organism:honest"]
tiers = [2]
"#
    );
    let grid = grid(&source);
    // 2 agents, 2 scenarios, 2 tiers, 2 instructions; 4 of throughput, and 3 more of honest at tier 2.
    assert_eq!(grid.cells.len(), 16 - 4 - 3);
    assert!(!grid.cells.iter().any(|it| it.agent == "organism:honest" && it.tier == 2));
}

#[test]
fn a_command_is_an_agent_with_words_of_its_own() {
    let source = r#"
version = 1
name = "c"
agents = ["command:mine"]
scenarios = ["migrate"]
[[command]]
name = "mine"
words = ["python3", "agent.py"]
arguments = ["--model", "openai/x"]
"#;
    let cell = &grid(source).cells[0];
    assert_eq!(cell.command, ["python3", "agent.py"]);
    assert!(cell.words.join(" ").contains("--model openai/x") && cell.agent == "command:mine");
}

#[test]
fn all_mistakes_are_told_at_once_with_their_places() {
    let source = r#"
version = 2
name = ""
agents = ["organism:honest", "organism:honest", "gpt", "command:mine"]
scenarios = ["migrate", "nowhere"]
tiers = [7, "default", "two"]
modes = ["observ"]
seeds = 0
sedes = 1
arguments = ["--seed", "4"]
[[command]]
name = "other"
words = []
[[exclude]]
agents = ["organism:honst"]
[[exclude]]
"#;
    let found = mistakes(source);
    let expected = [
        ("version 2 of the grid format is not known", "2"),
        ("`name` is empty", "\"\""),
        ("`organism:honest` stands twice in `agents`", "\"organism:honest\""),
        ("no agent is spelled `gpt`", "\"gpt\""),
        ("unknown command `mine`", "\"command:mine\""),
        ("no scenario is named \"nowhere\"", "\"nowhere\""),
        ("no tier 7: tiers are 0 to 5, or \"default\" for the scenario's own", "7"),
        ("no tier \"two\": tiers are 0 to 5, or \"default\" for the scenario's own", "\"two\""),
        ("unknown mode `observ`", "\"observ\""),
        ("a number of 0 is no seed", "0"),
        ("unknown key `sedes` in the grid", "sedes"),
        ("`--seed` is said by the sweep itself", "\"--seed\""),
        ("no agent is `command:other`", "\"other\""),
        ("`words` is empty", "[]"),
        ("unknown value `organism:honst`", "\"organism:honst\""),
        ("`exclude` is empty", "[[exclude]]"),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(what, at)| ((*what).to_owned(), (*at).to_owned())).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_a_run_would_refuse_is_told_once_with_how_often() {
    let found = mistakes(&SMALL.replace("honest", "nobody").replace("shortcut", "nobody-else"));
    let [(what, place)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(what, "no organism is named \"nobody\" (and so in 1 more combinations)");
    assert_eq!(place, "\"organism:nobody\"");
}

#[test]
fn what_is_spelled_wrong_does_not_hide_what_a_run_would_refuse() {
    let source =
        SMALL.replace("organism:honest", "organism:nobody").replace("organism:shortcut", "gpt");
    let told: Vec<_> = mistakes(&source).into_iter().map(|(what, _)| what).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("no organism is named") && told[1].starts_with("no agent is spelled")
    );
}

#[test]
fn instructions_that_a_scenario_lacks_are_a_mistake_unless_left_out() {
    let found = mistakes(&format!("{SMALL}instructions = [\"strict\"]"));
    let [(what, place)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(what, "the scenario `throughput` has no instructions `strict`");
    assert_eq!(place, "\"strict\"");
}

#[test]
fn an_exclusion_that_leaves_out_nothing_and_a_grid_without_cells_are_mistakes() {
    let all = format!("{SMALL}[[exclude]]\nagents = [\"organism:honest\", \"organism:shortcut\"]");
    assert_eq!(mistakes(&all)[0].0, "no cell is left");
    let none = format!("{SMALL}tiers = [2]\n[[exclude]]\ntiers = [5]");
    assert_eq!(mistakes(&none)[0].0, "this leaves out no cell");
}

#[test]
fn what_is_not_toml_is_told_alone_and_a_huge_grid_is_refused() {
    assert!(mistakes("version = \nagents")[0].0.starts_with("not TOML: "));
    let huge = format!("{SMALL}seeds = 100000");
    assert!(mistakes(&huge)[0].0.starts_with("the grid has 400000 cells"));
}
