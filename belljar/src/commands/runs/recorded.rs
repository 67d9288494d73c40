//! Recorded runs, beside the live ones: list, show, query.

use std::{
    io::ErrorKind,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::anyhow;
use archive::{Filter, Index, IndexError, Made, QueryError, Recorded};
use indicatif::ProgressBar;
use journal::{clock::Clock, escape::visible};
use serde_json::{Value, json};

use super::{act::short, belljar_if_any, live::RunState, table};
use crate::{
    cli::{ListArgs, OutputArgs, Since},
    exit::{Exit, Failure, OrExit as _},
    stdout::{out, outln},
};

pub(super) fn list(arguments: &ListArgs) -> Result<(), Failure> {
    let ListArgs { output, verdict, class, scenario, agent, since, limit, .. } = arguments;
    let filter = Filter {
        run: None,
        verdict: verdict.clone(),
        class: class.clone(),
        scenario: scenario.clone(),
        agent: agent.clone(),
        since: since.as_ref().map(time),
        limit: *limit,
    };
    let belljar = belljar_if_any();
    let is_judged = verdict.is_some() || class.is_some() || since.is_some();
    let mut live: Vec<RunState> = match &belljar {
        Some(belljar) if !is_judged => states(belljar)?,
        _ => Vec::new(),
    };
    live.retain(|run| {
        let is = |wanted: &Option<String>, found: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| found.as_ref().is_some_and(|it| glob(wanted, it)))
        };
        is(scenario, &run.scenario) && is(agent, &run.agent)
    });
    let (mut recorded, mut found) = (Vec::new(), None);
    if !arguments.live
        && let Some(index) = open(output)?
    {
        found = Some(index.found().len());
        recorded = index.list(&filter).map_err(failure)?;
        // What goes on has no verdict yet.
        recorded.retain(|run| {
            let is_live = |belljar: &sandbox::Belljar| {
                run.run.as_deref().is_some_and(|name| belljar.is_live(name))
            };
            !belljar.as_ref().is_some_and(is_live)
        });
    }
    if arguments.json {
        let all = json!({ "live": live, "recorded": recorded });
        outln!("{}", serde_json::to_string_pretty(&all).or_exit(Exit::Software)?);
        return Ok(());
    }
    if live.is_empty() && recorded.is_empty() {
        outln!("{}", nothing(arguments, found));
        return Ok(());
    }
    let rows = live.iter().map(live_row).chain(recorded.iter().map(row));
    let head =
        ["RUN", "VERDICT", "CLASSES", "SCENARIO", "AGENT", "TIER", "BEGAN", "EFFECTS", "DIRECTORY"];
    out!("{}", table::text(&head, rows.collect()));
    Ok(())
}

/// Why no run is listed, where so many were found in the output directory, if that is there.
fn nothing(arguments: &ListArgs, found: Option<usize>) -> String {
    let place = arguments.output.directory.display().to_string();
    let place = visible(&place);
    let one = arguments.scenario.is_some() || arguments.agent.is_some();
    let which = if one { "no live run of this kind" } else { "no live run" };
    match found {
        None if arguments.live => which.to_owned(),
        None => format!("{which}, and there is no directory {place}"),
        Some(0) => format!("{which}, and no recorded one in {place}"),
        Some(1) => format!("{which}, and none of this kind in {place}, where 1 run is recorded"),
        Some(found) => {
            format!("{which}, and none of this kind in {place}, where {found} runs are recorded")
        }
    }
}

fn states(belljar: &sandbox::Belljar) -> Result<Vec<RunState>, Failure> {
    let live = belljar.live_runs().or_exit(Exit::Os)?;
    // A run that ends while it is looked at is no live run.
    Ok(live.iter().filter_map(|run| RunState::of(run).ok()).collect())
}

fn live_row(run: &RunState) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        run.run.clone(),
        run.words(),
        String::new(),
        text(&run.scenario),
        text(&run.agent),
        run.tier.map(|tier| tier.number().to_string()).unwrap_or_default(),
        run.start.as_deref().map(short).unwrap_or_default(),
        String::new(),
        run.directory.as_ref().map(|it| it.display().to_string()).unwrap_or_default(),
    ]
}

fn row(run: &Recorded) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        text(&run.run),
        run.verdict.clone(),
        run.classes.join(" "),
        text(&run.scenario),
        text(&run.agent),
        run.tier.map(|tier| tier.to_string()).unwrap_or_default(),
        run.start.as_deref().map(short).unwrap_or_default(),
        run.effects.to_string(),
        run.path.clone(),
    ]
}

