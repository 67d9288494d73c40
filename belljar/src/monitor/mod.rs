//! `belljar monitor`: recorded runs scored by monitors, and the monitors compared.
//!
//! [`case`] reads a run as monitors get it, [`program`] asks one that is a program, [`truth`] says what is
//! to be found.

mod case;
mod program;
mod truth;

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use indicatif::{ProgressBar, ProgressDrawTarget};
use journal::escape::visible;
use studies::{
    monitor::{
        Answer, BUILT_IN, BuiltIn, Comparison, FIGURE_COLUMNS, POINT_COLUMNS, SCORE_COLUMNS,
        Scored, Truth, View, compare, figure_rows, point_rows, score_rows,
    },
    page,
    table::{csv, json},
    versions::refuse_mixed,
};

use self::truth::Known;
use crate::{
    cli::MonitorArgs,
    exit::{Exit, Failure, OrExit as _},
    run::Interrupt,
    stdout::outln,
};

const PAGE: &str = "monitors.html";

/// A monitor, as the command line names it.
enum Monitor {
    BuiltIn(&'static BuiltIn),
    Program { view: View, command: String },
}

impl Monitor {
    fn read(spelled: &str) -> Result<Self, Failure> {
        if let Some(built_in) = BUILT_IN.iter().find(|it| it.name == spelled) {
            return Ok(Self::BuiltIn(built_in));
        }
        let view = spelled.split_once(':').and_then(|(view, command)| {
            let view = View::ALL.into_iter().find(|it| it.name() == view)?;
            (!command.trim().is_empty()).then(|| (view, command.to_owned()))
        });
        let Some((view, command)) = view else {
            let names: Vec<_> = BUILT_IN
                .iter()
                .map(|it| format!("{} ({}: {})", it.name, it.view.name(), it.doc))
                .collect();
            let message = format!(
                "no monitor is spelled {spelled:?}: there are {}; or transcript:COMMAND, \
                 kernel:COMMAND, both:COMMAND",
                names.join(", ")
            );
            return Err(Failure::new(Exit::Usage, anyhow!(message)));
        };
        Ok(Self::Program { view, command })
    }

    fn name(&self) -> &str {
        match self {
            Self::BuiltIn(built_in) => built_in.name,
            Self::Program { command, .. } => command,
        }
    }

    fn view(&self) -> View {
        match self {
            Self::BuiltIn(built_in) => built_in.view,
            Self::Program { view, .. } => *view,
        }
    }

    fn ask(&self, case: &studies::monitor::Case, limit: Duration, interrupt: &Interrupt) -> Answer {
        match self {
            Self::BuiltIn(built_in) => Answer::Said((built_in.score)(case)),
            Self::Program { view, command } => {
                program::ask(command, &case.question(*view), limit, &|| interrupt.happened())
            }
        }
    }
}

/// What came of one run.
struct Asked {
    truth: Truth,
    answers: Vec<(Answer, Option<f64>)>,
    version: (String, u32),
}

/// Scores runs and compares the monitors.
pub(crate) fn monitor(arguments: &MonitorArgs) -> Result<(), Failure> {
    let monitors = if arguments.monitors.is_empty() {
        BUILT_IN.iter().map(Monitor::BuiltIn).collect()
    } else {
        arguments.monitors.iter().map(|it| Monitor::read(it)).collect::<Result<Vec<_>, _>>()?
    };
    let known = Known::read(&arguments.truth)?;
    let runs = case::find(&arguments.runs)?;
    let interrupt = Interrupt::listen().or_exit(Exit::Os)?;
    let asked = ask_all(arguments, &monitors, &known, &runs, &interrupt)?;
    if interrupt.happened() {
        return Err(Failure::new(Exit::Os, anyhow!("interrupted: nothing was written")));
    }
    let names: Vec<String> = runs.iter().map(|run| run.display().to_string()).collect();
    refuse_mixed(
        names
            .iter()
            .zip(&asked)
            .map(|(name, it)| (name.as_str(), it.version.0.as_str(), it.version.1)),
    )
    .or_exit(Exit::Data)?;
    let truths = asked.iter().map(|it| it.truth.clone()).collect();
    let scored = monitors.iter().enumerate().map(|(at, monitor)| {
        let answers = asked.iter().filter_map(|it| it.answers.get(at).cloned());
        let (answers, seconds) = answers.unzip();
        Scored { monitor: monitor.name().to_owned(), view: monitor.view(), answers, seconds }
    });
    let comparison = compare(names, truths, scored.collect(), arguments.allowed.clone());
    write(&arguments.out, &comparison, &known.sentence())?;
    tell(arguments, &comparison)
}

/// Asks every monitor about every run, some runs at a time.
fn ask_all(
    arguments: &MonitorArgs,
    monitors: &[Monitor],
    known: &Known,
    runs: &[std::path::PathBuf],
    interrupt: &Interrupt,
) -> Result<Vec<Asked>, Failure> {
    let target =
        if arguments.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(runs.len() as u64), target);
    let limit = Duration::from_secs(arguments.seconds.max(1));
    let next = AtomicUsize::new(0);
    let asked: Mutex<Vec<Option<Result<Asked, Failure>>>> =
        Mutex::new(runs.iter().map(|_| None).collect());
    let work = || {
        while let at = next.fetch_add(1, Ordering::Relaxed)
            && let Some(path) = runs.get(at)
            && !interrupt.happened()
        {
            let one = ask_about(path, monitors, known, limit, interrupt);
            asked.lock().expect("no holder panics")[at] = Some(one);
            bar.inc(1);
        }
    };
    thread::scope(|scope| {
        for _ in 0..arguments.jobs.clamp(1, 64) {
            scope.spawn(work);
        }
    });
    bar.finish_and_clear();
    asked.into_inner().expect("no holder panics").into_iter().flatten().collect()
}

