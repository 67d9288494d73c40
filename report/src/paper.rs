//! Plain text of bounded width. Everything that is written passes through here, and here alone it
//! is escaped: no text can bring its own line ends or control characters.

use journal::escape::visible;

use crate::sentences::cut;

/// Columns of a line.
pub(crate) const WIDTH: usize = 100;

/// The longest text that is repeated, in characters.
const LONGEST: usize = 400;

/// A text that grows line by line.
#[derive(Default)]
pub(crate) struct Paper {
    out: String,
}

/// A column of a table.
pub(crate) struct Column {
    pub(crate) head: &'static str,
    /// Numbers stand to the right.
    pub(crate) right: bool,
    /// Wider cells are cut.
    pub(crate) widest: usize,
}

impl Paper {
    pub(crate) fn finish(self) -> String {
        self.out
    }

    /// A heading after an empty line.
    pub(crate) fn heading(&mut self, text: &str) {
        self.out.push('\n');
        self.line(text);
    }

    /// A line from the margin; what does not fit goes on below, further in.
    pub(crate) fn line(&mut self, text: &str) {
        self.wrap("", 2, text);
    }

    /// A line below a heading.
    pub(crate) fn item(&mut self, text: &str) {
        self.wrap("  ", 4, text);
    }

    /// A line below a heading that opens with a word in a column of its own.
    pub(crate) fn entry(&mut self, lead: &str, width: usize, text: &str) {
        let lead = format!("  {:<width$} ", one_line(lead, width));
        self.wrap(&lead, width + 3, text);
    }

    /// A further line of an entry.
    pub(crate) fn more(&mut self, width: usize, text: &str) {
        self.wrap(&" ".repeat(width + 3), width + 3, text);
    }

    fn wrap(&mut self, lead: &str, indent: usize, text: &str) {
        let text = visible(&cut(text, LONGEST)).into_owned();
        self.out.push_str(lead);
        let mut column = lead.chars().count();
        let mut begins = true;
        for word in text.split(' ') {
            let mut word = word;
            let mut length = word.chars().count();
            if !begins {
                if column + 1 + length <= WIDTH {
                    self.out.push(' ');
                    column += 1;
                } else {
                    self.turn(indent);
                    column = indent;
                }
            }
            while column + length > WIDTH {
                let room = WIDTH - column;
                let at = word.char_indices().nth(room).map_or(word.len(), |(at, _)| at);
                self.out.push_str(&word[..at]);
                self.turn(indent);
                column = indent;
                word = &word[at..];
                length -= room;
            }
            self.out.push_str(word);
            column += length;
            begins = false;
        }
        self.end();
    }

    fn turn(&mut self, indent: usize) {
        self.end();
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    fn end(&mut self) {
        let kept = self.out.trim_end_matches(' ').len();
        self.out.truncate(kept);
        self.out.push('\n');
    }

    /// A table below a heading. A row is one line: the last column gets what is left of it.
    pub(crate) fn table(&mut self, columns: &[Column], rows: &[Vec<String>]) {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                row.iter()
                    .zip(columns)
                    .map(|(cell, column)| one_line(cell, column.widest))
                    .collect()
            })
            .collect();
        let widths: Vec<usize> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let cells = rows.iter().map(|row| row[index].chars().count());
                cells.chain([column.head.len()]).max().unwrap_or(0)
            })
            .collect();
        let heads = columns.iter().map(|column| column.head.to_owned()).collect();
        for row in std::iter::once(&heads).chain(&rows) {
            let mut line = String::from(" ");
            for ((cell, column), &width) in row.iter().zip(columns).zip(&widths) {
                line.push(' ');
                if column.right {
                    line.push_str(&format!("{cell:>width$} "));
                } else {
                    line.push_str(&format!("{cell:<width$} "));
                }
            }
            self.out.push_str(&one_line(line.trim_end(), WIDTH));
            self.out.push('\n');
        }
    }
}

/// A text on one line of at most `widest` columns; a mark stands for what is cut.
fn one_line(text: &str, widest: usize) -> String {
    let text = visible(text);
    if text.chars().count() <= widest {
        return text.into_owned();
    }
    text.chars().take(widest.saturating_sub(1)).chain(['\u{2026}']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_between_words_and_words_that_are_too_long_within() {
        let mut paper = Paper::default();
        paper.entry("lead", 6, &format!("{}{}", "word ".repeat(20), "x".repeat(150)));
        let text = paper.finish();
        assert!(text.starts_with("  lead   word word"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("         ")), "{text}");
        assert_eq!(text.matches('x').count(), 150);
    }

    #[test]
    fn a_text_brings_no_line_end_of_its_own() {
        let mut paper = Paper::default();
        paper.item("a\nevidence: complete\r\u{1b}[2J");
        assert_eq!(paper.finish(), "  a\\x0aevidence: complete\\x0d\\x1b[2J\n");
    }

    #[test]
    fn two_spaces_in_a_name_stay_two() {
        let mut paper = Paper::default();
        paper.item("/a  b");
        assert_eq!(paper.finish(), "  /a  b\n");
    }
}
