//! `belljar report`: a recorded run again.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use journal::{
    Effect, RunDir,
    escape::visible,
    manifest::FORMAT,
    verify::{Verification, verify},
};
use scoring::{Record, Report};

use crate::{
    cli::ReportCommand,
    exit::{Exit, Failure, OrExit as _},
    stdout::{out, outln},
};

/// Prints a recorded run's report. It needs no privilege but to read the directory. One that is not
/// as it was signed is reported on as well, and ends with the code of a wrong file.
pub(crate) fn report(command: &ReportCommand) -> Result<ExitCode, Failure> {
    let judged = match command {
        ReportCommand::Text { directory } => {
            let judged = Judged::read(directory)?;
            out!("{}", report::text(&judged.report, &judged.record));
            vec![judged]
        }
        ReportCommand::Json { directory } => {
            let judged = Judged::read(directory)?;
            outln!("{}", serde_json::to_string_pretty(&judged.report).or_exit(Exit::Software)?);
            vec![judged]
        }
        ReportCommand::Html { directory } => {
            let judged = Judged::read(directory)?;
            let effects = readable_effects(&judged.directory);
            out!("{}", report::page(&judged.report, &judged.record, effects));
            vec![judged]
        }
        #[cfg(feature = "otlp")]
        ReportCommand::Otlp { directory, endpoint } => {
            let endpoint = crate::otlp::Endpoint::parse(endpoint).or_exit(Exit::Usage)?;
            let judged = Judged::read(directory)?;
            let Judged { directory, report, record, .. } = &judged;
            let sent = crate::otlp::export(&endpoint, directory, report, record)
                .or_exit(Exit::Unavailable)?;
            outln!("{sent}");
            vec![judged]
        }
        ReportCommand::Diff { before, after, json } => {
            let (before, after) = (Judged::read(before)?, Judged::read(after)?);
            let difference =
                scoring::diff((&before.report, &before.record), (&after.report, &after.record));
            if *json {
                outln!("{}", serde_json::to_string_pretty(&difference).or_exit(Exit::Software)?);
            } else {
                out!("{}", report::difference(&difference));
            }
            vec![before, after]
        }
    };
    let mut code = ExitCode::SUCCESS;
    for judged in judged.iter().filter(|judged| !judged.is_sound()) {
        judged.warn();
        code = Exit::Data.into();
    }
    Ok(code)
}

/// A recorded run, which may have been altered since it was signed.
struct Judged {
    path: PathBuf,
    directory: RunDir,
    report: Report,
    record: Record,
    verification: Verification,
}

impl Judged {
    fn read(path: &Path) -> Result<Self, Failure> {
        let directory = RunDir::open(path).or_exit(Exit::Data)?;
        let verification = verify(&directory, None);
        let (report, record) =
            scoring::score_verified(&directory, &verification).or_exit(Exit::Data)?;
        Ok(Self { path: path.to_owned(), directory, report, record, verification })
    }

    /// Whether all of it can be read and is as it was signed.
    fn is_sound(&self) -> bool {
        self.verification.holds() && self.record.manifest.format <= FORMAT
    }

    /// Says on standard error what is wrong, and what can be trusted all the same.
    fn warn(&self) {
        let path = self.path.to_string_lossy();
        for problem in &self.verification.problems {
            eprintln!("belljar: {}: {}", visible(&path), visible(&problem.to_string()));
        }
        let trusted = self.verification.trusted.join(", ");
        if !self.verification.holds() && trusted.is_empty() {
            eprintln!("belljar: nothing of it is known to be as it was");
        } else {
            eprintln!("belljar: still as it was signed: {}", visible(&trusted));
        }
    }
}

/// The effects of a run that can be read; what cannot is a problem that its report names.
pub(crate) fn readable_effects(directory: &RunDir) -> impl Iterator<Item = Effect> {
    directory.effects().into_iter().flatten().filter_map(Result::ok)
}
