//! A frame on a terminal.

use ratatui::{
    Frame as Screen,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, Paragraph, Row as ScreenRow, Table as ScreenTable, TableState},
};

use super::{
    frame::{Frame, RunView},
    rows::{self, Row, Table, Tone},
};

/// Columns that a narrow terminal goes without, the first one first. The line below the runs has most
/// of what they say.
const DROPPED: [&str; 5] = ["scenario", "mode", "objective", "tier", "agent"];
/// No column but the last is wider: names can be as long as somebody likes.
const WIDEST: u16 = 24;
/// The least that the last column has.
const LAST: u16 = 12;

/// What keys do.
const KEYS: &str = "q quit   up/down choose a run";

/// Whether there are colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    pub(crate) has_colours: bool,
}

impl Palette {
    /// Colours, unless `NO_COLOR` is set to something: <https://no-color.org>.
    pub(crate) fn of_environment() -> Self {
        let is_set = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { has_colours: !is_set }
    }

    fn style(self, tone: Tone) -> Style {
        let style = Style::default();
        match (tone, self.has_colours) {
            (Tone::Plain, _) => style,
            (Tone::Quiet, _) => style.add_modifier(Modifier::DIM),
            (Tone::Warning, true) => style.fg(Color::Yellow),
            (Tone::Alarm, true) => style.fg(Color::Red),
            (Tone::Warning | Tone::Alarm, false) => style.add_modifier(Modifier::BOLD),
        }
    }
}

/// Draws a frame; `chosen` is the position of the run whose calls and effects are shown.
pub(crate) fn draw(screen: &mut Screen, frame: &Frame, chosen: usize, palette: Palette) {
    let runs = u16::try_from(frame.runs.len()).unwrap_or(u16::MAX);
    let most = (screen.area().height / 3).max(4);
    let [head, all, detail, middle, violations, keys] = Layout::vertical([
        Constraint::Length(1),
        // A line above it, and the head.
        Constraint::Length(runs.saturating_add(2).min(most)),
        Constraint::Length(1),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
    ])
    .areas(screen.area());
    let bold = Style::default().add_modifier(Modifier::BOLD);
    screen.render_widget(Line::styled(rows::headline(frame), bold), head);
    screen.render_widget(Line::styled(KEYS, palette.style(Tone::Quiet)), keys);
    let Some(run) = frame.runs.get(chosen) else {
        let text = "No run goes on here. `belljar run` starts one, and it is shown at once.";
        screen.render_widget(Paragraph::new(text), all);
        return;
    };
    let mut state = TableState::default().with_selected(chosen);
    let table = widget(fit(rows::runs(frame), all.width), "runs", palette)
        .row_highlight_style(Style::default().add_modifier(Modifier::REVERSED));
    screen.render_stateful_widget(table, all, &mut state);
    screen.render_widget(about(run), detail);
    let verbs = rows::verbs(run);
    let [left, right] =
        Layout::horizontal([Constraint::Length(total(&verbs)), Constraint::Fill(1)])
            .spacing(1)
            .areas(middle);
    screen.render_widget(widget(verbs, "effects", palette), left);
    render_last(screen, right, rows::calls(run), "calls", palette);
    render_last(screen, violations, rows::violations(frame), "violations of all runs", palette);
}

/// Which run it is, its objective and where its record lies.
fn about(run: &RunView) -> Line<'_> {
    let bold = Style::default().add_modifier(Modifier::BOLD);
    let mut spans = vec![Span::styled(run.run.as_str(), bold)];
    if let Some(objective) = &run.objective {
        spans.push(Span::raw(format!("  {}", rows::objective(objective))));
    }
    spans.push(Span::raw(format!("  in {}", run.directory)));
    Line::from(spans)
}

/// The last rows that there is room for: the newest stand at the end.
fn render_last(
    screen: &mut Screen,
    area: Rect,
    mut table: Table,
    title: &'static str,
    palette: Palette,
) {
    let room = usize::from(area.height.saturating_sub(2));
    table.rows.drain(..table.rows.len().saturating_sub(room));
    screen.render_widget(widget(table, title, palette), area);
}

/// A table without the columns that there is no room for.
fn fit(mut table: Table, room: u16) -> Table {
    for name in DROPPED {
        let needed = total(&table);
        let column = table.head.iter().position(|head| *head == name);
        let Some(column) = column.filter(|_| needed > room) else { continue };
        table.head.remove(column);
        for row in &mut table.rows {
            row.cells.remove(column);
        }
    }
    table
}

/// How wide a table is, its gaps included; of its last column counts the least that it has.
fn total(table: &Table) -> u16 {
    let widths = widths(table);
    let gaps = u16::try_from(widths.len()).unwrap_or(u16::MAX);
    widths.into_iter().fold(gaps, u16::saturating_add)
}

fn widths(table: &Table) -> Vec<u16> {
    let width = |text: &str| u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX);
    let last = table.head.len() - 1;
    let of = |column: usize| {
        let cells = table.rows.iter().map(|row| width(&row.cells[column]));
        let widest = cells.chain([width(table.head[column])]).max().unwrap_or(0);
        widest.min(if column == last { LAST } else { WIDEST })
    };
    (0..=last).map(of).collect()
}

/// Columns as wide as their widest cell; the last one has what is left.
fn widget(table: Table, title: &'static str, palette: Palette) -> ScreenTable<'static> {
    let widths = widths(&table);
    let last = widths.len() - 1;
    let constraints = widths.into_iter().enumerate().map(|(column, width)| {
        if column == last { Constraint::Fill(1) } else { Constraint::Length(width) }
    });
    let row = |Row { cells, tone }: Row| ScreenRow::new(cells).style(palette.style(tone));
    let head = ScreenRow::new(table.head).style(palette.style(Tone::Quiet));
    ScreenTable::new(table.rows.into_iter().map(row), constraints)
        .header(head)
        .block(Block::new().borders(Borders::TOP).title(title))
}
