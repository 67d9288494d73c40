//! Rows and columns, for people and for spreadsheets. What others chose is escaped.

use std::fmt::Write as _;

use journal::escape::visible;

/// Columns that line up, with a head.
pub(in crate::commands) fn text(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut lines = vec![head.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()];
    lines
        .extend(rows.into_iter().map(|row| {
            row.into_iter().map(|cell| visible(&cell).into_owned()).collect::<Vec<_>>()
        }));
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let mut out = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(out, "{cell:<width$}  ");
        }
        text.push_str(out.trim_end());
        text.push('\n');
    }
    text
}

/// Comma-separated values, RFC 4180 but for the line's end.
pub(super) fn csv(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let quoted = |cell: &str| {
        let cell = visible(cell);
        if cell.contains([',', '"']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.into_owned()
        }
    };
    let head = head.iter().map(|&name| name.to_owned()).collect();
    let lines = std::iter::once(head).chain(rows);
    let line =
        |row: Vec<String>| row.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\n";
    lines.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_in_them_reaches_the_terminal() {
        let rows = vec![vec!["long one".into(), "\u{1b}[2J".into()], vec!["b".into(), "".into()]];
        assert_eq!(text(&["A", "B"], rows), "A         B\nlong one  \\x1b[2J\nb\n");
    }

    #[test]
    fn values_with_commas_and_quotes_are_quoted() {
        let rows = vec![vec!["a,b".into(), "say \"x\"".into()], vec!["".into(), "1".into()]];
        assert_eq!(csv(&["x", "y"], rows), "x,y\n\"a,b\",\"say \"\"x\"\"\"\n,1\n");
    }
}
