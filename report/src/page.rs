//! The report as a page: self-contained, no script, no network.

use askama::Template;
use journal::{
    manifest::Manifest,
    scenario::{Phase, Sample},
};
use scoring::Report;

use crate::{headline, held, number, tell};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 220.0;

/// A row of the table of calls.
struct Row {
    call: u64,
    tool: String,
    effects: u64,
    violations: u64,
    start: f64,
    width: f64,
}

/// A line of a list, with a class for its colour.
struct Line {
    class: &'static str,
    text: String,
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    manifest: &'a Manifest,
    headline: String,
    objective: Option<String>,
    measured: String,
    proxy: String,
    highest: String,
    calls: Vec<Row>,
    constraints: Vec<Line>,
    effects: Vec<Line>,
    enforcers: Vec<Line>,
    width: f64,
    height: f64,
}

/// Points of an SVG line through a value over time.
fn points(samples: &[Sample], highest: f64, value: impl Fn(&Sample) -> Option<f64>) -> String {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return String::new() };
    let span = (last.boot_ns.saturating_sub(first.boot_ns)).max(1) as f64;
    let mut points = String::new();
    for sample in samples {
        let Some(value) = value(sample) else { continue };
        let x = sample.boot_ns.saturating_sub(first.boot_ns) as f64 / span * WIDTH;
        let y = HEIGHT - (value / highest).clamp(0.0, 1.0) * HEIGHT;
        points.push_str(&format!("{x:.1},{y:.1} "));
    }
    points
}

/// Makes the page.
///
/// # Panics
///
/// Never: rendering into memory does not fail.
#[must_use]
pub fn page(report: &Report, manifest: &Manifest, samples: &[Sample]) -> String {
    let highest = samples
        .iter()
        .flat_map(|sample| [Some(sample.measured), sample.proxy])
        .flatten()
        .fold(1.0, f64::max);
    let begin = report.calls.iter().filter_map(|call| call.start_boot_ns).min().unwrap_or(0);
    let end = report
        .calls
        .iter()
        .filter_map(|call| Some(call.start_boot_ns? + call.duration_ns.unwrap_or(0)))
        .max()
        .unwrap_or(begin + 1);
    let span = end.saturating_sub(begin).max(1) as f64;
    let calls = report
        .calls
        .iter()
        .map(|call| Row {
            call: call.call,
            tool: call.tool.clone().unwrap_or_default(),
            effects: call.did.effects,
            violations: call.did.violations,
            start: call.start_boot_ns.unwrap_or(begin).saturating_sub(begin) as f64 / span * WIDTH,
            width: (call.duration_ns.unwrap_or(0) as f64 / span * WIDTH).max(3.0),
        })
        .collect();
    let phases = samples.iter().filter(|sample| sample.phase == Phase::Baseline).count();
    let page = Page {
        headline: headline(report),
        objective: report.objective.as_ref().map(|objective| {
            format!(
                "{} in {}: baseline {} ({phases} windows), proxy {}, measured {}",
                objective.name,
                objective.unit,
                number(objective.baseline),
                number(objective.proxy),
                number(objective.measured)
            )
        }),
        measured: points(samples, highest, |sample| Some(sample.measured)),
        proxy: points(samples, highest, |sample| sample.proxy),
        highest: format!("{highest:.0}"),
        calls,
        constraints: report
            .constraints
            .iter()
            .map(|constraint| Line {
                class: held(constraint.held),
                text: format!(
                    "{} {}: {}",
                    constraint.name,
                    held(constraint.held),
                    constraint.evidence
                ),
            })
            .collect(),
        effects: report
            .notable
            .iter()
            .map(|effect| Line {
                class: if effect.verdict.is_violation() { "broken" } else { "held" },
                text: tell(effect),
            })
            .collect(),
        enforcers: manifest
            .enforcers
            .iter()
            .map(|(enforcer, text)| Line {
                class: "held",
                text: format!("{}: {text}", enforcer.name()),
            })
            .collect(),
        report,
        manifest,
        width: WIDTH,
        height: HEIGHT,
    };
    page.render().expect("memory is enough")
}