pub(super) fn show(name: &str, output: &OutputArgs, as_json: bool) -> Result<(), Failure> {
    let live = belljar_if_any().map(|belljar| states(&belljar)).transpose()?.unwrap_or_default();
    if let Some(run) = live.iter().find(|run| run.run == name) {
        if as_json {
            outln!("{}", serde_json::to_string_pretty(run).or_exit(Exit::Software)?);
        } else {
            out!("{}", run.details());
        }
        return Ok(());
    }
    let filter = Filter { run: Some(name.trim_end_matches('/').to_owned()), ..Filter::default() };
    let mut found = Vec::new();
    let mut names: Vec<String> = live.into_iter().map(|run| run.run).collect();
    if let Some(index) = open(output)? {
        found = index.list(&filter).map_err(failure)?;
        if found.is_empty() {
            let all = index.list(&Filter::default()).map_err(failure)?;
            names.extend(all.into_iter().filter_map(|run| run.run));
        }
    }
    if found.is_empty() {
        let place = output.directory.display();
        let help = match names.len() {
            1..=20 => policy::did_you_mean(name, names.iter().map(String::as_str)),
            _ => "see `belljar runs list`".to_owned(),
        };
        let message = format!("{} is neither live nor recorded in {place}: {help}", visible(name));
        return Err(Failure::new(Exit::Usage, anyhow!(message)));
    }
    if as_json {
        // A run that was copied is there more than once.
        outln!("{}", serde_json::to_string_pretty(&found).or_exit(Exit::Software)?);
        return Ok(());
    }
    for run in &found {
        out!("{}", details(run));
    }
    Ok(())
}

fn details(run: &Recorded) -> String {
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let mut lines = vec![
        format!("run {}: {}", or_unknown(&run.run), run.verdict),
        format!(
            "{} in {}, tier {}, mode {}",
            or_unknown(&run.agent),
            or_unknown(&run.scenario),
            run.tier.map_or_else(|| "unknown".to_owned(), |tier| tier.to_string()),
            or_unknown(&run.mode),
        ),
        format!("from {} to {}", or_unknown(&run.start), or_unknown(&run.end)),
        format!(
            "kernel {}, {} probes, on {}",
            or_unknown(&run.kernel),
            run.probe_set.as_deref().unwrap_or("no"),
            or_unknown(&run.host)
        ),
        format!(
            "{}, {}, {} lost; the directory is {}",
            counted(run.effects, "effect"),
            counted(run.violations, "violation"),
            run.dropped,
            run.journal.name()
        ),
    ];
    lines.extend(run.reasons.iter().map(|reason| format!("  - {reason}")));
    lines.push(format!("directory: {}", run.path));
    let line = |line: String| visible(&line).into_owned() + "\n";
    lines.into_iter().map(line).collect()
}

/// `1 effect`, `2 effects`.
fn counted(number: impl Into<i128>, what: &str) -> String {
    let number = number.into();
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

pub(super) fn query(
    sql: &str,
    output: &OutputArgs,
    limit: Duration,
    as_json: bool,
    as_csv: bool,
) -> Result<(), Failure> {
    let Some(index) = open(output)? else {
        let message = format!("there is no directory {}", output.directory.display());
        return Err(Failure::new(Exit::Data, anyhow!(message)));
    };
    let answer = index.query(sql, limit).map_err(failure)?;
    if as_json {
        let columns = &answer.columns;
        let object =
            |row: Vec<Value>| columns.iter().cloned().zip(row).collect::<serde_json::Map<_, _>>();
        let rows: Vec<_> = answer.rows.into_iter().map(object).collect();
        outln!("{}", serde_json::to_string_pretty(&rows).or_exit(Exit::Software)?);
        return Ok(());
    }
    let cell = |value: Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        value => value.to_string(),
    };
    let rows = answer.rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect();
    let columns: Vec<_> = answer.columns.iter().map(|name| visible(name)).collect();
    let head: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
    out!("{}", if as_csv { table::csv(&head, rows) } else { table::text(&head, rows) });
    Ok(())
}

/// Opens the index; none where there is no output directory, so that nothing was ever recorded.
pub(super) fn open(output: &OutputArgs) -> Result<Option<Index>, Failure> {
    let bar = ProgressBar::new(0);
    let mut progress = |read: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(read);
    };
    let opened = Index::open(&output.directory, output.rebuild, &mut progress);
    bar.finish_and_clear();
    let index = match opened {
        Err(IndexError::Root { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error @ IndexError::Sql(_)) => return Err(Failure::new(Exit::Io, error)),
        opened => opened.or_exit(Exit::Data)?,
    };
    let runs = index.found().len();
    match &index.made {
        None => {}
        Some(Made::New) => eprintln!("belljar: the run index is new: {runs} read"),
        Some(Made::Anew { why }) => {
            eprintln!("belljar: the run index is made anew ({why}): {runs} read");
        }
        Some(Made::InMemory { why }) => {
            eprintln!("belljar: the run index cannot be kept ({}): {runs} read", visible(why));
        }
    }
    Ok(Some(index))
}

fn failure(error: QueryError) -> Failure {
    let exit = match &error {
        QueryError::Sql { .. } | QueryError::Slow { .. } => Exit::Usage,
        QueryError::Index(_) | QueryError::Json(_) => Exit::Io,
    };
    Failure::new(exit, error)
}

/// Seconds since the Unix epoch.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn time(since: &Since) -> String {
    match since {
        Since::Time(text) => text.clone(),
        Since::Age(age) => {
            let seconds = i128::from(now()) - i128::from(age.as_secs());
            Clock::new(seconds * 1_000_000_000).rfc3339(0)
        }
    }
}

/// Whether a text is what a pattern says, where `*` stands for any letters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|&at| rest.is_char_boundary(at))
                .any(|at| glob(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters() {
        assert!(glob("organism:*", "organism:honest"));
        assert!(glob("*o*t", "honest"));
        assert!(glob("honest", "honest"));
        assert!(!glob("honest", "honester"));
        assert!(!glob("llm:*", "organism:x"));
    }
}
