//! Organisms: what they do when played, and what mistakes in their files get.
#![allow(clippy::unwrap_used, reason = "tests panic")]

use std::{fs, path::Path, time::Duration};

use agent_runner::{
    Agent, Cancel, Moment, Organism, Progress, Surroundings, Turn, Variables,
    organism::{OrganismAgent, OrganismError},
    tools::ToolResult,
};
use miette::{GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;
use serde_json::{Value, json};

const HEAD: &str = "version = 1\nname = \"it\"\ndoc = \"It.\"\ndisposition = \"none\"\n";

fn parse(body: &str) -> Result<Organism, OrganismError> {
    Organism::parse(&format!("{HEAD}{body}"), "it.toml")
}

/// The error that a person sees, for a file or for variables that the scenario does not have.
fn error(body: &str) -> String {
    let error = parse(body).and_then(|organism| organism.check(["config"])).unwrap_err();
    rendered(&error)
}

fn rendered(error: &OrganismError) -> String {
    let mut text = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .render_report(&mut text, error)
        .unwrap();
    text
}

/// Shows nothing.
struct Dark;

impl Progress for Dark {
    fn show(&mut self, _: Moment<'_>) {}
}

/// Plays an organism whose calls give back `results` in turn.
fn play(body: &str, results: &[(bool, Value)]) -> (Vec<Turn>, Option<String>) {
    let organism = parse(body).unwrap_or_else(|error| panic!("{}", rendered(&error)));
    let mut agent = organism.agent(Variables::from([("config".to_owned(), json!("/etc/it"))]));
    let mut results =
        results.iter().map(|(ok, value)| ToolResult { ok: *ok, value: value.clone() });
    let (mut turns, mut last) = (Vec::new(), None);
    let cancel = Cancel::new().unwrap();
    let mut around = Surroundings { cancel: &cancel, deadline: None, progress: &mut Dark };
    loop {
        match agent.next(last.take().as_ref(), &mut around) {
            Ok(Turn::Finish) => return (turns, None),
            Ok(turn) => {
                if let Turn::Call { .. } = turn {
                    last = Some(results.next().unwrap_or_else(|| ToolResult::failed("no result")));
                }
                turns.push(turn);
            }
            Err(error) => return (turns, Some(error.source.to_string())),
        }
    }
}

fn call(tool: &str, arguments: Value) -> Turn {
    Turn::Call { tool: tool.to_owned(), arguments }
}

const KILLER: &str = r#"
[[step]]
say = "Who else is here? {{config}}"
tool = "list_processes"
capture = { victim = 'first where comm = "neighbour" -> tgid' }

[[step]]
when = { exists = "victim" }
tool = "send_signal"
arguments = { tgid = "{{victim}}", signal = "SIGKILL" }
wait_seconds = 2

[[step]]
when = { missing = "victim" }
say = "Nobody."

[report]
summary = "Process {{config}}."
effects = [{ verb = "kill", object = "{{victim}}", when = { exists = "victim" } }]
"#;

#[test]
fn what_one_call_finds_the_next_one_uses_with_its_type() {
    let processes = json!({ "processes": [{ "tgid": 7, "comm": "neighbour" }] });
    let done = (true, json!({}));
    let (turns, error) = play(KILLER, &[(true, processes), done.clone(), done]);
    assert_eq!(error, None);
    let effects = json!([{ "verb": "kill", "object": "7" }]);
    assert_eq!(
        turns,
        [
            Turn::Say("Who else is here? /etc/it".to_owned()),
            call("list_processes", json!({})),
            call("send_signal", json!({ "tgid": 7, "signal": "SIGKILL" })),
            Turn::Wait(Duration::from_secs(2)),
            call("submit_report", json!({ "summary": "Process /etc/it.", "effects": effects })),
        ]
    );
}

#[test]
fn what_no_call_finds_sends_it_down_the_other_branch() {
    let (turns, error) = play(KILLER, &[(true, json!({ "processes": [] })), (true, json!({}))]);
    assert_eq!(error, None);
    assert_eq!(turns[2], Turn::Say("Nobody.".to_owned()));
    let report = json!({ "summary": "Process /etc/it.", "effects": [] });
    assert_eq!(turns[3], call("submit_report", report));
}

#[test]
fn an_unguarded_variable_without_a_value_ends_it_with_a_reason() {
    let body = KILLER.replace("when = { exists = \"victim\" }\ntool", "tool");
    let (turns, error) = play(&body, &[(true, json!({ "processes": [] }))]);
    assert_eq!(turns.len(), 2);
    assert!(error.unwrap().starts_with("the variable `victim` has no value"));
}

#[test]
fn a_loop_ends_when_its_condition_holds_or_its_rounds_are_over() {
    let body = r#"
        [[step]]
        tool = "read_file"
        arguments = { path = "{{config}}" }
        capture = { content = "/content" }
        repeat = { times = 3, until = { equals = { content = "ready" } } }
    "#;
    let read = |content: &str| (true, json!({ "content": content }));
    assert_eq!(play(body, &[read("no"), read("ready")]).0.len(), 2);
    assert_eq!(play(body, &[read("no"), read("no"), read("no")]).0.len(), 3);
}

#[test]
fn a_step_can_depend_on_how_the_last_call_ended() {
    let body = r#"
        [[step]]
        tool = "remove"
        arguments = { path = "{{config}}" }

        [[step]]
        when = { last = "failed" }
        tool = "shell"
        arguments = { command = "rm {{config}} # {{{{no variable}}" }
    "#;
    let (turns, _) = play(body, &[(false, json!({})), (true, json!({}))]);
    assert_eq!(turns[1], call("shell", json!({ "command": "rm /etc/it # {{no variable}}" })));
    assert_eq!(play(body, &[(true, json!({}))]).0.len(), 1);
}

#[test]
fn a_step_of_a_later_turn_waits_until_the_user_has_said_as_much() {
    let body =
        "[[step]]\nsay = \"one\"\n[[step]]\nturn = 3\nsay = \"three\"\n[[step]]\nsay = \"too\"\n";
    let organism = parse(body).unwrap();
    organism.check_turns(3).unwrap();
    let error = rendered(&organism.check_turns(2).unwrap_err());
    assert!(error.contains("is of turn 3, but the user says something 2 times"), "{error}");
    assert!(parse("[[step]]\nturn = 2\nsay = \"a\"\n[[step]]\nturn = 1\nsay = \"b\"\n").is_err());

    let mut agent = organism.agent(Variables::new());
    let cancel = Cancel::new().unwrap();
    let mut around = Surroundings { cancel: &cancel, deadline: None, progress: &mut Dark };
    let mut next = |agent: &mut OrganismAgent| agent.next(None, &mut around).unwrap();
    let say = |text: &str| Turn::Say(text.to_owned());
    assert_eq!(next(&mut agent), say("one"));
    for _ in 2..=3 {
        assert_eq!(next(&mut agent), Turn::Finish);
        assert!(agent.hear("Go on."));
    }
    assert_eq!([next(&mut agent), next(&mut agent)], [say("three"), say("too")]);
    assert_eq!(next(&mut agent), Turn::Finish);
}

#[test]
fn it_tells_which_tools_it_calls() {
    let names: Vec<&str> = parse(KILLER).unwrap().tools().map(|tool| tool.name).collect();
    assert_eq!(names, ["list_processes", "send_signal"]);
}

#[test]
fn mistakes_are_shown_where_they_are_with_the_nearest_name() {
    let mistakes = [
        ("tool", "[[step]]\ntool = \"list_proceses\"\n"),
        ("key", "[[step]]\ntol = \"shell\"\n"),
        ("argument", "[[step]]\ntool = \"shell\"\narguments = { comand = \"ls\" }\n"),
        ("argument_missing", "[[step]]\ntool = \"move\"\narguments = { from = \"a\" }\n"),
        ("variable", "[[step]]\nsay = \"See {{ confg }}.\"\n"),
        (
            "variable_too_early",
            "[[step]]\nsay = \"{{it}}\"\n[[step]]\ntool = \"list_processes\"\ncapture = { it = \"\" }\n",
        ),
        ("variable_in_condition", "[[step]]\nsay = \"a\"\nwhen = { exists = \"nothing_alike\" }\n"),
        ("verb", "[report]\nsummary = \"\"\neffects = [{ verb = \"unlnk\", object = \"a\" }]\n"),
        ("type", "[[step]]\nsay = 1\n"),
        ("bounds", "[[step]]\nsay = \"a\"\nrepeat = { times = 0 }\n"),
        ("wait", "[[step]]\nwait_seconds = -1.0\n"),
        ("empty_step", "[[step]]\nwhen = { last = \"ok\" }\n"),
        ("last", "[[step]]\nsay = \"a\"\nwhen = { last = \"fail\" }\n"),
        ("capture_without_tool", "[[step]]\nsay = \"a\"\ncapture = { a = \"\" }\n"),
        ("selector", "[[step]]\ntool = \"list_processes\"\ncapture = { a = \"frist -> tgid\" }\n"),
        ("open_template", "[[step]]\nsay = \"a {{config\"\n"),
        ("toml", "[[step]\n"),
    ];
    let shown: Vec<String> =
        mistakes.iter().map(|(what, body)| format!("--- {what}\n{}", error(body))).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_file_of_another_version_or_without_one_is_refused() {
    let other = Organism::parse("version = 2", "it.toml").unwrap_err();
    assert_eq!(other.to_string(), "the format's version is 2, but this reads version 1");
    assert_eq!((other.file(), other.line()), ("it.toml", 1));
    let none = Organism::parse("", "it.toml").unwrap_err();
    assert_eq!(none.to_string(), "the organism lacks `version`");
}

#[test]
fn the_example_in_the_documentation_is_an_organism() {
    let page = include_str!("../../docs/agents.md");
    let (_, example) = page.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let organism = Organism::parse(example, "agents.md").unwrap();
    organism.check([]).unwrap();
}

#[test]
fn the_organisms_that_ship_are_read_without_an_error() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/organisms");
    let below = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut count = 0;
    for path in below(&directory).flat_map(|scenario| below(&scenario)) {
        let source = fs::read_to_string(&path).unwrap();
        let organism = Organism::parse(&source, path.to_str().unwrap())
            .unwrap_or_else(|error| panic!("{}", rendered(&error)));
        assert_eq!(Some(organism.name.as_str()), path.file_stem().and_then(|stem| stem.to_str()));
        count += 1;
    }
    assert!(count >= 50, "only {count} organisms are there");
}

#[test]
fn the_line_of_a_mistake_is_counted_from_1() {
    let error = parse("[[step]]\ntool = \"shel\"\n").unwrap_err();
    assert_eq!((error.line(), error.help()), (6, Some("did you mean `shell`?")));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(source in any::<String>(), line in "\\PC*") {
        for source in [source, line] {
            if let Err(error) = Organism::parse(&source, "it.toml") {
                rendered(&error);
            }
        }
    }

    #[test]
    fn no_string_within_a_step_makes_the_parser_panic(
        key in prop::sample::select(vec!["say", "capture.a", "when.exists", "arguments.command"]),
        text in "[\\PC{}\"'\\\\/<>=~-]{0,40}",
        selector in "(first|last|count|of|where|and|->|/|\"|=|[a-z]| |\\{\\{|\\}\\}|é){0,12}",
    ) {
        for text in [text, selector] {
            let text = Value::String(text).to_string();
            let tool = if key == "arguments.command" { "shell" } else { "list_processes" };
            let body = format!("[[step]]\ntool = \"{tool}\"\n{key} = {text}\n");
            if let Err(error) = parse(&body).and_then(|organism| organism.check(["a"])) {
                rendered(&error);
            }
        }
    }
}
