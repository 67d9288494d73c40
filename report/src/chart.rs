//! The objective over time, as the geometry of a drawing.

use journal::scenario::{Phase, Sample};
use scoring::{Record, Report};

use crate::{
    scale::{Axis, Span, round_up},
    sentences::{cut, number},
    tables::Effects,
};

/// Width of every drawing of the page; they share their time axis and stand below each other.
pub(crate) const WIDTH: f64 = 960.0;
/// Where the time axis begins.
pub(crate) const LEFT: f64 = 140.0;
/// How long the time axis is.
pub(crate) const LENGTH: f64 = WIDTH - LEFT - 20.0;

const TOP: f64 = 26.0;
const HEIGHT: f64 = 220.0;
/// How far above the measure the proxy is followed: one that is faked would flatten all else.
const PROXY_ROOM: f64 = 4.0;
/// How much of the unit fits beside the axis, in characters.
const UNIT: usize = 18;
/// How many ticks an axis has at most.
const TICKS: u32 = 6;
/// How many ticks the time axis has at most.
pub(crate) const TIME_TICKS: u32 = 12;

/// The chart of the objective.
pub(crate) struct Chart {
    pub(crate) width: f64,
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
    pub(crate) full: f64,
    pub(crate) unit: String,
    pub(crate) bands: Vec<Band>,
    pub(crate) rows: Vec<Tick>,
    pub(crate) columns: Vec<Tick>,
    pub(crate) measured: String,
    pub(crate) proxy: String,
    pub(crate) baseline: Option<Tick>,
    /// Where violations and breaches of constraints fell.
    pub(crate) marks: Vec<Instant>,
    /// What the drawing cannot show.
    pub(crate) note: Option<String>,
}

/// A phase of the run.
pub(crate) struct Band {
    pub(crate) x: f64,
    pub(crate) width: f64,
    pub(crate) name: &'static str,
}

/// A moment to look at.
#[derive(PartialEq)]
pub(crate) struct Instant {
    pub(crate) x: f64,
    pub(crate) class: &'static str,
}

/// A place along an axis with its text.
pub(crate) struct Tick {
    pub(crate) at: f64,
    pub(crate) text: String,
}

/// Draws the samples; `None` where there is nothing to draw.
pub(crate) fn chart(
    report: &Report,
    record: &Record,
    span: Span,
    effects: &Effects<'_>,
) -> Option<Chart> {
    let objective = report.objective.as_ref()?;
    let samples = &record.samples;
    if samples.is_empty() {
        return None;
    }
    let highest = |values: &mut dyn Iterator<Item = f64>| {
        values.filter(|value| value.is_finite()).fold(0.0, f64::max)
    };
    let measured =
        highest(&mut samples.iter().map(|sample| sample.measured).chain(objective.baseline));
    let proxy = highest(&mut samples.iter().filter_map(|sample| sample.proxy));
    let room = if measured > 0.0 { measured * PROXY_ROOM } else { f64::MAX };
    let limit = round_up(measured.max(proxy.min(room)), TICKS);
    let note = (proxy > limit).then(|| {
        format!(
            "The proxy goes up to {} {}, beyond the drawing; it is shown along the top edge.",
            number(proxy),
            objective.unit
        )
    });
    let axis = Axis::new(limit, HEIGHT);
    let bottom = TOP + HEIGHT;
    let place = |sample: &Sample, value: f64| (x(span, sample.boot_ns), bottom - axis.place(value));
    Some(Chart {
        width: WIDTH,
        left: LEFT,
        right: LEFT + LENGTH,
        top: TOP,
        bottom,
        full: bottom + 40.0,
        unit: cut(&objective.unit, UNIT),
        bands: bands(samples, span),
        rows: axis
            .ticks(TICKS)
            .into_iter()
            .map(|value| Tick { at: round(bottom - axis.place(value)), text: number_tick(value) })
            .collect(),
        columns: time_ticks(span),
        measured: path(samples.iter().map(|sample| Some(place(sample, sample.measured)))),
        proxy: path(samples.iter().map(|sample| Some(place(sample, sample.proxy?)))),
        baseline: objective.baseline.map(|value| Tick {
            at: round(bottom - axis.place(value)),
            text: format!("baseline {}", number(value)),
        }),
        marks: marks(effects, span),
        note,
    })
}

