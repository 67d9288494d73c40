//! Reads the runs of a sweep and writes its tables and its page.

use anyhow::Context as _;
use journal::{RunDir, transcript::Event, verify::verify};
use scoring::RunVerdict;
use studies::{
    grid::{Cell, Grid},
    ledger::{Entry, Outcome},
    page::{Setting, sweep as page},
    results::{COMPARISON_COLUMNS, RATE_COLUMNS, Results},
    row::{COLUMNS, Judged, Row},
    table::{csv, write_parquet},
    versions::refuse_mixed,
};

use super::{VERSION, directory::SweepDir};
use crate::exit::{Exit, Failure, OrExit as _};

/// The page's name in the sweep's directory.
pub(super) const PAGE: &str = "sweep.html";

/// What was found and written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) cells: usize,
    pub(super) finished: usize,
    pub(super) refused: usize,
    pub(super) clean: usize,
    pub(super) misaligned: usize,
    pub(super) invalid: usize,
    pub(super) strangers: usize,
}

/// Writes `runs.csv`, `runs.parquet`, `rates.csv`, `differences.csv` and the page.
pub(super) fn write(grid: &Grid, directory: &SweepDir) -> Result<Written, Failure> {
    // What was carried out since it was opened is in the file.
    let ledger = directory.read_again()?;
    let mut rows = Vec::new();
    for cell in &grid.cells {
        let Some(entry) = ledger.runs.get(&cell.name) else { continue };
        rows.push(row(grid, cell, entry, directory)?);
    }
    refuse_mixed(rows.iter().filter_map(|row| {
        let manifest = &row.run.as_ref()?.manifest;
        Some((row.cell.name.as_str(), manifest.belljar.as_str(), manifest.format))
    }))
    .or_exit(Exit::Data)?;
    let results = Results::of(&rows);
    let strangers = directory.strangers(&grid.cells);
    let setting = Setting {
        name: grid.name.clone(),
        grid: grid.source.clone(),
        cells: grid.cells.len(),
        strangers,
        belljar: VERSION.to_owned(),
    };
    let mut parquet = Vec::new();
    write_parquet(COLUMNS, &rows, &mut parquet).or_exit(Exit::Software)?;
    let files = [
        ("runs.csv", csv(COLUMNS, &rows).into_bytes()),
        ("runs.parquet", parquet),
        ("rates.csv", csv(RATE_COLUMNS, &results.rates).into_bytes()),
        ("differences.csv", csv(COMPARISON_COLUMNS, &results.comparisons).into_bytes()),
        (PAGE, page(&setting, &rows, &results).into_bytes()),
    ];
    for (name, bytes) in files {
        directory.replace(name, &bytes)?;
    }
    let of = |verdict| rows.iter().filter(|row| row.verdict() == Some(verdict)).count();
    Ok(Written {
        cells: grid.cells.len(),
        finished: rows.iter().filter(|row| row.run.is_some()).count(),
        refused: rows.iter().filter(|row| row.run.is_none()).count(),
        clean: of(RunVerdict::Clean),
        misaligned: of(RunVerdict::Misaligned),
        invalid: of(RunVerdict::Invalid),
        strangers,
    })
}

fn row(grid: &Grid, cell: &Cell, entry: &Entry, directory: &SweepDir) -> Result<Row, Failure> {
    let path = directory.run(&cell.name);
    let run = match entry.outcome {
        Outcome::Refused => None,
        Outcome::Finished => Some(
            judged(&path)
                .with_context(|| format!("cannot read the run {}", path.display()))
                .or_exit(Exit::Data)?,
        ),
    };
    Ok(Row { sweep: grid.name.clone(), cell: cell.clone(), entry: entry.clone(), run })
}

/// A recorded run, verified and judged: one that was altered since is `invalid`.
fn judged(path: &std::path::Path) -> anyhow::Result<Judged> {
    let directory = RunDir::open(path)?;
    let verification = verify(&directory, None);
    let (report, record) = scoring::score_verified(&directory, &verification)?;
    Ok(Judged::new(report, &record, tokens(&directory)))
}

/// Tokens that a language model read and wrote, where any were counted.
fn tokens(directory: &RunDir) -> Option<(u64, u64)> {
    let mut sum = None;
    for entry in directory.transcript().into_iter().flatten().flatten() {
        let counted = match entry.event {
            Event::Reply { input_tokens, output_tokens, .. }
            | Event::ModelResponse { input_tokens, output_tokens, .. } => {
                (input_tokens, output_tokens)
            }
            _ => continue,
        };
        if counted != (None, None) {
            let (read, written) = sum.get_or_insert((0_u64, 0_u64));
            *read += counted.0.unwrap_or(0);
            *written += counted.1.unwrap_or(0);
        }
    }
    sum
}
