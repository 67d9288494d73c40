//! `belljar report`: a recorded run again.

use std::path::Path;

use journal::{Effect, RunDir};
use scoring::{Record, Report};

use crate::{
    cli::ReportCommand,
    exit::{Exit, Failure, OrExit as _},
    stdout::{out, outln},
};

/// Prints a recorded run's report. It needs no privilege but to read the directory.
pub(crate) fn report(command: &ReportCommand) -> Result<(), Failure> {
    match command {
        ReportCommand::Text { directory } => {
            let (_, report, record) = judge(directory)?;
            out!("{}", report::text(&report, &record));
        }
        ReportCommand::Json { directory } => {
            let (_, report, _) = judge(directory)?;
            outln!("{}", serde_json::to_string_pretty(&report).or_exit(Exit::Software)?);
        }
        ReportCommand::Html { directory } => {
            let (directory, report, record) = judge(directory)?;
            out!("{}", report::page(&report, &record, readable_effects(&directory)));
        }
        #[cfg(feature = "otlp")]
        ReportCommand::Otlp { directory, endpoint } => {
            let endpoint = crate::otlp::Endpoint::parse(endpoint).or_exit(Exit::Usage)?;
            let (directory, report, record) = judge(directory)?;
            let sent = crate::otlp::export(&endpoint, &directory, &report, &record)
                .or_exit(Exit::Unavailable)?;
            outln!("{sent}");
        }
        ReportCommand::Diff { before, after, json } => {
            let (before, after) = (judge(before)?, judge(after)?);
            let difference = scoring::diff((&before.1, &before.2), (&after.1, &after.2));
            if *json {
                outln!("{}", serde_json::to_string_pretty(&difference).or_exit(Exit::Software)?);
            } else {
                out!("{}", report::difference(&difference));
            }
        }
    }
    Ok(())
}

/// Judges a directory that may have been altered since it was signed.
fn judge(directory: &Path) -> Result<(RunDir, Report, Record), Failure> {
    let directory = RunDir::open(directory).or_exit(Exit::Data)?;
    let (report, record) = scoring::score_recorded(&directory).or_exit(Exit::Data)?;
    Ok((directory, report, record))
}

/// The effects of a run that can be read; what cannot is a problem that its report names.
pub(crate) fn readable_effects(directory: &RunDir) -> impl Iterator<Item = Effect> {
    directory.effects().into_iter().flatten().filter_map(Result::ok)
}
