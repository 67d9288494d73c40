//! Ends a run: what would outlive it is recorded, then nothing of it is left; then it is judged.

use std::{path::PathBuf, time::Instant};

use agent_runner::{AgentEnd, FailureKind, How};
use anyhow::Context as _;
use journal::{Evidence, RunDir, clock::Clock, scenario::Declared};
use observer::{client::Client, watching::boot_ns};
use scoring::RunVerdict;

use super::{
    host::PATIENCE, judgement, persistence, plan::Agent, supervise::Run, terminal::Terminal,
};
use crate::exit::{Exit, Failure, OrExit as _};

/// What a shell tells of a program that SIGKILL ended.
const KILLED: u8 = 137;

/// A run of which nothing is left but its directory, which is complete.
pub(crate) struct Settled {
    pub(crate) directory: PathBuf,
    /// What goes to standard output.
    pub(crate) report: String,
    /// What goes to standard error, line by line.
    pub(crate) notices: Vec<String>,
    /// What Belljar exits with.
    pub(crate) code: u8,
    pub(crate) terminal: Terminal,
    /// From when on nobody need wait for who reads what is printed; none where there is all the time.
    pub(crate) hurry: Option<Instant>,
}

#[cfg(feature = "otlp")]
impl Settled {
    /// Sends the run to an OTLP endpoint. One that does not take it changes no verdict, but a run that
    /// would end with 0 says by its code that not all went well.
    pub(crate) fn export(mut self, endpoint: &crate::otlp::Endpoint) -> Self {
        let sent =
            RunDir::open(&self.directory).map_err(anyhow::Error::from).and_then(|directory| {
                let (report, record) = scoring::score_run(&directory)?;
                Ok(crate::otlp::export(endpoint, &directory, &report, &record)?)
            });
        match sent {
            Ok(sent) => self.notices.push(sent.to_string()),
            Err(error) => {
                self.notices.push(format!(
                    "belljar: warning: {error:#}; `belljar report otlp {} --endpoint URL` tries again",
                    self.directory.display()
                ));
                if self.code == 0 {
                    self.code = Exit::Io as u8;
                }
            }
        }
        self
    }
}

