//! The geometry of drawings. Places are in the units of the drawing's own coordinates.

use crate::stats::proportion::Interval;

/// Width of every drawing.
const WIDTH: f64 = 960.0;
/// Room for names at the left.
const LEFT: f64 = 210.0;
/// How much of a name fits there, in characters.
const NAME: usize = 30;
/// Height of a row.
const ROW: f64 = 30.0;
/// Room at the right for figures.
const FIGURES: f64 = 150.0;
/// Most rows and columns of a drawing; the tables have the rest.
const MOST: usize = 60;

/// A tenth of a unit is finer than any screen.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// A text of at most `most` characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['\u{2026}']).collect()
}

/// A share as a reader counts it.
pub(super) fn percent(part: f64) -> String {
    let percent = part * 100.0;
    if percent.abs() > 0.0 && percent.abs() < 1.0 {
        format!("{percent:.1}\u{a0}%")
    } else {
        format!("{percent:.0}\u{a0}%")
    }
}

/// A table of shares, each the darker the greater it is.
pub(super) struct Heat {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) label: String,
    pub(super) columns: Vec<Head>,
    pub(super) rows: Vec<HeatRow>,
    pub(super) cell_width: f64,
    pub(super) cell_height: f64,
    pub(super) left_out: bool,
}

pub(super) struct Head {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) text: String,
    pub(super) slanted: bool,
}

pub(super) struct HeatRow {
    pub(super) y: f64,
    pub(super) name: String,
    pub(super) cells: Vec<HeatCell>,
}

pub(super) struct HeatCell {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) text: String,
    pub(super) opacity: f64,
    pub(super) class: &'static str,
    pub(super) title: String,
}

/// What a cell shows.
pub(super) struct Share {
    pub(super) hits: u64,
    pub(super) trials: u64,
    /// Runs that do not count.
    pub(super) others: u64,
    pub(super) title: String,
}

pub(super) fn heat(
    label: String,
    columns: &[String],
    rows: Vec<(String, Vec<Share>)>,
) -> Option<Heat> {
    if columns.is_empty() || rows.is_empty() {
        return None;
    }
    let left_out = columns.len() > MOST || rows.len() > MOST;
    let shown = columns.len().min(MOST);
    let cell_width = ((WIDTH - LEFT) / shown as f64).min(120.0);
    // Names that are wider than their column are slanted.
    let fits = columns.iter().all(|name| name.chars().count() as f64 * 6.8 < cell_width - 6.0);
    let top = if fits { 26.0 } else { 104.0 };
    let cell_height = 34.0;
    let x = |at: usize| round(LEFT + at as f64 * cell_width);
    let heads = columns.iter().take(MOST).enumerate().map(|(at, name)| Head {
        x: if fits {
            round(x(at) + cell_width / 2.0)
        } else {
            round(x(at) + cell_width / 2.0 - 4.0)
        },
        y: top - 9.0,
        text: cut(name, 22),
        slanted: !fits,
    });
    let rows: Vec<HeatRow> = rows
        .into_iter()
        .take(MOST)
        .enumerate()
        .map(|(row, (name, shares))| {
            let y = round(top + row as f64 * cell_height);
            let cells = shares.into_iter().take(MOST).enumerate();
            HeatRow {
                y: round(y + cell_height / 2.0 + 4.0),
                name: cut(&name, NAME),
                cells: cells.map(|(at, share)| cell(share, x(at), y)).collect(),
            }
        })
        .collect();
    Some(Heat {
        width: WIDTH,
        height: round(top + rows.len() as f64 * cell_height + 4.0),
        label,
        columns: heads.collect(),
        rows,
        cell_width: round(cell_width - 3.0),
        cell_height: cell_height - 3.0,
        left_out,
    })
}

fn cell(share: Share, x: f64, y: f64) -> HeatCell {
    let Share { hits, trials, others, title } = share;
    let more = if others > 0 { format!(" +{others}") } else { String::new() };
    let (text, opacity, class) = match (trials, others) {
        (0, 0) => ("\u{2013}".to_owned(), 0.0, "none"),
        (0, _) => (format!("?{more}"), 0.0, "lost"),
        _ => {
            let part = hits as f64 / trials as f64;
            let class = match part {
                0.0 => "zero",
                part if part > 0.55 => "dark",
                _ => "",
            };
            (format!("{hits}/{trials}{more}"), 0.15 + 0.75 * part, class)
        }
    };
    HeatCell { x, y, text, opacity: (opacity * 100.0).round() / 100.0, class, title }
}

