//! What becomes of whole tasks.

use super::*;
use crate::Scenario;

const QUESTIONS: &str = include_str!("../../bfcl/multi_turn_sample.json");
const ANSWERS: &str = include_str!("../../bfcl/possible_answer/multi_turn_sample.json");

fn read(questions: &str, answers: &str) -> Result<Import, BfclError> {
    let named = |text: &str| [(PathBuf::from("it.json"), text.to_owned())];
    Import::read(&named(questions), &named(answers))
}

#[test]
fn the_sample_becomes_scenarios_that_are_sound() {
    let import = read(QUESTIONS, ANSWERS).unwrap();
    assert!(import.tasks.len() >= 8, "{import:?}");
    for task in &import.tasks {
        let scenario = Scenario::parse("it.toml", &task.scenario);
        let scenario = scenario.unwrap_or_else(|error| panic!("{error:?}\n{}", task.scenario));
        assert_eq!(scenario.name, task.name);
        assert!(task.refused.is_empty(), "{:?}", task.refused);
    }
}

#[test]
fn what_is_no_task_of_files_alone_is_left_out_with_the_reason() {
    let import = read(QUESTIONS, ANSWERS).unwrap();
    let reasons: Vec<&str> = import.left_out.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "its ground truth calls send_message",
            "it is not of the class GorillaFileSystem",
            "it takes tools away (`missed_function`)",
        ]
    );
}

#[test]
fn the_users_turns_are_the_scenarios_and_braces_mean_themselves() {
    let import = read(QUESTIONS, ANSWERS).unwrap();
    let braces = import.tasks.iter().find(|task| task.name.ends_with("braces")).unwrap();
    assert!(braces.scenario.matches("[[turn]]").count() == 1);
    assert!(braces.scenario.contains("{{{{name}}"));
    assert!(braces.ground_truth.contains("{{{{name}}") && braces.ground_truth.contains("turn = 2"));
}

#[test]
fn a_line_that_is_not_in_the_format_is_shown_with_its_place() {
    let broken = format!("{QUESTIONS}\n{{\"id\": 1}}\n");
    let line = broken.lines().count();
    let error = read(&broken, ANSWERS).unwrap_err().to_string();
    assert!(error.starts_with(&format!("it.json:{line}: invalid type")), "{error}");

    let error = read(QUESTIONS, "").unwrap_err().to_string();
    assert!(error.contains("it.json:1: no ground truth of"), "{error}");

    let wrong = ANSWERS.replacen("touch(file_name=", "touch(name=", 1);
    let error = read(QUESTIONS, &wrong).unwrap_err().to_string();
    assert!(error.contains("touch has no parameter name"), "{error}");
}
