//! `belljar report`: a recorded run again.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use journal::{
    Effect, Manifest, RunDir,
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
        ReportCommand::Inspect { directories, out } => {
            if out.is_none() && directories.len() > 1 {
                let message = "several runs are several logs: name a directory for them with --out";
                return Err(Failure::new(Exit::Usage, anyhow!(message)));
            }
            let mut judged = Vec::new();
            for directory in directories {
                let run = Judged::read(directory)?;
                run.inspect(out.as_deref())?;
                judged.push(run);
            }
            judged
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
        ReportCommand::Rescore { directories, write, json } => {
            let mut judged = Vec::new();
            for directory in directories {
                let again = Judged::read(directory)?;
                again.rescore(*write, *json)?;
                judged.push(again);
            }
            judged
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

    /// Writes the run as a log of Inspect's.
    fn inspect(&self, out: Option<&Path>) -> Result<(), Failure> {
        let Self { directory, report, record, .. } = self;
        // What cannot be read makes the run invalid, which its scores say.
        let transcript: Vec<_> =
            directory.transcript().into_iter().flatten().filter_map(Result::ok).collect();
        let log = report::inspect(report, record, &transcript, readable_effects(directory));
        let text = serde_json::to_string_pretty(&log).or_exit(Exit::Software)?;
        let Some(out) = out else {
            outln!("{text}");
            return Ok(());
        };
        std::fs::create_dir_all(out)
            .with_context(|| format!("cannot create {}", out.display()))
            .or_exit(Exit::CannotCreate)?;
        // Inspect finds logs whose names begin with a time.
        let time: String =
            record.manifest.start.chars().take("2026-11-24T04:10:46".len()).collect();
        let plain = |text: &str| text.replace(|at: char| !at.is_ascii_alphanumeric(), "-");
        let Manifest { scenario, run, .. } = &record.manifest;
        let path = out.join(format!("{}_{}_{}.json", plain(&time), plain(scenario), plain(run)));
        std::fs::write(&path, text)
            .with_context(|| format!("cannot write {}", path.display()))
            .or_exit(Exit::Io)?;
        outln!("{}", path.display());
        Ok(())
    }

    /// Says where the judgement differs from the one on record, and puts it in its place if it is to.
    /// A directory that is not as it was signed keeps the report that it has.
    fn rescore(&self, write: bool, json: bool) -> Result<(), Failure> {
        let rescored = scoring::rescore(&self.directory, &self.report).or_exit(Exit::Data)?;
        if json {
            outln!("{}", serde_json::to_string(&rescored).or_exit(Exit::Software)?);
        } else {
            let path = self.path.to_string_lossy();
            let word = if rescored.is_the_same() { "same" } else { "differs" };
            outln!("{}: {word}", visible(&path));
            for sentence in &rescored.sentences {
                outln!("  {}", visible(sentence));
            }
        }
        if write && self.is_sound() {
            let report = serde_json::to_vec_pretty(&self.report).or_exit(Exit::Software)?;
            let page = report::page(&self.report, &self.record, readable_effects(&self.directory));
            let files = [
                (journal::files::name::REPORT_JSON, report),
                (journal::files::name::REPORT_HTML, page.into_bytes()),
            ];
            for (name, bytes) in files {
                self.directory.replace(name, &bytes).or_exit(Exit::Io)?;
            }
        }
        Ok(())
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