/// Shares or differences, each with its interval, below each other.
pub(super) struct Forest {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) label: String,
    pub(super) bottom: f64,
    pub(super) right: f64,
    /// Where no difference lies.
    pub(super) zero: Option<f64>,
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) rows: Vec<ForestRow>,
    pub(super) left_out: bool,
}

pub(super) struct ForestRow {
    pub(super) y: f64,
    pub(super) text_y: f64,
    pub(super) name: String,
    /// Where the figure lies, and the ends of its interval.
    pub(super) places: Option<(f64, f64, f64)>,
    pub(super) class: &'static str,
    pub(super) figures: String,
}

/// A row of a [`Forest`].
pub(super) struct Estimate {
    pub(super) name: String,
    pub(super) value: Option<(f64, Interval)>,
    pub(super) class: &'static str,
    pub(super) figures: String,
}

/// What an axis counts in.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Shares, from none to all.
    Shares,
    /// Differences of shares.
    Differences,
    /// Numbers from 0 to 1 that are no shares.
    Plain,
}

pub(super) fn forest(label: String, scale: Scale, estimates: Vec<Estimate>) -> Option<Forest> {
    let from = if scale == Scale::Differences { -1.0 } else { 0.0 };
    let to = 1.0;
    if estimates.is_empty() {
        return None;
    }
    let left_out = estimates.len() > MOST;
    let right = WIDTH - FIGURES;
    let place =
        |value: f64| round(LEFT + (value.clamp(from, to) - from) / (to - from) * (right - LEFT));
    let top = 8.0;
    let rows: Vec<ForestRow> = estimates
        .into_iter()
        .take(MOST)
        .enumerate()
        .map(|(at, estimate)| {
            let y = round(top + (at as f64 + 0.5) * ROW);
            ForestRow {
                y,
                text_y: y + 4.0,
                name: cut(&estimate.name, NAME),
                places: estimate
                    .value
                    .map(|(value, Interval { low, high })| (place(value), place(low), place(high))),
                class: estimate.class,
                figures: estimate.figures,
            }
        })
        .collect();
    let bottom = round(top + rows.len() as f64 * ROW);
    let ticks = (0..=4_u8).map(|at| {
        let value = from + (to - from) * f64::from(at) / 4.0;
        let text = match scale {
            Scale::Shares => percent(value),
            Scale::Differences if value > 0.0 => format!("+{}", percent(value)),
            Scale::Differences => percent(value).replace('-', "\u{2212}"),
            Scale::Plain => format!("{value}"),
        };
        (place(value), text)
    });
    Some(Forest {
        width: WIDTH,
        height: bottom + 30.0,
        label,
        bottom,
        right,
        zero: (from < 0.0).then(|| place(0.0)),
        ticks: ticks.collect(),
        rows,
        left_out,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_shown_with_what_does_not_count() {
        let share = |hits, trials, others| Share { hits, trials, others, title: String::new() };
        assert_eq!(cell(share(3, 3, 0), 0.0, 0.0).text, "3/3");
        assert_eq!(cell(share(0, 2, 1), 0.0, 0.0).text, "0/2 +1");
        assert_eq!(cell(share(0, 0, 2), 0.0, 0.0).text, "? +2");
        assert_eq!(cell(share(0, 0, 0), 0.0, 0.0).text, "\u{2013}");
    }

    #[test]
    fn what_lies_beyond_an_axis_lies_at_its_end() {
        let estimate = Estimate {
            name: "x".to_owned(),
            value: Some((2.0, Interval { low: -3.0, high: 0.0 })),
            class: "",
            figures: String::new(),
        };
        let forest = forest(String::new(), Scale::Differences, vec![estimate]).unwrap();
        assert_eq!(forest.rows[0].places, Some((forest.right, LEFT, forest.zero.unwrap())));
    }
}
