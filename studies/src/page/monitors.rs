//! The page of monitors compared.

use askama::Template;

use super::plot::{Estimate, Forest, Scale, cut, forest, percent};
use crate::{
    monitor::{Answer, Comparison, Figures, Found, Response},
    stats::proportion::Interval,
};

const STYLE: &str = include_str!("../../templates/studies.css");
/// Most lines that the drawing of curves has colours for.
const LINES: usize = 6;
/// Most rows of a table.
const ROWS: usize = 2000;

struct Line {
    name: String,
    path: String,
    class: usize,
    key_y: f64,
    text_y: f64,
}

struct Row {
    monitor: String,
    view: &'static str,
    coverage: String,
    area: String,
}

struct FoundTable {
    allowed: String,
    rows: Vec<FoundRow>,
}

struct FoundRow {
    monitor: String,
    threshold: String,
    false_alarms: String,
    recall: String,
    of_answered: String,
    response: String,
}

struct Silent {
    monitor: String,
    run: String,
    why: String,
}

struct ScoreRow {
    run: String,
    truth: &'static str,
    scores: Vec<String>,
}

#[derive(Template)]
#[template(path = "monitors.html")]
struct Page {
    summary: Vec<String>,
    truth: String,
    lines: Vec<Line>,
    guess_y: f64,
    lines_left_out: usize,
    areas: Option<Forest>,
    rows: Vec<Row>,
    tables: Vec<FoundTable>,
    silent: Vec<Silent>,
    silent_left_out: usize,
    monitors: Vec<String>,
    scores: Vec<ScoreRow>,
    scores_left_out: usize,
    policy: String,
    style: String,
}

/// Makes the page. `truth` says in a sentence by what runs are to be found.
///
/// # Panics
///
/// Never: rendering into memory does not fail.
#[must_use]
pub fn monitors(comparison: &Comparison, truth: &str) -> String {
    let style = report::house::style(STYLE);
    let silent = silent(comparison);
    let page = Page {
        summary: summary(comparison),
        truth: truth.to_owned(),
        lines: comparison.figures.iter().take(LINES).enumerate().map(line).collect(),
        guess_y: 58.0 + 24.0 * comparison.figures.len().min(LINES) as f64,
        lines_left_out: comparison.figures.len().saturating_sub(LINES),
        areas: areas(comparison),
        rows: comparison.figures.iter().map(row).collect(),
        tables: tables(comparison),
        silent_left_out: silent.len().saturating_sub(ROWS),
        silent: silent.into_iter().take(ROWS).collect(),
        monitors: comparison.figures.iter().map(|it| cut(&it.monitor, 30)).collect(),
        scores: scores(comparison),
        scores_left_out: comparison.runs.len().saturating_sub(ROWS),
        policy: report::house::policy(&style),
        style,
    };
    page.render().expect("memory is enough")
}

fn summary(comparison: &Comparison) -> Vec<String> {
    let mut summary = Vec::new();
    if let Some(figures) = comparison.figures.first() {
        summary.push(format!(
            "{} runs: {} to be found, {} not, {} of which nobody knows and which count for nothing.",
            comparison.runs.len(),
            figures.positives,
            figures.negatives,
            figures.unknown
        ));
        if figures.positives == 0 || figures.negatives == 0 {
            summary.push(
                "Without runs of both kinds nothing can be said of how monitors tell them apart."
                    .to_owned(),
            );
        }
    }
    for figures in &comparison.figures {
        let missing = figures.positives + figures.negatives - figures.answered;
        if missing > 0 {
            summary.push(format!(
                "{} gave no answer on {missing} of them. That is not “not suspicious”: what it did not \
                 answer is not found, and not innocent either.",
                cut(&figures.monitor, 60)
            ));
        }
    }
    summary
}

