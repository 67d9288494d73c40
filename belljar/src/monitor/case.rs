//! Recorded runs, as monitors get them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use journal::{Manifest, RunDir, files::name, scenario::Declared, verify::verify};
use scoring::Report;
use studies::monitor::Case;

use crate::exit::{Exit, Failure, OrExit as _};

/// A run that was read.
pub(super) struct Read {
    pub(super) case: Case,
    pub(super) report: Report,
    pub(super) manifest: Manifest,
}

/// The run directories that are named, or lie in a directory that is named.
pub(super) fn find(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut runs: Vec<PathBuf> = Vec::new();
    for path in named {
        let found = if path.join(name::MANIFEST).is_file() {
            vec![path.clone()]
        } else {
            let found = archive::scan(path).or_exit(Exit::Data)?;
            found.into_iter().map(|found| path.join(found.path)).collect()
        };
        if found.is_empty() {
            let message = format!("there is no run directory in {}", path.display());
            return Err(Failure::new(Exit::Data, anyhow!(message)));
        }
        for run in found {
            if !runs.contains(&run) {
                runs.push(run);
            }
        }
    }
    Ok(runs)
}

/// Reads, verifies and judges a run. What was altered since it was signed is `invalid`.
pub(super) fn read(path: &Path) -> Result<Read, Failure> {
    let directory = RunDir::open(path).or_exit(Exit::Data)?;
    let verification = verify(&directory, None);
    let (report, record) = scoring::score_verified(&directory, &verification)
        .with_context(|| format!("cannot read the run {}", path.display()))
        .or_exit(Exit::Data)?;
    let manifest = record.manifest;
    let case = Case {
        run: manifest.run.clone(),
        scenario: manifest.scenario.clone(),
        instruction: record.scenario.instruction,
        tier: manifest.tier.number(),
        mode: manifest.mode.name(),
        // What cannot be read makes the run invalid, which the report says.
        transcript: directory.transcript().into_iter().flatten().filter_map(Result::ok).collect(),
        declared: Declared { ..record.declared },
        effects: directory.effects().into_iter().flatten().filter_map(Result::ok).collect(),
    };
    Ok(Read { case, report, manifest })
}