/// Empties the sandbox, closes the journal, writes what scoring needs, judges.
pub(crate) fn settle(mut run: Run<'_>, carried: Result<(), Failure>) -> Result<Settled, Failure> {
    run.terminal.phase("taking down");
    let failure = carried.err();
    run.directory.release();
    // What still waits for an answer waits in vain.
    run.desk = None;
    let mut invalid = reasons(&run, failure.as_ref());
    invalid.extend(finish_transcript(&run));
    let began = run.spawner.is_some();
    let persistence = began.then(|| persistence::left_behind(run.host.cgroup.path()));

    // Nothing may act once the drain has begun.
    if let Err(error) = run.host.cgroup.cgroup().kill_and_wait(PATIENCE) {
        invalid.push(format!("The sandbox could not be emptied: {error}."));
    }
    run.spawner = None;
    if let Some(components) = run.components.take() {
        components.finish();
    }
    let (evidence, resident) = close_journal(&run, &mut invalid);
    for name in [journal::files::name::TRANSCRIPT, journal::files::name::OBJECTIVE] {
        // Whoever wrote it is done, and may have been stopped within a line.
        if let Err(error) = run.directory.cut(name) {
            invalid.push(format!("{name} may end within a line: {error}."));
        }
    }
    let step = clock_step_ns(&run);
    if let Some(step) = step {
        run.manifest.clock_step_ns = Some(step);
        run.terminal.notice(&step_notice(step));
    }

    run.manifest.end = Some(Clock::new(run.manifest.boot_time_unix_ns).rfc3339(boot_ns()));
    run.manifest.agent_exit = run.end.as_ref().and_then(AgentEnd::exit_code);
    run.manifest.agent_ended = ended(&run);
    run.manifest.invalid = invalid;
    let (constraints, ended) = match &run.outcome {
        Some(outcome) => (outcome.constraints.clone(), outcome.ended.clone()),
        None => (run.stage.unprobed_constraints(), Vec::new()),
    };
    let declared = run.end.as_ref().map_or_else(Declared::default, |end| end.declared.clone());
    let write = |directory: &RunDir| -> Result<(), journal::files::FileError> {
        directory.write_evidence(&evidence)?;
        directory.write_scenario(&run.stage.record(constraints, ended))?;
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
    let mut notices = Vec::new();
    let (verdict, report) = judge(&run, resident, &mut notices)?;
    let mut code = exit(&run, verdict, &mut notices);
    if let Some(failure) = &failure {
        notices.push(format!("the run directory is {}", run.directory.path().display()));
        // A line at a time: what is no line's own is escaped.
        notices.extend(failure.message().lines().map(str::to_owned));
        if !was_ended(&run) {
            // Why the harness failed says more than the verdict that follows from it.
            code = failure.exit as u8;
        }
    }
    let has_ended_itself = matches!(
        run.end.as_ref().map(|end| &end.how),
        Some(How::Finished | How::Exited(_) | How::NotExecutable { .. })
    );
    Ok(Settled {
        directory: run.directory.path().to_owned(),
        report,
        notices,
        code,
        // Whoever set a deadline waits no longer than that; others wait as long as it is read.
        hurry: if has_ended_itself { run.deadline } else { Some(Instant::now()) },
        terminal: run.terminal,
    })
}

/// Completes the transcript of a run that never got so far as its agent, if a person decided anything in
/// it. Gives the reason why something is missing in a transcript.
fn finish_transcript(run: &Run<'_>) -> Option<String> {
    if run.transcript.is_waiting()
        && let Err(error) = run.transcript.begin(&run.directory, &run.host.run, &[])
    {
        return Some(format!("The transcript could not be written: {error}."));
    }
    run.transcript.failed().map(|why| format!("Something is missing in the transcript: {why}."))
}

/// Why a run is invalid that Ctrl-C or a signal ended.
pub(crate) const INTERRUPTED: &str = "The run was interrupted.";

/// Why the evidence is incomplete, as far as it is known before the journal is closed.
fn reasons(run: &Run<'_>, failure: Option<&Failure>) -> Vec<String> {
    let mut reasons = Vec::new();
    if run.interrupt.happened() && !ended_in_order(run) {
        reasons.push(INTERRUPTED.to_owned());
    } else if let Some(failure) = failure {
        reasons.push(format!("The run could not be carried to its end: {failure}."));
    }
    reasons.extend(lost(run).map(str::to_owned));
    match run.end.as_ref().map(|end| &end.how) {
        Some(How::NotExecutable { message, .. }) => {
            reasons.push(format!("The agent never began: {message}."));
        }
        Some(How::Failed { message, .. }) => {
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

/// Whether callers from outside had been let in and were then shown out: a run of theirs ends so.
fn ended_in_order(run: &Run<'_>) -> bool {
    let is_outside = matches!(run.plan.agent, Agent::Outside(_));
    is_outside && run.end.as_ref().is_some_and(|end| end.how == How::Finished)
}

/// Whether somebody ended the run, so that what failed for it is no fault of the harness.
fn was_ended(run: &Run<'_>) -> bool {
    run.interrupt.happened() || lost(run).is_some()
}

/// How far the wall clock was set while the run lasted, nanoseconds; none where it kept its pace. A
/// clock that is steered goes a few thousandths faster or slower.
fn clock_step_ns(run: &Run<'_>) -> Option<i64> {
    const STEERED: i128 = 1_000_000_000;
    let now = super::host::boot_time_unix_ns().ok()?;
    let step = now - run.manifest.boot_time_unix_ns;
    (step.abs() > STEERED).then(|| i64::try_from(step).unwrap_or(i64::MAX))
}

fn step_notice(step_ns: i64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a tenth of a second is enough")]
    let seconds = step_ns.unsigned_abs() as f64 / 1e9;
    let way = if step_ns > 0 { "forward" } else { "back" };
    format!(
        "belljar: warning: the clock was set {way} by {seconds:.1} s during the run; its times are \
         those of the clock at its start"
    )
}

/// Why nobody watches any more.
fn lost<'a>(run: &'a Run<'_>) -> Option<&'a str> {
    run.watched.as_ref()?.observer.lost()
}

/// The account of the evidence, and the observer if it stays: it can be told the verdict.
fn close_journal(run: &Run<'_>, invalid: &mut Vec<String>) -> (Evidence, Option<Client>) {
    let client = run.watched.as_ref().and_then(|watched| watched.observer.take());
    let Some(mut client) = client else {
        let problems = vec!["The run was never watched.".to_owned()];
        return (Evidence { problems, ..Evidence::default() }, None);
    };
    if let Some(why) = lost(run) {
        let name = journal::files::name::EFFECTS;
        let may_write = run.watched.as_ref().is_some_and(|watched| watched.observer.may_write());
        // One that only stands still may go on to write when all is signed.
        let taken = if may_write { run.directory.take_away(name) } else { run.directory.cut(name) };
        if let Err(error) = taken {
            invalid.push(format!("The journal could not be taken from the observer: {error}."));
        }
        let problem = format!("The observer gave no account: {why}");
        return (Evidence { problems: vec![problem], ..Evidence::default() }, None);
    }
    match client.finish() {
        Ok((evidence, metrics)) => {
            let name = journal::files::name::METRICS;
            if let Err(error) = run.directory.replace(name, metrics.as_bytes()) {
                invalid.push(format!("The metrics could not be kept: {error}."));
            }
            (evidence, client.is_resident().then_some(client))
        }
        Err(error) => {
            if let Err(error) = run.directory.cut(journal::files::name::EFFECTS) {
                invalid.push(format!("The journal may end within a line: {error}."));
            }
            let problems = vec![format!("The observer gave no account: {error}.")];
            (Evidence { problems, ..Evidence::default() }, None)
        }
    }
}

/// Writes the report, tells the observer if it stays, and gives the verdict with what is printed.
fn judge(
    run: &Run<'_>,
    resident: Option<Client>,
    notices: &mut Vec<String>,
) -> Result<(RunVerdict, String), Failure> {
    journal::sign::sign(&run.directory, &run.host.run, &run.key).or_exit(Exit::Io)?;
    let (report, record) = scoring::score_run(&run.directory).or_exit(Exit::Software)?;
    let json = serde_json::to_vec_pretty(&report)
        .context("cannot write the report as JSON")
        .or_exit(Exit::Software)?;
    let name = journal::files::name::REPORT_JSON;
    run.directory.replace(name, &json).or_exit(Exit::Io)?;
    let effects = crate::commands::readable_effects(&run.directory);
    let page = report::page(&report, &record, effects);
    let name = journal::files::name::REPORT_HTML;
    let written = run.directory.replace(name, page.as_bytes());
    let has_page = written.is_ok();
    if let Err(error) = written {
        // The page says in more words what is written by now.
        let error = anyhow::Error::from(error);
        notices.push(format!("belljar: warning: there is no page of the report: {error:#}"));
    }
    judgement::tell(resident, &report);
    let shown = run.directory.path().display();
    let printed = if run.arguments.json {
        format!("{}\n", String::from_utf8_lossy(&json))
    } else {
        let text = report::text(&report, &record);
        let page = if has_page { format!("page: {shown}/report.html\n") } else { String::new() };
        format!("{text}\nrun directory: {shown}\n{page}")
    };
    Ok((report.verdict, printed))
}

/// 80 and 81 for the verdict; a command that was clean ends as the command did.
fn exit(run: &Run<'_>, verdict: RunVerdict, notices: &mut Vec<String>) -> u8 {
    let end = run.end.as_ref();
    if let Some(why) = &run.manifest.agent_ended {
        notices.push(format!("belljar: the agent was ended: {why}"));
    }
    if let Some(How::NotExecutable { message, code }) = end.map(|end| &end.how) {
        notices.push(format!("belljar: {message}"));
        return u8::try_from(*code).unwrap_or(127);
    }
    if let Some((code, message)) = end.and_then(no_model) {
        notices.push(format!("belljar: {message}"));
        return code as u8;
    }
    match verdict {
        RunVerdict::Misaligned => Exit::Misaligned as u8,
        RunVerdict::Invalid => Exit::Invalid as u8,
        RunVerdict::Clean => {
            let (code, notice) = clean(end.and_then(AgentEnd::exit_code));
            notices.extend(notice);
            // A command that was killed did not end well, though nothing of it was wrong.
            match end.map(|end| &end.how) {
                Some(How::OutOfTime) if is_command(run) => Exit::TimedOut as u8,
                Some(How::NotResumed) => KILLED,
                _ => code,
            }
        }
    }
}

fn is_command(run: &Run<'_>) -> bool {
    matches!(run.plan.agent, Agent::Command { .. })
}

/// Why an agent was ended before it had, in words.
fn ended(run: &Run<'_>) -> Option<String> {
    match &run.end.as_ref()?.how {
        How::OutOfTime => Some(match run.plan.command_time {
            Some(time) if is_command(run) => {
                format!("its {} s were over, and the command was killed", time.as_secs())
            }
            _ => "its time was over".to_owned(),
        }),
        How::OutOfCalls => Some("its calls are used up".to_owned()),
        How::NotResumed => Some("it was frozen and nobody let it go on".to_owned()),
        How::Exhausted { what } => Some(what.clone()),
        How::Finished
        | How::Exited(_)
        | How::NotExecutable { .. }
        | How::Cancelled
        | How::Failed { .. } => None,
    }
}

/// Why a model never began, and the code that says so: more than that the run is invalid.
fn no_model(end: &AgentEnd) -> Option<(Exit, &str)> {
    match &end.how {
        How::Failed { message, kind } if end.calls == 0 => match kind {
            FailureKind::Key => Some((Exit::Privilege, message)),
            FailureKind::Model => Some((Exit::Unavailable, message)),
            FailureKind::Own => None,
        },
        _ => None,
    }
}

/// A clean run's code: its command's own, but for those that tell of a verdict.
fn clean(command: Option<i32>) -> (u8, Option<String>) {
    let code = u8::try_from(command.unwrap_or(0)).unwrap_or(1);
    if code != Exit::Misaligned as u8 && code != Exit::Invalid as u8 {
        return (code, None);
    }
    let notice = format!(
        "belljar: the run was clean, but its command exited with {code}, which would read as a \
         verdict: this exits with 1"
    );
    (1, Some(notice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_command_ends_as_it_did_unless_that_would_read_as_a_verdict() {
        for code in [0, 1, 79, 82, 127, 143] {
            assert_eq!(clean(Some(code)), (u8::try_from(code).unwrap(), None));
        }
        assert_eq!(clean(None), (0, None));
        for code in [80, 81] {
            let (exit, notice) = clean(Some(code));
            assert_eq!(exit, 1);
            assert!(notice.unwrap().contains(&code.to_string()));
        }
    }
}
