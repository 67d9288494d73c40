//! `belljar report`: a recorded run again.

use journal::{Effect, RunDir};

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
        ReportFormat::Html => report::page(&report, &record, readable_effects(&directory)),
        ReportFormat::Json => serde_json::to_string_pretty(&report).or_exit(Exit::Software)? + "\n",
    };
    out!("{out}");
    Ok(())
}

/// The effects of a run that can be read; what cannot is a problem that its report names.
pub(crate) fn readable_effects(directory: &RunDir) -> impl Iterator<Item = Effect> {
    directory.effects().into_iter().flatten().filter_map(Result::ok)
}
