//! A frame as plain text, for pipes.

use std::fmt::Write as _;

use ratatui::text::Span;

use super::{
    frame::Frame,
    rows::{self, Table},
};

/// The whole frame.
pub(crate) fn text(frame: &Frame) -> String {
    let mut text = rows::headline(frame);
    text.push('\n');
    if frame.runs.is_empty() {
        return text;
    }
    text.push('\n');
    table(&mut text, &rows::runs(frame), "");
    for run in &frame.runs {
        let _ = write!(text, "\n{} in {}\n", run.run, run.directory);
        if let Some(objective) = &run.objective {
            let _ = writeln!(text, "  {}", rows::objective(objective));
        }
        for part in [rows::verbs(run), rows::calls(run)] {
            if !part.rows.is_empty() {
                table(&mut text, &part, "  ");
            }
        }
    }
    let violations = rows::violations(frame);
    if !violations.rows.is_empty() {
        text.push_str("\nviolations\n");
        table(&mut text, &violations, "  ");
    }
    text
}

/// Columns as wide as their widest cell.
fn table(text: &mut String, table: &Table, indent: &str) {
    let head = table.head.iter().map(ToString::to_string).collect();
    let lines: Vec<&Vec<String>> =
        std::iter::once(&head).chain(table.rows.iter().map(|row| &row.cells)).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| lines.iter().map(|line| width(&line[column])).max().unwrap_or(0))
        .collect();
    for line in lines {
        let mut row = indent.to_owned();
        for (cell, wide) in line.iter().zip(&widths) {
            let _ = write!(row, "{cell}{}  ", " ".repeat(wide - width(cell)));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
}

/// How many columns of a terminal a text takes.
fn width(text: &str) -> usize {
    Span::raw(text).width()
}
