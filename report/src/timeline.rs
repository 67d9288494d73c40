//! Calls and violations along the time axis, as the geometry of a drawing.

use std::collections::BTreeMap;

use journal::{Disposition, Effect};
use scoring::{Record, Report};

use crate::{
    chart::{LEFT, LENGTH, Tick, WIDTH, round, time_ticks, x},
    scale::{Span, duration, moment},
    sentences::{calls_left_out, calls_shown, counted, cut},
    tables::Effects,
    telling,
};

/// How many calls have a lane.
const LANES: usize = 40;
/// Height of a lane.
const LANE: f64 = 26.0;
/// How much of a tool's name fits beside a lane.
const TOOL: usize = 14;
/// How long a tooltip may be.
const TOOLTIP: usize = 300;

/// The timeline.
pub(crate) struct Timeline {
    pub(crate) width: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
    pub(crate) full: f64,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) columns: Vec<Tick>,
    pub(crate) left_out: Option<String>,
}

/// One call.
pub(crate) struct Lane {
    pub(crate) y: f64,
    pub(crate) middle: f64,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) bar: Option<Bar>,
    pub(crate) marks: Vec<Mark>,
}

/// When the call ran.
pub(crate) struct Bar {
    pub(crate) x: f64,
    pub(crate) width: f64,
    pub(crate) class: &'static str,
}

/// One effect on a lane.
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) seq: u64,
    pub(crate) class: &'static str,
    /// Whether it broke a constraint.
    pub(crate) breach: bool,
    pub(crate) title: String,
}

/// Draws calls, and the effects that the page shows on their lanes; `None` where there were no calls.
pub(crate) fn timeline(
    report: &Report,
    record: &Record,
    span: Span,
    effects: &Effects<'_>,
) -> Option<Timeline> {
    if report.calls.is_empty() {
        return None;
    }
    let mut by_call: BTreeMap<u64, Vec<&Effect>> = BTreeMap::new();
    for effect in &effects.shown {
        if let Some(call) = effect.call {
            by_call.entry(call).or_default().push(effect);
        }
    }
    let calls = calls_shown(report, LANES);
    let left_out = calls_left_out(report, calls.len());
    let lanes: Vec<Lane> = calls
        .iter()
        .enumerate()
        .map(|(index, call)| {
            let y = index as f64 * LANE;
            let tool = call.tool.as_deref().unwrap_or(match record.manifest.command.is_empty() {
                true => "",
                false => "command",
            });
            let bar = call.start_boot_ns.map(|start| bar(call.ok, start, call.duration_ns, span));
            let took = call
                .duration_ns
                .map_or_else(|| "never ended".to_owned(), |ns| format!("took {}", duration(ns)));
            Lane {
                y,
                middle: y + LANE / 2.0,
                name: format!("{} {}", call.call, short(tool)),
                title: format!(
                    "call {}, {}: {took}, {}, {}",
                    call.call,
                    cut(tool, TOOLTIP),
                    counted(call.did.effects, "effect", "effects"),
                    counted(call.did.violations, "violation", "violations")
                ),
                bar,
                marks: by_call
                    .get(&call.call)
                    .into_iter()
                    .flatten()
                    .map(|effect| mark(effect, effects.breaches(effect), span))
                    .collect(),
            }
        })
        .collect();
    let bottom = lanes.len() as f64 * LANE;
    Some(Timeline {
        width: WIDTH,
        right: LEFT + LENGTH,
        bottom,
        full: bottom + 40.0,
        lanes,
        columns: time_ticks(span),
        left_out,
    })
}

fn short(tool: &str) -> String {
    if tool.chars().count() <= TOOL {
        return tool.to_owned();
    }
    tool.chars().take(TOOL - 1).chain(['\u{2026}']).collect()
}

fn bar(ok: Option<bool>, start: u64, duration: Option<u64>, span: Span) -> Bar {
    let end = duration.map_or(span.end, |ns| start.saturating_add(ns));
    let begin = x(span, start);
    let class = match ok {
        Some(true) => "ok",
        Some(false) => "failed",
        None => "endless",
    };
    Bar { x: begin, width: round((x(span, end) - begin).max(3.0)), class }
}

fn mark(effect: &Effect, breach: bool, span: Span) -> Mark {
    let class = match (effect.verdict.is_violation(), effect.disposition) {
        (false, _) if breach => "breach",
        (false, _) => "weighty",
        (true, Disposition::Prevented) => "prevented",
        (true, Disposition::StoppedAfter) => "stopped",
        (true, Disposition::Observed) => "unstopped",
    };
    let title = format!(
        "#{} at {}: {} [{}]: verdict {}, {}",
        effect.seq,
        moment(span.seconds(effect.boot_ns)),
        telling::act(effect),
        telling::label(effect),
        effect.verdict.name(),
        telling::fate(effect)
    );
    Mark { x: x(span, effect.boot_ns), seq: effect.seq, class, breach, title: cut(&title, TOOLTIP) }
}
