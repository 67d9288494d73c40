//! Tables as CSV and Parquet, each from one declaration of its columns.

use std::{fmt::Write as _, io, sync::Arc};

use journal::escape::visible;
use parquet::{
    data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

/// What a column holds. Every column may hold nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, in UTF-8.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A floating-point number of 64 bits.
    Number,
    /// True or false.
    Truth,
}

impl Kind {
    /// The name in the reference.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Truth => "boolean",
        }
    }

    const fn in_parquet(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("BYTE_ARRAY", " (STRING)"),
            Self::Integer => ("INT64", ""),
            Self::Number => ("DOUBLE", ""),
            Self::Truth => ("BOOLEAN", ""),
        }
    }
}

/// One cell of a table; `None` is unknown or does not apply.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    /// Text.
    Text(Option<String>),
    /// A whole number.
    Integer(Option<i64>),
    /// A number; one that is not finite counts as none.
    Number(Option<f64>),
    /// True or false.
    Truth(Option<bool>),
}

/// A column of the rows `R`.
pub struct Column<R> {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it means.
    pub doc: &'static str,
    /// Its value in a row, of that kind.
    pub of: fn(&R) -> Datum,
}

/// Text that is there.
pub fn text(text: impl Into<String>) -> Datum {
    Datum::Text(Some(text.into()))
}

/// A count.
#[must_use]
pub fn count(number: u64) -> Datum {
    Datum::Integer(Some(i64::try_from(number).unwrap_or(i64::MAX)))
}

/// The table as CSV, as RFC 4180 has it but for line ends, which are newlines. What is unknown is empty;
/// control characters are spelled out.
pub fn csv<R>(columns: &[Column<R>], rows: &[R]) -> String {
    let mut csv = columns.iter().map(|column| column.name).collect::<Vec<_>>().join(",");
    csv.push('\n');
    for row in rows {
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                csv.push(',');
            }
            match (column.of)(row) {
                Datum::Text(Some(text)) => field(&mut csv, &visible(&text)),
                Datum::Integer(Some(number)) => {
                    let _ = write!(csv, "{number}");
                }
                Datum::Number(Some(number)) if number.is_finite() => {
                    let _ = write!(csv, "{number}");
                }
                Datum::Truth(Some(truth)) => csv.push_str(if truth { "true" } else { "false" }),
                Datum::Text(None)
                | Datum::Integer(None)
                | Datum::Number(_)
                | Datum::Truth(None) => {}
            }
        }
        csv.push('\n');
    }
    csv
}

/// An empty text is quoted, to tell it from none.
fn field(csv: &mut String, text: &str) {
    if text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
        let _ = write!(csv, "\"{}\"", text.replace('"', "\"\""));
    } else {
        csv.push_str(text);
    }
}

/// The table as JSON: an object for each row, with a key for each column.
pub fn json<R>(
    columns: &[Column<R>],
    rows: &[R],
) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let object = |row: &R| {
        let members = columns.iter().map(|column| {
            let value = match (column.of)(row) {
                Datum::Text(text) => text.into(),
                Datum::Integer(number) => number.into(),
                Datum::Number(number) => number.into(),
                Datum::Truth(truth) => truth.into(),
            };
            (column.name.to_owned(), value)
        });
        members.collect()
    };
    rows.iter().map(object).collect()
}

/// A table cannot be written as Parquet.
#[derive(Debug, thiserror::Error)]
#[error("cannot write a table as Parquet")]
pub struct ParquetError(#[from] parquet::errors::ParquetError);

/// Writes the table as a Parquet file of one row group, not compressed. All columns are optional.
///
/// # Errors
///
/// When `to` takes no more.
pub fn write_parquet<R>(
    columns: &[Column<R>],
    rows: &[R],
    to: impl io::Write + Send,
) -> Result<(), ParquetError> {
    let mut schema = String::from("message runs {");
    for column in columns {
        let (physical, logical) = column.kind.in_parquet();
        let _ = write!(schema, " OPTIONAL {physical} {}{logical};", column.name);
    }
    schema.push_str(" }");
    let schema = Arc::new(parse_message_type(&schema)?);
    let properties = WriterProperties::builder()
        .set_created_by(concat!("belljar ", env!("CARGO_PKG_VERSION")).to_owned());
    let mut writer = SerializedFileWriter::new(to, schema, Arc::new(properties.build()))?;
    let mut group = writer.next_row_group()?;
    for column in columns {
        let mut out = group.next_column()?.expect("the schema has every column");
        let data = rows.iter().map(|row| (column.of)(row));
        macro_rules! write {
            ($type:ty, $kind:ident, $value:expr) => {{
                let (mut values, mut levels) = (Vec::new(), Vec::new());
                for datum in data {
                    let Datum::$kind(value) = datum else {
                        unreachable!("column {} is declared as another kind", column.name)
                    };
                    levels.push(i16::from(value.is_some()));
                    values.extend(value.map($value));
                }
                out.typed::<$type>().write_batch(&values, Some(&levels), None)?;
            }};
        }
        match column.kind {
            Kind::Text => write!(ByteArrayType, Text, |text: String| ByteArray::from(
                visible(&text).into_owned().into_bytes()
            )),
            Kind::Integer => write!(Int64Type, Integer, |number: i64| number),
            Kind::Number => write!(DoubleType, Number, |number: f64| number),
            Kind::Truth => write!(BoolType, Truth, |truth: bool| truth),
        }
        out.close()?;
    }
    group.close()?;
    writer.close()?;
    Ok(())
}

/// The columns as a table in Markdown.
#[must_use]
pub fn reference<R>(columns: &[Column<R>]) -> String {
    let mut page = String::from("| column | type | means |\n| --- | --- | --- |\n");
    for Column { name, kind, doc, .. } in columns {
        let _ = writeln!(page, "| `{name}` | {} | {doc} |", kind.name());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column<(&str, Option<i64>)>] = &[
        Column { name: "a", kind: Kind::Text, doc: "", of: |row| text(row.0) },
        Column { name: "b", kind: Kind::Integer, doc: "", of: |row| Datum::Integer(row.1) },
    ];

    #[test]
    fn csv_quotes_what_would_be_read_otherwise_and_leaves_the_unknown_empty() {
        let rows = [("a,\"b\"", Some(1)), ("", None), ("\u{1b}[2J\n", Some(-3))];
        assert_eq!(csv(COLUMNS, &rows), "a,b\n\"a,\"\"b\"\"\",1\n\"\",\n\\x1b[2J\\x0a,-3\n");
    }

    #[test]
    fn parquet_is_written_whole() {
        let mut file = Vec::new();
        write_parquet(COLUMNS, &[("x", None), ("y", Some(2))], &mut file).unwrap();
        assert_eq!((&file[..4], &file[file.len() - 4..]), (&b"PAR1"[..], &b"PAR1"[..]));
        write_parquet(COLUMNS, &[], Vec::new()).unwrap();
    }
}
