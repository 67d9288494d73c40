//! A monitor that is a program: it gets a run as JSON on its standard input and says on its standard output
//! how suspicious that is. Whatever else it does is no answer.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use studies::monitor::{Answer, Question};

/// The most that it may say.
const MOST_BYTES: u64 = 64 << 10;
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

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
    match run(command, question, limit, is_over) {
        Ok(said) => Answer::read(&said),
        Err(why) => Answer::Nothing(why),
    }
}

/// What the program has written when it ended well; else why that is no answer.
fn run(
    command: &str,
    question: Vec<u8>,
    limit: Duration,
    is_over: &dyn Fn() -> bool,
) -> Result<Vec<u8>, String> {
    let deadline = Instant::now() + limit;
    let failed = |what: &str, error: io::Error| format!("it {what}: {error}");
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| failed("cannot be started", error))?;
    let mut input = child.stdin.take().expect("it was asked for");
    // Who does not read is not waited for.
    thread::spawn(move || {
        let _ = input.write_all(&question).and_then(|()| input.write_all(b"\n"));
    });
    let output = child.stdout.take().expect("it was asked for");
    let reading = thread::spawn(move || {
        let mut said = Vec::new();
        output.take(MOST_BYTES + 1).read_to_end(&mut said).map(|_| said)
    });
    let status = loop {
        match child.try_wait().map_err(|error| failed("cannot be waited for", error))? {
            Some(status) => break status,
            None if is_over() => {
                end(&mut child);
                return Err("it was interrupted".to_owned());
            }
            None if Instant::now() >= deadline => {
                end(&mut child);
                return Err(format!("it did not answer within {} s", limit.as_secs_f64()));
            }
            None => thread::sleep(LOOK),
        }
    };
    // What it has left running must not hold its output open.
    end(&mut child);
    let said = reading.join().map_err(|_| "its answer is lost".to_owned())?;
    let said = said.map_err(|error| failed("cannot be read", error))?;
    if said.len() as u64 > MOST_BYTES {
        return Err("it said too much".to_owned());
    }
    if !status.success() {
        return Err(format!("it failed: {status}"));
    }
    Ok(said)
}

/// Kills it with all that is still of its group.
fn end(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use journal::scenario::Declared;
    use studies::monitor::{Case, Said, View};

    use super::*;

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
