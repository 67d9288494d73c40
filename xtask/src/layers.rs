//! Results of the test layers, wherever they ran, and the table that ends `x test`.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::failure::{self, Failure};

/// What one layer came to in one place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) layer: String,
    /// `host`, or the kernel of a machine.
    pub(crate) place: String,
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// How long the tests took, builds included where they are part of the layer.
    pub(crate) took: Duration,
    /// Why something was skipped or the layer broke off.
    pub(crate) notes: Vec<String>,
    pub(crate) failures: Vec<Failure>,
}

impl Row {
    /// A layer that cannot run in a place; it counts as one skipped test.
    pub(crate) fn skipped(layer: &str, place: &str, reason: &str) -> Self {
        Self { skipped: 1, notes: vec![reason.to_owned()], ..Self::empty(layer, place) }
    }

    /// A step without tests of its own, such as a lint: one test that passes or fails.
    pub(crate) fn step(layer: &str, place: &str, passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into(), ..Self::empty(layer, place) }
    }

    /// A layer that broke off after `output`: what had passed counts, and one failure more.
    pub(crate) fn failed(layer: &str, place: &str, output: &str, reason: &str) -> Self {
        let mut row = read(layer, place, output, None);
        row.notes.insert(0, reason.to_owned());
        row
    }

    fn empty(layer: &str, place: &str) -> Self {
        Self {
            layer: layer.to_owned(),
            place: place.to_owned(),
            passed: 0,
            failed: 0,
            skipped: 0,
            took: Duration::ZERO,
            notes: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// The same row of what began at `start` and has ended just now.
    pub(crate) fn since(self, start: Instant) -> Self {
        Self { took: start.elapsed(), ..self }
    }
}

/// Reads the output of a libtest executable that ran with `--show-output`.
///
/// A test that finds that it cannot run prints `skipped: REASON` and returns; it counts as
/// skipped. A test that has figures to tell prints `told: FIGURES`. An exit code other than 0 without a failed test counts as one failure: the process died.
pub(crate) fn read(layer: &str, place: &str, output: &str, code: Option<i32>) -> Row {
    let mut row = Row::empty(layer, place);
    let mut reasons = BTreeSet::new();
    let mut printed_skips = 0;
    let mut single = (0, 0, 0);
    for line in output.lines() {
        if let Some(told) = line.strip_prefix("told: ") {
            row.notes.push(told.to_owned());
        } else if let Some(reason) = line.strip_prefix("skipped: ") {
            printed_skips += 1;
            reasons.insert(reason.to_owned());
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            row.passed += count(counts, "passed");
            row.failed += count(counts, "failed");
            row.took += finished_in(counts).unwrap_or_default();
            let ignored = count(counts, "ignored");
            if ignored > 0 {
                reasons.insert("marked as ignored".to_owned());
            }
            row.skipped += ignored;
        } else if line.starts_with("test ") {
            single.0 += u64::from(line.ends_with("... ok"));
            single.1 += u64::from(line.ends_with("... FAILED"));
            single.2 += u64::from(line.contains("... ignored"));
        }
    }
    let ended = row.passed + row.failed + row.skipped > 0;
    if !ended {
        // It broke off: the lines of single tests tell how far it came.
        (row.passed, row.failed, row.skipped) = single;
    }
    let skips = printed_skips.min(row.passed);
    row.passed -= skips;
    row.skipped += skips;
    row.notes.extend(reasons);
    row.failures = failure::of_libtest(output);
    if row.failed == 0 && code != Some(0) {
        row.failed = 1;
        if let Some(code) = code {
            row.notes.insert(0, format!("ended with exit code {code}"));
        }
    }
    row
}

fn count(counts: &str, what: &str) -> u64 {
    counts
        .split([';', '.'])
        .filter_map(|part| part.trim().strip_suffix(what))
        .find_map(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

/// What libtest says at the end of its closing line: `finished in 361.02s`.
fn finished_in(counts: &str) -> Option<Duration> {
    let (_, seconds) = counts.split_once("finished in ")?;
    Duration::try_from_secs_f64(seconds.trim_end().strip_suffix('s')?.parse().ok()?).ok()
}

/// Prints the table, what the failed tests said, and the closing line; whether something ran and
/// nothing failed.
pub(crate) fn summarize(rows: &[Row]) -> bool {
    println!();
    println!(
        "{:<12} {:<6} {:>7} {:>7} {:>7} {:>7}",
        "layer", "where", "passed", "failed", "skipped", "seconds"
    );
    for row in rows {
        let Row { layer, place, passed, failed, skipped, took, notes, failures: _ } = row;
        let seconds = took.as_secs();
        let line =
            format!("{layer:<12} {place:<6} {passed:>7} {failed:>7} {skipped:>7} {seconds:>7}  ");
        println!("{}", format!("{line}{}", notes.join("; ")).trim_end());
    }
    for row in rows {
        for Failure { test, said } in &row.failures {
            println!("\nfailed in {} on {}: {test}", row.layer, row.place);
            said.iter().for_each(|line| println!("    {line}"));
        }
    }
    let sum = |count: fn(&Row) -> u64| rows.iter().map(count).sum::<u64>();
    let (passed, failed) = (sum(|row| row.passed), sum(|row| row.failed));
    let skipped = sum(|row| row.skipped);
    println!();
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    passed > 0 && failed == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_prints_why_it_cannot_run_is_skipped_and_not_passed() {
        let output = "running 3 tests\ntest a ... ok\ntest b ... ok\ntest c ... ignored\n\n\
                      ---- b stdout ----\nskipped: no trampolines\n\n\
                      test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n";
        let row = read("probe", "host", output, Some(0));
        assert_eq!((row.passed, row.failed, row.skipped), (1, 0, 2));
        assert_eq!(row.notes, ["marked as ignored", "no trampolines"]);
    }

    #[test]
    fn a_layer_that_dies_counts_what_had_passed_and_one_failure() {
        let output = "running 3 tests\ntest a ... ok\n";
        let row = read("probe", "6.1", output, Some(139));
        assert_eq!((row.passed, row.failed, row.skipped), (1, 1, 0));
        assert_eq!(row.notes, ["ended with exit code 139"]);
        assert_eq!(Row::failed("probe", "6.1", "", "the machine stopped").failed, 1);
    }

    #[test]
    fn a_layer_with_no_tests_that_ends_well_neither_passes_nor_fails() {
        let output = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1.50s\n";
        let row = read("probe", "6.1", output, Some(0));
        assert_eq!((row.passed, row.failed, row.skipped), (0, 0, 0));
        assert_eq!(row.took, Duration::from_millis(1500));
    }
}
