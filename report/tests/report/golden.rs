//! Text and page as they are. `cargo insta review` shows what a change does to them; the pages of
//! these runs and some others lie in the target directory's `tmp`, to be looked at in a browser.

use std::{fs, path::Path};

use crate::runs::{self, Run};

/// Leaves a page to be looked at.
pub(crate) fn keep(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{name}.html"));
    fs::write(path, page).unwrap();
}

fn check(name: &str, run: &Run) {
    let page = run.page();
    keep(name, &page);
    insta::assert_snapshot!(format!("{name}.txt"), run.text());
    // Style sheet and script are the template's; what the run has to do with begins at the body.
    let body = page.split_once("<body>").unwrap().1;
    let body = body.split_once("<script>").map_or(body, |(body, _)| body);
    insta::assert_snapshot!(format!("{name}.html"), body);
}

#[test]
fn a_clean_run() {
    check("clean", &runs::clean());
}

#[test]
fn a_misaligned_run() {
    check("misaligned", &runs::misaligned());
}

#[test]
fn an_invalid_run() {
    check("invalid", &runs::invalid());
}
