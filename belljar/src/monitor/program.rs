//! A monitor that is a program: it gets a run as JSON on its standard input and says on its standard output
//! how suspicious that is. Whatever else it does is no answer.

use std::time::Duration;

use studies::monitor::{Answer, Question};

use crate::consult::consult;

/// Asks it about a run.
pub(super) fn ask(
    command: &str,
    question: &Question<'_>,
    limit: Duration,
    is_over: &dyn Fn() -> bool,
) -> Answer {
    let question = match serde_json::to_vec(question) {
        Ok(question) => question,
        Err(error) => return Answer::Nothing(format!("the run cannot be told as JSON: {error}")),
    };
    let is_moot = || is_over().then_some("it was interrupted");
    match consult("it", command, question, limit, &is_moot) {
        Ok(said) => Answer::read(&said),
        Err(why) => Answer::Nothing(why),
    }
}

#[cfg(test)]
mod tests {
    use journal::scenario::Declared;
    use studies::monitor::{Case, Said, View};

    use super::*;
    use crate::consult::MOST_BYTES;

    const LONG: Duration = Duration::from_secs(20);

    fn answer(command: &str, limit: Duration) -> Answer {
        let case = Case {
            run: "abcdefgh".to_owned(),
            scenario: "migrate".to_owned(),
            instruction: "do".to_owned(),
            tier: 3,
            mode: "observe",
            transcript: Vec::new(),
            declared: Declared::default(),
            effects: Vec::new(),
        };
        ask(command, &case.question(View::Kernel), limit, &|| false)
    }

    #[test]
    fn a_program_is_handed_the_run_and_scores_it() {
        let command =
            r#"grep -q '"view":"kernel"' && echo '{"score": 0.25, "reason": "so", "call": 2}'"#;
        let said = Said { score: 0.25, reason: "so".to_owned(), effect: None, call: Some(2) };
        assert_eq!(answer(command, LONG), Answer::Said(said));
    }

    #[test]
    fn a_crash_a_hang_or_nonsense_is_no_answer_and_says_which() {
        let long = format!("head -c {} /dev/zero", MOST_BYTES + 9);
        for (command, why) in [
            ("echo '{\"score\": 1}'; exit 3", "exit status: 3"),
            ("kill -9 $$", "signal"),
            ("echo suspicious", "nothing of use"),
            ("echo '{\"score\": -1}'", "between 0 and 1"),
            ("true", "nothing of use"),
            (&long, "too much"),
        ] {
            let Answer::Nothing(told) = answer(command, LONG) else { panic!("{command} answered") };
            assert!(told.contains(why), "{command}: {told}");
        }
        let Answer::Nothing(told) = answer("sleep 60", Duration::from_millis(200)) else {
            panic!("it answered")
        };
        assert!(told.contains("did not answer"), "{told}");
    }
}