fn ask_about(
    path: &Path,
    monitors: &[Monitor],
    known: &Known,
    limit: Duration,
    interrupt: &Interrupt,
) -> Result<Asked, Failure> {
    let read = case::read(path)?;
    let truth = known.of(path, &read.report, &read.manifest);
    let answers = monitors.iter().map(|monitor| {
        let answer = monitor.ask(&read.case, limit, interrupt);
        let seconds = read.case.seconds(&truth, &answer);
        (answer, seconds)
    });
    let answers = answers.collect();
    Ok(Asked { answers, version: (read.manifest.belljar.clone(), read.manifest.format), truth })
}

fn write(out: &Path, comparison: &Comparison, truth: &str) -> Result<(), Failure> {
    fs::create_dir_all(out)
        .with_context(|| format!("cannot create {}", out.display()))
        .or_exit(Exit::CannotCreate)?;
    let files = [
        ("monitors.csv", csv(FIGURE_COLUMNS, &figure_rows(comparison))),
        ("roc.csv", csv(POINT_COLUMNS, &point_rows(comparison))),
        ("scores.csv", csv(SCORE_COLUMNS, &score_rows(comparison))),
        (PAGE, page::monitors(comparison, truth)),
    ];
    for (name, text) in files {
        let path = out.join(name);
        fs::write(&path, text)
            .with_context(|| format!("cannot write {}", path.display()))
            .or_exit(Exit::Io)?;
    }
    Ok(())
}

fn tell(arguments: &MonitorArgs, comparison: &Comparison) -> Result<(), Failure> {
    if arguments.json {
        let rows = json(FIGURE_COLUMNS, &figure_rows(comparison));
        outln!("{}", serde_json::to_string_pretty(&rows).or_exit(Exit::Software)?);
        return Ok(());
    }
    for figures in &comparison.figures {
        let area =
            figures.area.map_or_else(|| "cannot be told".to_owned(), |it| format!("{:.3}", it.0));
        let missing = figures.positives + figures.negatives - figures.answered;
        let silent = if missing > 0 { format!(", no answer on {missing}") } else { String::new() };
        let found = figures.operating.iter().filter_map(|found| {
            Some(format!("{:.0} % at {:.0} % FPR", found.recall?.0 * 100.0, found.allowed * 100.0))
        });
        let found = found.collect::<Vec<_>>().join(", ");
        outln!(
            "{} ({}): AUC {area}, recall {found}{silent}",
            visible(&figures.monitor),
            figures.view.name()
        );
    }
    outln!("{}", arguments.out.join(PAGE).display());
    Ok(())
}
