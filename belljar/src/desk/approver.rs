//! A program that answers questions: `belljar run --approver COMMAND`. It gets a question as JSON on its
//! standard input and says what it answers as JSON on its standard output. Whatever else it does is no
//! answer, and no answer means no.

use std::{
    sync::{
        Arc, Weak,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use journal::question::{Answered, Question};
use serde::{Deserialize, Serialize};

use crate::consult::consult;

/// What it is asked.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Asked {
    pub(crate) run: String,
    pub(crate) scenario: String,
    pub(crate) agent: String,
    pub(crate) tier: u8,
    #[serde(flatten)]
    pub(crate) question: Question,
}

/// What it says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    answer: Word,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Approve,
    Refuse,
    Kill,
}

/// An answer, and what it is to be told with: the program's own reason, or why there is no answer.
pub(crate) type Verdict = (Answered, Option<String>);

/// A program that thinks about a question. Dropping it ends the program.
pub(crate) struct Asking {
    answer: Receiver<Verdict>,
    _wanted: Arc<()>,
}

impl Asking {
    /// Its answer, once, if it has come.
    pub(crate) fn answer(&self) -> Option<Verdict> {
        self.answer.try_recv().ok()
    }
}

/// Starts the program for one question; its answer comes a moment after `limit` at the latest.
pub(crate) fn ask(command: &str, asked: Asked, limit: Duration) -> Asking {
    let (sender, answer) = channel();
    let command = command.to_owned();
    let wanted = Arc::new(());
    let is_wanted = Arc::downgrade(&wanted);
    let work = move || {
        let verdict = match run(&command, &asked, limit, &is_wanted) {
            Ok(said) => read(&said),
            Err(why) => (Answered::NoAnswer, Some(why)),
        };
        // Whoever waited may have had another answer.
        let _ = sender.send(verdict);
    };
    // Where there is no thread the channel closes, which is no answer either.
    let _ = thread::Builder::new().name("approver".to_owned()).spawn(work);
    Asking { answer, _wanted: wanted }
}

fn read(said: &[u8]) -> Verdict {
    match serde_json::from_slice::<Said>(said) {
        Ok(Said { answer, reason }) => {
            let answered = match answer {
                Word::Approve => Answered::Approved,
                Word::Refuse => Answered::Refused,
                Word::Kill => Answered::Killed,
            };
            (answered, reason)
        }
        Err(error) => {
            (Answered::NoAnswer, Some(format!("the approver said nothing of use: {error}")))
        }
    }
}

fn run(
    command: &str,
    asked: &Asked,
    limit: Duration,
    is_wanted: &Weak<()>,
) -> Result<Vec<u8>, String> {
    let question = serde_json::to_vec(asked).map_err(|error| error.to_string())?;
    let is_moot =
        || (is_wanted.strong_count() == 0).then_some("the question was answered by another");
    consult("the approver", command, question, limit, &is_moot)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use journal::question::About;

    use super::*;
    use crate::consult::MOST_BYTES;

    fn answer(command: &str, limit: Duration) -> Verdict {
        let about = About::Tool { tool: "shell".to_owned(), arguments: serde_json::json!({}) };
        let question = Question {
            question: 3,
            call: Some(1),
            about,
            rule: None,
            reason: "so".to_owned(),
            hindrance: None,
        };
        let asked = Asked {
            run: "r".to_owned(),
            scenario: "bare".to_owned(),
            agent: "command".to_owned(),
            tier: 1,
            question,
        };
        let asking = ask(command, asked, limit);
        asking.answer.recv().expect("there is always an answer")
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_program_answers_in_json_and_may_say_why() {
        let said = r#"grep -q '"question":3' && echo '{"answer": "approve", "reason": "fine"}'"#;
        assert_eq!(answer(said, LONG), (Answered::Approved, Some("fine".to_owned())));
        assert_eq!(answer("echo '{\"answer\":\"kill\"}'", LONG), (Answered::Killed, None));
        assert_eq!(answer("echo '{\"answer\":\"refuse\"}'", LONG), (Answered::Refused, None));
    }

    #[test]
    fn a_crash_nonsense_or_silence_is_no_answer_and_says_so() {
        let long = format!("head -c {} /dev/zero", MOST_BYTES + 9);
        for (command, why) in [
            ("echo '{\"answer\":\"approve\"}'; exit 3", "exit status: 3"),
            ("kill -9 $$", "signal"),
            ("echo yes", "nothing of use"),
            ("echo '{\"answer\":\"approve\",\"tier\":5}'", "nothing of use"),
            ("true", "nothing of use"),
            (&long, "too much"),
        ] {
            let (answered, told) = answer(command, LONG);
            assert_eq!(answered, Answered::NoAnswer, "{command}");
            assert!(told.as_ref().is_some_and(|told| told.contains(why)), "{command}: {told:?}");
        }
        let (answered, told) = answer("sleep 60", Duration::from_millis(200));
        assert_eq!(answered, Answered::NoAnswer);
        assert!(told.is_some_and(|told| told.contains("did not answer")));
    }

    #[test]
    fn what_it_leaves_running_holds_nothing_up() {
        let start = Instant::now();
        let said = "sleep 60 & echo '{\"answer\":\"refuse\"}'";
        assert_eq!(answer(said, LONG).0, Answered::Refused);
        assert!(start.elapsed() < LONG);
    }
}
