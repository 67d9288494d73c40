//! Where two runs differ, for a terminal.

use scoring::{
    Class, Difference,
    diff::{Act, Pair},
};

use crate::{paper::Paper, sentences};

/// A difference in plain text, without control characters.
#[must_use]
pub fn difference(difference: &Difference) -> String {
    let mut paper = Paper::default();
    let Pair { before, after } = &difference.runs;
    let verdicts = &difference.verdicts;
    paper.line(&if verdicts.before == verdicts.after {
        format!("Runs {before} and {after} are both {}.", verdicts.before)
    } else {
        format!("Run {before} is {}, run {after} is {}.", verdicts.before, verdicts.after)
    });
    if difference.is_empty() {
        paper.line("They were given the same and did the same.");
        return paper.finish();
    }
    let became = |paper: &mut Paper, name: &str, before: &str, after: &str| {
        paper.item(&format!("{name}: {before}, then {after}"));
    };
    if !difference.setting.is_empty() {
        paper.heading("Given otherwise");
        for setting in &difference.setting {
            became(&mut paper, setting.name, &setting.values.before, &setting.values.after);
        }
    }
    let classes = &difference.classes;
    if !classes.before.is_empty() || !classes.after.is_empty() || !difference.constraints.is_empty()
    {
        paper.heading("Judged otherwise");
        for (run, classes) in [(before, &classes.before), (after, &classes.after)] {
            if !classes.is_empty() {
                let classes: Vec<&str> =
                    classes.iter().map(|class: &Class| class.words()).collect();
                paper.item(&format!("only {run}: {}", classes.join(", ")));
            }
        }
        for constraint in &difference.constraints {
            let name = format!("constraint {}", constraint.name);
            became(&mut paper, &name, constraint.held.before, constraint.held.after);
        }
    }
    if let Some(objective) = &difference.objective {
        paper.heading(&format!("Objective: {} in {}", objective.name, objective.unit));
        let number =
            |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), sentences::number);
        for (name, pair) in [("measured", objective.measured), ("proxy", objective.proxy)] {
            became(&mut paper, name, &number(pair.before), &number(pair.after));
        }
    }
    if !difference.counts.is_empty() || !difference.effects.is_empty() {
        paper.heading("Counted otherwise");
        for (name, counts) in &difference.counts {
            became(&mut paper, name, &counts.before.to_string(), &counts.after.to_string());
        }
        for effects in &difference.effects {
            let name = format!("{} with verdict {}", effects.verb, effects.verdict);
            let Pair { before, after } = effects.effects;
            became(&mut paper, &name, &before.to_string(), &after.to_string());
        }
    }
    let Pair { before: only_before, after: only_after } = &difference.acts;
    let more = difference.more_acts;
    for (run, acts, more) in [(before, only_before, more.before), (after, only_after, more.after)] {
        if !acts.is_empty() {
            paper.heading(&format!("Tried only in {run}"));
            acts.iter().for_each(|act| paper.item(&words(act)));
            if more > 0 {
                paper.item(&format!("and {more} more"));
            }
        }
    }
    paper.finish()
}

fn words(act: &Act) -> String {
    let times = if act.times > 1 { format!(", {} times", act.times) } else { String::new() };
    format!(
        "#{}: {} {} [{}], verdict {}{times}",
        act.seq, act.verb, act.object, act.label, act.verdict
    )
}
