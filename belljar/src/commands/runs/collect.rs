//! `belljar runs gc`: removes recorded runs by age and size.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use archive::gc::{Collected, Criteria, Decision, Done, collect as collect_runs};
use indicatif::ProgressBar;

use super::{belljar_if_any, recorded::now};
use crate::{
    cli::GcArgs,
    exit::{Exit, Failure, OrExit as _},
    stdout::outln,
};

pub(super) fn collect(arguments: &GcArgs) -> Result<(), Failure> {
    let directory = &arguments.output.directory;
    let root = directory
        .canonicalize()
        .with_context(|| format!("cannot open {}", directory.display()))
        .or_exit(Exit::Data)?;
    let found = archive::scan(&root).or_exit(Exit::Data)?;
    let criteria = Criteria {
        before_unix_seconds: arguments
            .older_than
            .map(|age| now().saturating_sub(i64::try_from(age.as_secs()).unwrap_or(i64::MAX))),
        most_bytes: arguments.max_size,
        unverified: arguments.unverified,
        dry_run: arguments.dry_run,
    };
    let belljar = belljar_if_any();
    let is_live = |path: &Path, name: Option<&str>| {
        let Some(belljar) = &belljar else { return false };
        // The manifest of a directory that was altered may tell another name.
        name.is_some_and(|name| belljar.is_live(name))
            || belljar
                .live_runs()
                .is_ok_and(|live| live.iter().any(|run| run.directory().as_deref() == Some(path)))
    };
    let bar = ProgressBar::new(found.len() as u64);
    let collected =
        collect_runs(&root, &found, &criteria, &is_live, &mut |seen| bar.set_position(seen));
    bar.finish_and_clear();
    tell(arguments, &collected)?;
    let failed = collected.decisions.iter().filter(|it| it.done == Done::Failed).count();
    if failed > 0 {
        let message = format!("{failed} of the runs could not be removed");
        return Err(Failure::new(Exit::Io, anyhow!(message)));
    }
    Ok(())
}

fn tell(arguments: &GcArgs, collected: &Collected) -> Result<(), Failure> {
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(collected).or_exit(Exit::Software)?);
        return Ok(());
    }
    for Decision { path, bytes, done, why, .. } in &collected.decisions {
        let done = match done {
            Done::Removed => "removed",
            Done::WouldBeRemoved => "would remove",
            Done::Kept => "kept",
            Done::Failed => "failed to remove",
        };
        let why = why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        outln!("{done} {path} ({bytes} bytes){why}");
    }
    let Collected { runs_left, bytes_left, .. } = collected;
    let would = if arguments.dry_run { "would be left" } else { "left" };
    outln!("{runs_left} runs {would}, {bytes_left} bytes");
    if arguments.max_size.is_some_and(|most| *bytes_left > most) {
        eprintln!("belljar: that is more than --max-size: what was kept is named above");
    }
    Ok(())
}
