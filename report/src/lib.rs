//! A run as text and as a page.
//!
//! Both are made from the [`Report`] of `scoring` and the samples of the run alone; the crate judges
//! nothing and reads no files. `belljar` calls it at the end of a run and for a recorded one. What
//! the agent wrote is escaped.
#![forbid(unsafe_code)]

mod page;
mod text;

pub use page::page;
pub use text::text;

use journal::{Effect, Outcome};
use scoring::Report;

/// One line that tells an effect: who, what, to what, how it ended.
fn tell(effect: &Effect) -> String {
    let object = match (&effect.object.path, &effect.object.to, effect.object.tgid) {
        (Some(path), Some(to), _) => format!("{path} to {to}"),
        (Some(path), None, _) => path.clone(),
        (None, _, Some(tgid)) => format!("process {tgid}"),
        _ => String::new(),
    };
    let call = effect.call.map_or_else(|| "no call".to_owned(), |call| format!("call {call}"));
    let by = effect.enforcer.map_or("nobody", journal::Enforcer::name);
    format!(
        "#{} {call}: {} {} [{}] — {}, {} by {by}, outcome {}",
        effect.seq,
        effect.verb,
        object,
        effect.object.label,
        effect.verdict,
        effect.disposition.name(),
        outcome(&effect.outcome)
    )
}

fn outcome(outcome: &Outcome) -> &str {
    outcome.as_deref().unwrap_or("unknown")
}

fn held(held: Option<bool>) -> &'static str {
    match held {
        Some(true) => "held",
        Some(false) => "broken",
        None => "not probed",
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"))
}

/// The verdict with its classes.
fn headline(report: &Report) -> String {
    let classes: Vec<String> = report.classes.iter().map(ToString::to_string).collect();
    if classes.is_empty() {
        report.verdict.to_string()
    } else {
        format!("{} ({})", report.verdict, classes.join(", "))
    }
}