/// The curve in a square of 320 units whose corner is at 46, 10.
fn line((at, figures): (usize, &Figures)) -> Line {
    let (ones, others) =
        (figures.answered_positives, figures.answered - figures.answered_positives);
    let mut path = String::new();
    for (at, point) in figures.curve.iter().enumerate() {
        let x = 46.0 + 320.0 * point.alarms as f64 / others.max(1) as f64;
        let y = 330.0 - 320.0 * point.hits as f64 / ones.max(1) as f64;
        path += &format!("{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    }
    let is_drawn = ones > 0 && others > 0;
    let missing = if is_drawn { "" } else { ": no curve" };
    Line {
        name: format!("{} ({}){missing}", cut(&figures.monitor, 40), figures.view.name()),
        path: if is_drawn { path } else { String::new() },
        class: at,
        key_y: 58.0 + 24.0 * at as f64,
        text_y: 62.0 + 24.0 * at as f64,
    }
}

fn areas(comparison: &Comparison) -> Option<Forest> {
    let estimates = comparison.figures.iter().map(|figures| Estimate {
        name: format!("{} ({})", cut(&figures.monitor, 18), figures.view.name()),
        value: figures.area.and_then(|(area, interval)| Some((area, interval?))),
        class: "",
        figures: figures
            .area
            .map_or_else(|| "cannot be told".to_owned(), |(area, _)| format!("{area:.3}")),
    });
    forest(
        "Area under each curve with its 95 % interval".to_owned(),
        Scale::Plain,
        estimates.collect(),
    )
}

fn share(share: Option<(f64, Interval)>) -> String {
    share.map_or_else(
        || "\u{2013}".to_owned(),
        |(part, Interval { low, high })| {
            format!("{} ({} to {})", percent(part), percent(low), percent(high))
        },
    )
}

fn row(figures: &Figures) -> Row {
    Row {
        monitor: cut(&figures.monitor, 60),
        view: figures.view.name(),
        coverage: share(figures.coverage),
        area: figures.area.map_or_else(
            || "\u{2013}".to_owned(),
            |(area, interval)| {
                let interval = interval
                    .map_or_else(String::new, |it| format!(" ({:.2} to {:.2})", it.low, it.high));
                format!("{area:.3}{interval}")
            },
        ),
    }
}

fn tables(comparison: &Comparison) -> Vec<FoundTable> {
    let tables = comparison.allowed.iter().enumerate().map(|(at, allowed)| FoundTable {
        allowed: percent(*allowed),
        rows: comparison
            .figures
            .iter()
            .filter_map(|figures| Some(found_row(&figures.monitor, figures.operating.get(at)?)))
            .collect(),
    });
    tables.collect()
}

fn found_row(monitor: &str, found: &Found) -> FoundRow {
    let at = found.at;
    FoundRow {
        monitor: cut(monitor, 60),
        threshold: at.filter(|at| at.point.threshold.is_finite()).map_or_else(
            || "none finds anything".to_owned(),
            |at| format!("{:.3}", at.point.threshold),
        ),
        false_alarms: share(at.map(|at| (at.false_alarms, at.false_alarms_interval))),
        recall: share(found.recall),
        of_answered: share(at.map(|at| (at.recall, at.recall_interval))),
        response: response(&found.response),
    }
}

fn response(response: &Response) -> String {
    let Some((median, interval)) = response.median_seconds else { return "\u{2013}".to_owned() };
    let interval = interval.map_or_else(
        || "too few for an interval".to_owned(),
        |it| format!("{} to {}", seconds(it.low), seconds(it.high)),
    );
    let late = match response.at_the_end {
        0 => String::new(),
        late => format!(", {late} as late as the run\u{2019}s end"),
    };
    format!("{} ({interval}){late}", seconds(median))
}

/// A time as a reader counts it.
fn seconds(seconds: f64) -> String {
    let text = if seconds.abs() < 1.0 {
        format!("{:.1}\u{a0}ms", seconds * 1e3)
    } else {
        format!("{seconds:.2}\u{a0}s")
    };
    text.replace('-', "\u{2212}")
}

fn silent(comparison: &Comparison) -> Vec<Silent> {
    let mut silent = Vec::new();
    for scored in &comparison.scored {
        for (run, answer) in comparison.runs.iter().zip(&scored.answers) {
            if let Answer::Nothing(why) = answer {
                silent.push(Silent {
                    monitor: cut(&scored.monitor, 60),
                    run: run.clone(),
                    why: cut(why, 300),
                });
            }
        }
    }
    silent
}

fn scores(comparison: &Comparison) -> Vec<ScoreRow> {
    let rows = comparison.runs.iter().zip(&comparison.truths).take(ROWS).enumerate();
    let rows = rows.map(|(at, (run, truth))| ScoreRow {
        run: run.clone(),
        truth: match truth.is_positive {
            Some(true) => "to be found",
            Some(false) => "not",
            None => "nobody knows",
        },
        scores: comparison
            .scored
            .iter()
            .map(|scored| match scored.answers.get(at) {
                Some(Answer::Said(said)) => format!("{:.3}", said.score),
                Some(Answer::Nothing(_)) | None => "no answer".to_owned(),
            })
            .collect(),
    });
    rows.collect()
}
