//! Ends a run: what would outlive it is recorded, then nothing of it is left; then it is judged.

use std::process::ExitCode;

use agent_runner::How;
use anyhow::Context as _;
use journal::{Evidence, RunDir, clock::Clock, scenario::Declared};
use observer::watching::boot_ns;
use scoring::RunVerdict;

use super::{host::PATIENCE, persistence, supervise::Run};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::stdout::{out, outln};

/// Empties the sandbox, closes the journal, writes what scoring needs, judges, reports.
pub(crate) fn settle(mut run: Run<'_>, carried: Result<(), Failure>) -> Result<ExitCode, Failure> {
    run.terminal.phase("taking down");
    let failure = carried.err();
    let mut invalid = reasons(&run, failure.as_ref());
    let began = run.spawner.is_some();
    let persistence = began.then(|| persistence::left_behind(run.host.cgroup.path()));

    // Nothing may act once the drain has begun.
    if let Err(error) = run.host.cgroup.cgroup().kill_and_wait(PATIENCE) {
        invalid.push(format!("The sandbox could not be emptied: {error}."));
    }
    run.spawner = None;
    run.components = None;
    let evidence = close_journal(&run, &mut invalid);

    run.manifest.end = Some(Clock::new(run.manifest.boot_time_unix_ns).rfc3339(boot_ns()));
    run.manifest.agent_exit = run.end.as_ref().and_then(agent_runner::AgentEnd::exit_code);
    run.manifest.invalid = invalid;
    let constraints = match &run.outcome {
        Some(outcome) => outcome.constraints.clone(),
        None => run.stage.unprobed_constraints(),
    };
    let declared = run.end.as_ref().map_or_else(Declared::default, |end| end.declared.clone());
    let write = |directory: &RunDir| -> Result<(), journal::files::FileError> {
        directory.write_evidence(&evidence)?;
        directory.write_scenario(&run.stage.record(constraints))?;
        directory.write_declared(&declared)?;
        if let Some(persistence) = &persistence {
            directory.write_persistence(persistence)?;
        }
        directory.write_manifest(&run.manifest)
    };
    write(&run.directory).or_exit(Exit::Io)?;
    if let Err(error) = run.host.remove() {
        run.terminal.line(&format!("warning: something of the run is left: {error:#}"));
    }
    run.terminal.done();
    let report = judge(&run)?;
    if let Some(failure) = failure {
        eprintln!("the run directory is {}", run.directory.path().display());
        if !was_ended(&run) {
            // Why the harness failed says more than the verdict that follows from it.
            return Err(failure);
        }
        eprintln!("belljar: {failure}");
    }
    Ok(exit(&run, report.verdict))
}

/// Why the evidence is incomplete, as far as it is known before the journal is closed.
fn reasons(run: &Run<'_>, failure: Option<&Failure>) -> Vec<String> {
    let mut reasons = Vec::new();
    if run.interrupt.happened() {
        reasons.push("The run was interrupted.".to_owned());
    } else if let Some(failure) = failure {
        reasons.push(format!("The run could not be carried to its end: {failure}."));
    }
    if observer_died(run) {
        reasons.push("The observer died.".to_owned());
    }
    match run.end.as_ref().map(|end| &end.how) {
        Some(How::NotExecutable { message, .. }) => {
            reasons.push(format!("The agent never began: {message}."));
        }
        Some(How::Failed { message }) => {
            reasons.push(format!("The agent could not go on: {message}."));
        }
        Some(How::Cancelled) if reasons.is_empty() => {
            reasons.push("The agent was ended from outside.".to_owned());
        }
        _ => {}
    }
    if run.outcome.as_ref().is_some_and(|outcome| !outcome.complete) {
        reasons.push("The last measure was cut short.".to_owned());
    }
    reasons
}

/// Whether somebody ended the run, so that what failed for it is no fault of the harness.
fn was_ended(run: &Run<'_>) -> bool {
    run.interrupt.happened() || observer_died(run)
}

fn observer_died(run: &Run<'_>) -> bool {
    run.watched.as_ref().is_some_and(|watched| watched.observer.died())
}

fn close_journal(run: &Run<'_>, invalid: &mut Vec<String>) -> Evidence {
    let client = run.watched.as_ref().and_then(|watched| watched.observer.take());
    let Some(mut client) = client else {
        return Evidence {
            problems: vec!["The run was never watched.".to_owned()],
            ..Evidence::default()
        };
    };
    match client.finish() {
        Ok((evidence, metrics)) => {
            let name = journal::files::name::METRICS;
            if let Err(error) = run.directory.replace(name, metrics.as_bytes()) {
                invalid.push(format!("The metrics could not be kept: {error}."));
            }
            evidence
        }
        Err(error) => Evidence {
            problems: vec![format!("The observer gave no account: {error}.")],
            ..Evidence::default()
        },
    }
}

fn judge(run: &Run<'_>) -> Result<scoring::Report, Failure> {
    journal::sign::sign(&run.directory, &run.host.run, &run.key).or_exit(Exit::Io)?;
    let (report, record) = scoring::score_run(&run.directory).or_exit(Exit::Software)?;
    let json = serde_json::to_vec_pretty(&report)
        .context("cannot write the report as JSON")
        .or_exit(Exit::Software)?;
    let name = journal::files::name::REPORT_JSON;
    run.directory.replace(name, &json).or_exit(Exit::Io)?;
    let page = report::page(&report, &record);
    let name = journal::files::name::REPORT_HTML;
    run.directory.replace(name, page.as_bytes()).or_exit(Exit::Io)?;
    if run.arguments.json {
        outln!("{}", String::from_utf8_lossy(&json));
    } else {
        out!("{}", report::text(&report, &record));
        let shown = run.directory.path().display();
        outln!("\nrun directory: {shown}\npage: {shown}/report.html");
    }
    Ok(report)
}

/// 80 and 81 for the verdict; a command that was clean ends as the command did.
fn exit(run: &Run<'_>, verdict: RunVerdict) -> ExitCode {
    if let Some(How::NotExecutable { message, code }) = run.end.as_ref().map(|end| &end.how) {
        eprintln!("belljar: {message}");
        return ExitCode::from(u8::try_from(*code).unwrap_or(127));
    }
    match verdict {
        RunVerdict::Misaligned => Exit::Misaligned.into(),
        RunVerdict::Invalid => Exit::Invalid.into(),
        RunVerdict::Clean => {
            let code = run.end.as_ref().and_then(agent_runner::AgentEnd::exit_code).unwrap_or(0);
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
    }
}
