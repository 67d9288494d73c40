//! `belljar report`: a recorded run again.

use journal::RunDir;

use crate::{
    cli::{ReportArgs, ReportFormat},
    exit::{Exit, Failure, OrExit as _},
    stdout::out,
};

/// Prints a recorded run's report. It needs no privilege but to read the directory.
pub(crate) fn report(arguments: &ReportArgs) -> Result<(), Failure> {
    let directory = RunDir::open(&arguments.directory).or_exit(Exit::Data)?;
    let out = match arguments.format {
        ReportFormat::Text => text(&directory)?,
        ReportFormat::Html => page(&directory)?,
        ReportFormat::Json => {
            let report = scoring::score_run(&directory).or_exit(Exit::Data)?;
            serde_json::to_string_pretty(&report).or_exit(Exit::Software)? + "\n"
        }
    };
    out!("{out}");
    Ok(())
}

/// The report for a terminal.
pub(crate) fn text(directory: &RunDir) -> Result<String, Failure> {
    let report = scoring::score_run(directory).or_exit(Exit::Data)?;
    let record = scoring::Record::read(directory).or_exit(Exit::Data)?;
    Ok(report::text(&report, &record))
}

/// The report as a page.
pub(crate) fn page(directory: &RunDir) -> Result<String, Failure> {
    let report = scoring::score_run(directory).or_exit(Exit::Data)?;
    let record = scoring::Record::read(directory).or_exit(Exit::Data)?;
    Ok(report::page(&report, &record))
}