/// Where a moment lies in every drawing.
pub(crate) fn x(span: Span, boot_ns: u64) -> f64 {
    round(LEFT + Axis::new(span.length(), LENGTH).place(span.seconds(boot_ns)))
}

/// Ticks of the time axis, in seconds.
pub(crate) fn time_ticks(span: Span) -> Vec<Tick> {
    let axis = Axis::new(span.length(), LENGTH);
    axis.ticks(TIME_TICKS)
        .into_iter()
        .map(|value| Tick { at: round(LEFT + axis.place(value)), text: number_tick(value) })
        .collect()
}

/// A tenth of a unit is finer than any screen.
pub(crate) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// A round number without needless digits.
fn number_tick(value: f64) -> String {
    if value >= 1e9 {
        return number(value);
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn marks(effects: &Effects<'_>, span: Span) -> Vec<Instant> {
    let counted = effects
        .shown
        .iter()
        .filter(|effect| effect.verdict.is_violation() || effects.breaches(effect));
    let mut marks: Vec<Instant> = counted
        .map(|effect| Instant {
            x: x(span, effect.boot_ns).round(),
            class: if effects.breaches(effect) { "breach" } else { "" },
        })
        .collect();
    marks.dedup();
    marks
}

/// Phases as they follow each other. A sample stands at the end of its window, so a phase reaches
/// from the last sample of the one before to its own last.
fn bands(samples: &[Sample], span: Span) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    let mut begin = LEFT;
    for group in samples.chunk_by(|one, other| one.phase == other.phase) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let end = x(span, last.boot_ns);
        let name = match first.phase {
            Phase::Baseline => "baseline",
            Phase::Run => "run",
            Phase::Final => "final",
        };
        bands.push(Band { x: begin, width: round((end - begin).max(0.0)), name });
        begin = end;
    }
    bands
}

/// The `d` of a line through points, with gaps where there is none. Where many points share a
/// column, its first, lowest, highest and last are drawn: the line looks the same.
fn path(points: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let mut path = String::new();
    let mut column: Vec<(f64, f64)> = Vec::new();
    let mut drawn = 0_usize;
    for point in points.chain([None]) {
        let joins = match (point, column.last()) {
            (Some((x, _)), Some((last, _))) => x.floor() == last.floor(),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !joins {
            for (x, y) in outline(&column) {
                let command = if drawn == 0 { 'M' } else { 'L' };
                path.push_str(&format!("{command}{x:.1} {y:.1}"));
                drawn += 1;
            }
            column.clear();
        }
        match point {
            Some(point) => column.push(point),
            None => {
                if drawn == 1 {
                    // A point of its own is seen by its round cap.
                    path.push_str("h0");
                }
                drawn = 0;
            }
        }
    }
    path
}

fn outline(column: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let by_height = |one: &&(f64, f64), other: &&(f64, f64)| one.1.total_cmp(&other.1);
    match (column.first(), column.last()) {
        (Some(first), Some(last)) if column.len() > 4 => {
            let low = column.iter().max_by(by_height).unwrap_or(first);
            let high = column.iter().min_by(by_height).unwrap_or(first);
            vec![*first, *low, *high, *last]
        }
        _ => column.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_gaps_where_nothing_was_read_and_dots_for_lone_points() {
        let points = [Some((0.0, 1.0)), Some((2.0, 3.0)), None, Some((5.0, 5.0)), None];
        assert_eq!(path(points.into_iter()), "M0.0 1.0L2.0 3.0M5.0 5.0h0");
    }

    #[test]
    fn many_points_of_a_column_are_drawn_as_their_extremes() {
        let points = (0..1000).map(|index| Some((f64::from(index) / 1000.0, f64::from(index % 7))));
        assert_eq!(path(points).matches(['M', 'L']).count(), 4);
    }
}
