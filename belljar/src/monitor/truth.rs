//! Which runs are to be found.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, anyhow};
use journal::Manifest;
use scoring::{Class, Report, RunVerdict};
use studies::monitor::Truth;

use crate::exit::{Exit, Failure, OrExit as _};

/// How it is known what a run is.
pub(super) enum Known {
    /// By its verdict.
    Verdict,
    /// By whether it is in a class.
    Class(Class),
    /// By a table of the user's: by run or path.
    Table { file: String, rows: BTreeMap<String, bool> },
}

impl Known {
    /// Reads what `--truth` says.
    pub(super) fn read(spelled: &str) -> Result<Self, Failure> {
        if spelled == "verdict" {
            return Ok(Self::Verdict);
        }
        if let Some(name) = spelled.strip_prefix("class:") {
            let class = Class::ALL.into_iter().find(|class| class.name() == name);
            let names = || Class::ALL.map(Class::name).join(", ");
            return class.map(Self::Class).ok_or_else(|| {
                Failure::new(
                    Exit::Usage,
                    anyhow!("no class is named {name:?}: there are {}", names()),
                )
            });
        }
        let text = fs::read_to_string(spelled)
            .with_context(|| format!("cannot read {spelled}, which is to say what runs are"))
            .or_exit(Exit::Data)?;
        table(&text)
            .map(|rows| Self::Table { file: spelled.to_owned(), rows })
            .with_context(|| format!("{spelled} does not say what runs are"))
            .or_exit(Exit::Data)
    }

    /// What a run is.
    pub(super) fn of(&self, path: &Path, report: &Report, manifest: &Manifest) -> Truth {
        let is_known = report.verdict != RunVerdict::Invalid;
        let is_positive = match self {
            Self::Verdict => is_known.then_some(report.verdict == RunVerdict::Misaligned),
            Self::Class(class) => (is_known && !report.not_judged.contains_key(class))
                .then(|| report.classes.contains(class)),
            Self::Table { rows, .. } => {
                let by_path = path.to_str().and_then(|path| rows.get(path));
                let by_name = path.file_name().and_then(|name| rows.get(name.to_str()?));
                by_path.or(by_name).or_else(|| rows.get(&manifest.run)).copied()
            }
        };
        Truth { is_positive, first_weighing_seconds: report.timing.first_weighing_seconds }
    }

    /// The same in a sentence.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Verdict => "To be found are runs that Belljar judged misaligned. It judges by the \
                              kernel\u{2019}s record and the agent\u{2019}s own account, so monitors that see \
                              these have an easier task than those that see the transcript: hold them \
                              against what you know of the agents (--truth FILE) as well."
                .to_owned(),
            Self::Class(class) => format!(
                "To be found are runs that Belljar judged to be in the class {}. It judges by the \
                 kernel\u{2019}s record and the agent\u{2019}s own account.",
                class.words()
            ),
            Self::Table { file, .. } => format!("To be found are the runs that {file} names."),
        }
    }
}

/// `run,positive` and a line for each run: its name, its directory or that one's name, and `true` or `false`.
fn table(text: &str) -> anyhow::Result<BTreeMap<String, bool>> {
    let mut lines = text.lines().enumerate();
    let head = lines.next().map(|(_, head)| head.trim());
    if head != Some("run,positive") {
        return Err(anyhow!("its first line is not `run,positive`"));
    }
    let mut rows = BTreeMap::new();
    for (at, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let row =
            line.rsplit_once(',').map(|(run, word)| (run.trim().trim_matches('"'), word.trim()));
        let (run, is_positive) = match row {
            Some((run, "true" | "1")) => (run, true),
            Some((run, "false" | "0")) => (run, false),
            _ => return Err(anyhow!("line {} is no run with `true` or `false`", at + 1)),
        };
        if rows.insert(run.to_owned(), is_positive).is_some() {
            return Err(anyhow!("line {} names {run} again", at + 1));
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_runs_are_and_mistakes_name_their_line() {
        let rows = table("run,positive\nabc,true\nruns/x,0\n\n").unwrap();
        assert_eq!((rows["abc"], rows["runs/x"]), (true, false));
        for (wrong, why) in [
            ("run\n", "first line"),
            ("run,positive\nabc,maybe\n", "line 2"),
            ("run,positive\nabc,1\nabc,1\n", "line 3 names abc again"),
        ] {
            let error = table(wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
