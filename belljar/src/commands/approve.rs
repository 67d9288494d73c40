//! `belljar approve`: shows what policies ask about live runs, and takes the answers of a person.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::anyhow;
use journal::{
    escape::visible,
    question::{About, Answered},
};
use sandbox::LiveRun;
use serde::Serialize;

use super::runs::{find, live_runs, table};
use crate::{
    cli::ApproveArgs,
    desk::{Reply, Request, Waiting, client, why, words},
    exit::{Exit, Failure, OrExit as _},
    stdout::{out, outln},
};

/// A question and its run.
#[derive(Serialize)]
struct Asked {
    run: String,
    #[serde(flatten)]
    waiting: Waiting,
}

/// Lists, asks or answers.
pub(crate) fn approve(arguments: &ApproveArgs) -> Result<(), Failure> {
    let runs = match &arguments.run {
        Some(name) => vec![find(name)?],
        None => live_runs()?,
    };
    if let (Some(run), Some(question)) = (runs.first(), arguments.question) {
        let answer = match (arguments.yes, arguments.kill) {
            (true, _) => Answered::Approved,
            (_, true) => Answered::Killed,
            _ => Answered::Refused,
        };
        return give(run, question, answer);
    }
    let mut asked = Vec::new();
    for run in &runs {
        match client::say(run, &Request::Questions) {
            Ok(Reply::Questions { questions }) => {
                let run = run.name().to_owned();
                asked.extend(
                    questions.into_iter().map(|it| Asked { run: run.clone(), waiting: it }),
                );
            }
            Ok(_) => {
                return Err(Failure::new(
                    Exit::Software,
                    anyhow!("the belljar answered otherwise"),
                ));
            }
            // Of one that was named it is said; others may be at their end.
            Err(failure) if arguments.run.is_some() => return Err(failure),
            Err(failure) => eprintln!("{}", visible(&failure.message())),
        }
    }
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&asked).or_exit(Exit::Software)?);
        return Ok(());
    }
    if asked.is_empty() {
        outln!("nothing is asked");
        return Ok(());
    }
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return in_turn(&runs, &asked);
    }
    let rows = asked.iter().map(|Asked { run, waiting }| {
        let question = &waiting.question;
        vec![
            run.clone(),
            question.question.to_string(),
            question.call.map(|call| call.to_string()).unwrap_or_default(),
            format!("{} s", waiting.seconds_left),
            words(question),
            why(question),
            question.hindrance.clone().unwrap_or_else(|| "once".to_owned()),
        ]
    });
    let head = ["RUN", "QUESTION", "CALL", "LEFT", "WHAT", "WHY", "OPENS"];
    out!("{}", table::text(&head, rows.collect()));
    Ok(())
}

fn give(run: &LiveRun, question: u64, answer: Answered) -> Result<(), Failure> {
    let request = Request::Answer { question, answer, who: client::who() };
    let what = client::have_done(run, &request)?;
    outln!("run {}: {}", run.name(), visible(&what));
    Ok(())
}

/// Shows each question and takes its answer. Nothing said leaves it open.
fn in_turn(runs: &[LiveRun], asked: &[Asked]) -> Result<(), Failure> {
    for Asked { run: name, waiting } in asked {
        let Some(run) = runs.iter().find(|run| run.name() == name) else { continue };
        out!("{}", shown(name, waiting));
        let Some(answer) = answer()? else {
            outln!("left open");
            continue;
        };
        // Another may have answered meanwhile, or its time is over.
        if let Err(failure) = give(run, waiting.question.question, answer) {
            eprintln!("{}", visible(&failure.message()));
        }
    }
    Ok(())
}

/// A question for a person at a terminal.
fn shown(run: &str, waiting: &Waiting) -> String {
    let question = &waiting.question;
    let call = question.call.map_or_else(|| "no call".to_owned(), |call| format!("call {call}"));
    let mut lines = vec![
        format!("run {run}, {call}, question {}:", question.question),
        format!("  {}", words(question)),
        format!("  why it is asked: {}", why(question)),
    ];
    match (&question.about, &question.hindrance) {
        (_, Some(hindrance)) => lines.push(format!("  yes opens nothing: {hindrance}")),
        (About::Effect { .. }, None) => {
            lines.push("  yes opens this act once: the agent has to try again".to_owned());
        }
        (About::Tool { .. }, None) => lines.push("  yes lets the call begin".to_owned()),
    }
    lines.push(format!("  {} s left; no answer means no", waiting.seconds_left));
    lines.iter().map(|line| visible(line).into_owned() + "\n").collect()
}

fn answer() -> Result<Option<Answered>, Failure> {
    loop {
        out!("  y/n/kill (nothing leaves it open): ");
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line).or_exit(Exit::Io)? == 0 {
            return Ok(None);
        }
        return Ok(Some(match line.trim() {
            "y" | "yes" => Answered::Approved,
            "n" | "no" => Answered::Refused,
            "kill" => Answered::Killed,
            "" => return Ok(None),
            _ => continue,
        }));
    }
}
