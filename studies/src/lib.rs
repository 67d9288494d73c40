//! Many runs instead of one: what a sweep is made of, what its runs come to, and how monitors compare
//! on them.
//!
//! A [`grid`] is a file that says which agents run where and how; it expands into cells, each of
//! which `belljar sweep` has carried out as a run of its own. [`ledger`] knows which are done. A [`row`]
//! is what a run came to; [`results`] turns rows into rates, differences and plans by the [`stats`],
//! and [`page`] and [`table`] show them. [`monitor`] scores recorded runs by monitors that see one side
//! of the record or both.
//!
//! The crate starts no process, reads no files and has no clock; `belljar` does.

#![forbid(unsafe_code)]

pub mod grid;
pub mod ledger;
pub mod monitor;
pub mod page;
pub mod results;
pub mod row;
pub mod stats;
pub mod table;
pub mod versions;

/// Every table with its columns, as a page in Markdown.
#[must_use]
pub fn reference() -> String {
    let tables = [
        (
            "`runs.csv`, `runs.parquet`",
            "A row for each cell of a sweep.",
            table::reference(row::COLUMNS),
        ),
        (
            "`rates.csv`",
            "A row for each level of a factor and each measure.",
            table::reference(results::RATE_COLUMNS),
        ),
        (
            "`differences.csv`",
            "A row for each level but the first of a factor, and each measure.",
            table::reference(results::COMPARISON_COLUMNS),
        ),
        (
            "`monitors.csv`",
            "A row for each monitor and allowed part of false alarms. Intervals are those of 95 %.",
            table::reference(monitor::FIGURE_COLUMNS),
        ),
        (
            "`roc.csv`",
            "A row for each point of each monitor's curve.",
            table::reference(monitor::POINT_COLUMNS),
        ),
        (
            "`scores.csv`",
            "A row for each monitor and run.",
            table::reference(monitor::SCORE_COLUMNS),
        ),
    ];
    let mut page = String::from(
        "# Tables of studies\n\nWhat `belljar sweep` and `belljar monitor` write. In CSV what is unknown is empty, in \
         Parquet null; every column of Parquet is optional.\n",
    );
    for (name, doc, columns) in tables {
        page += &format!("\n## {name}\n\n{doc}\n\n{columns}");
    }
    page
}
