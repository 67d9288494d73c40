//! What was asked of somebody outside and what persons did to a run, a sentence each. Nothing here is
//! escaped.

use journal::{
    Effect,
    question::{About, Answer, Answered, By, Question},
};
use scoring::{Record, record::Reload};

use crate::{
    sentences::{count, cut},
    telling,
};

/// How much of a tool's arguments is told, in characters.
const ARGUMENTS: usize = 80;
/// How much of a hash is told: enough to tell two policies apart.
const HASH: usize = 12;

/// What there is to tell; empty where nobody was asked and nobody did anything.
pub(crate) fn sentences(record: &Record) -> Vec<String> {
    let told = &record.interventions;
    let mut sentences = Vec::new();
    if !told.questions.is_empty() {
        let approved = told.questions.iter().filter(|(_, answer)| is(answer, Answered::Approved));
        sentences.push(format!(
            "The policy asked {}; approved: {}.",
            count(told.questions.len(), "question", "questions"),
            approved.count(),
        ));
    }
    sentences.extend(told.questions.iter().map(|(question, answer)| exchange(question, answer)));
    sentences.extend(told.decisions.iter().map(|decision| {
        let what = match (decision.call, decision.components) {
            (Some(call), _) => format!("Call {call}"),
            (None, true) => "The run, its components as well,".to_owned(),
            (None, false) => "The run".to_owned(),
        };
        format!("{what} was {} by a person ({}).", decision.decision.words(), decision.who)
    }));
    sentences.extend(told.reloads.iter().map(reload));
    sentences
}

fn is(answer: &Option<Answer>, wanted: Answered) -> bool {
    answer.as_ref().is_some_and(|answer| answer.answer == wanted)
}

fn exchange(question: &Question, answer: &Option<Answer>) -> String {
    let what = match &question.about {
        About::Effect { seq, verb, object, args, .. } => {
            let effect = Effect { args: args.clone(), ..Effect::done(*verb, object.clone()) };
            format!("#{seq}, {} [{}],", telling::act(&effect), telling::label(&effect))
        }
        About::Tool { tool, arguments } => {
            let arguments = cut(&arguments.to_string(), ARGUMENTS);
            match question.call {
                Some(call) => format!("Call {call}, {tool} {arguments},"),
                None => format!("{tool} {arguments}"),
            }
        }
    };
    let came = match answer {
        None => "has no answer on record".to_owned(),
        Some(Answer { answer, by, detail, opened, .. }) => {
            let who = detail.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
            let extent = match (answer, &question.about, &question.hindrance) {
                (Answered::Approved, About::Effect { .. }, _) if *opened => ", and opened once",
                (Answered::Approved, About::Effect { .. }, _) => ", which opened nothing",
                _ => "",
            };
            let by = match by {
                By::Nobody => String::new(),
                By::Person | By::Approver => format!(" by {}", by.words()),
            };
            format!("was {}{by}{who}{extent}", answer.words())
        }
    };
    format!("Question {}: {what} {came}.", question.question)
}

fn reload(reload: &Reload) -> String {
    let Reload { policy, old_sha256, new_sha256, who, detail } = reload;
    let (old, new) = (short(old_sha256), short(new_sha256));
    match policy {
        Some(number) => format!(
            "The policy {old} was replaced by {new} (policy-{number}.toml) by a person ({who}): {detail}."
        ),
        None => format!("The policy {new} was refused, and {old} stayed: {detail}."),
    }
}

fn short(hash: &str) -> String {
    hash.chars().take(HASH).collect()
}
