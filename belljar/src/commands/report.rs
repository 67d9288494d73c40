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
    let (report, record) = scoring::score_run(&directory).or_exit(Exit::Data)?;
    let out = match arguments.format {
        ReportFormat::Text => report::text(&report, &record),
        ReportFormat::Html => report::page(&report, &record),
        ReportFormat::Json => serde_json::to_string_pretty(&report).or_exit(Exit::Software)? + "\n",
    };
    out!("{out}");
    Ok(())
}
