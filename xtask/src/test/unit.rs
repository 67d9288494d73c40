//! Unit and golden tests, under nextest.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{failure, layers::Row, programs, project, statics, supervised};

const LAYER: &str = "unit+golden";

/// Building every test on a slow machine is part of it; nextest limits the single test.
const DEADLINE: Duration = Duration::from_secs(40 * 60);

/// Runs the tests of every crate but `tests`, whose layers need root and a kernel.
///
/// # Errors
///
/// When nextest's output cannot be kept.
pub(super) fn run() -> Result<Row> {
    if programs::find("cargo-nextest").is_none() {
        return Ok(Row::failed(LAYER, "host", "", "no cargo-nextest: run `./x setup --tests`"));
    }
    eprintln!("x: unit and golden tests");
    let mut command = statics::cargo("nextest run");
    command
        .args(["--filterset", "not package(tests)"])
        // A golden file that differs is a failure, never a new golden file.
        .env("INSTA_UPDATE", "no")
        .env("PATH", programs::path());
    let log = project::directory(project::target().join("test"))?.join("unit.log");
    let report = statics::directory().join("nextest/default/junit.xml");
    // A report that an earlier run left would tell of that one.
    let _ = fs::remove_file(&report);
    let start = Instant::now();
    let ended = supervised::run(command, &log, DEADLINE)?;
    let success = ended.status.is_some_and(|status| status.success());
    let mut row = row(&ended.output, success).since(start);
    let skips = skips(&fs::read_to_string(&report).unwrap_or_default());
    row.passed = row.passed.saturating_sub(skips.len() as u64);
    row.skipped += skips.len() as u64;
    row.notes.extend(BTreeSet::from_iter(skips));
    Ok(row)
}

/// Reasons of the tests that found that they cannot run here, one for each. To nextest they passed.
fn skips(report: &str) -> Vec<String> {
    report
        .split("</testcase>")
        .filter_map(|case| {
            let (_, output) = case.split_once("<system-out>")?;
            // Under libtest the line starts with the test's name.
            output.lines().find_map(|line| {
                let (before, reason) = line.split_once("skipped: ")?;
                (before.is_empty() || before.ends_with("... ")).then(|| {
                    let reason = reason.split("</system-out>").next().unwrap_or_default();
                    format!("skipped: {reason}")
                })
            })
        })
        .collect()
}

/// Reads nextest's closing line, `Summary [ 0.8s] 31 tests run: 30 passed (1 slow), 1 failed, 0
/// skipped`, and its failures.
fn row(output: &str, success: bool) -> Row {
    let summary = output.lines().rev().find_map(|line| {
        let line = line.trim_start().strip_prefix("Summary [")?;
        Some(line.split_once(" run: ")?.1)
    });
    let Some(summary) = summary else {
        return Row::failed(LAYER, "host", "", "does not build, or no test ran");
    };
    let count = |word: &str| {
        summary
            .split([',', '(', ')'])
            .find_map(|part| part.trim().strip_suffix(word)?.trim().parse::<u64>().ok())
            .unwrap_or(0)
    };
    let failed = count("failed") + count("timed out") + count("exec failed");
    Row {
        layer: LAYER.to_owned(),
        place: "host".to_owned(),
        passed: count("passed"),
        failed: failed.max((!success).into()),
        skipped: count("skipped"),
        took: Duration::ZERO,
        notes: Vec::new(),
        failures: failure::of_nextest(output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_lines_of_nextest_are_read() {
        let text = "     Summary [   0.812s] 33 tests run: 29 passed (1 slow), 1 failed, 1 timed out, 2 skipped\n        \
            FAIL [   0.010s] ( 3/33) policy::parse an_unknown_key_is_refused\n     \
            TIMEOUT [  60.010s] journal chain::a_chain_holds\n";
        let row = row(text, false);
        assert_eq!((row.passed, row.failed, row.skipped), (29, 2, 2));
        assert_eq!(row.failures.len(), 2);
    }

    #[test]
    fn a_test_that_prints_why_it_cannot_run_is_found_in_the_report() {
        let report = "<testcase name=\"a\"><system-out>skipped: needs root\n</system-out></testcase>\
            <testcase name=\"b\"><system-out>running 1 test\ntest b ... skipped: no BTF\nok\n\
            </system-out></testcase><testcase name=\"c\"><system-out>nothing skipped: at all\n\
            </system-out></testcase>";
        assert_eq!(skips(report), ["skipped: needs root", "skipped: no BTF"]);
    }

    #[test]
    fn tests_that_do_not_build_have_failed() {
        assert_eq!(row("error: could not compile `policy`\n", false).failed, 1);
    }

    #[test]
    fn a_run_that_ends_badly_has_failed_whatever_it_counted() {
        let text = "     Summary [   0.1s] 1 test run: 1 passed, 0 skipped\n";
        assert_eq!(row(text, true).failed, 0);
        assert_eq!(row(text, false).failed, 1);
    }
}
