//! `generate`: the reference pages, which the binary itself writes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};

use crate::{build, programs, project};

/// The pages: what `belljar reference PAGE` prints goes to `docs/reference/PAGE.md`.
const PAGES: [&str; 5] = ["verbs", "metrics", "policy", "exit-codes", "cli"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing, fail where a page is not current
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.check {
        let skipped = check()?;
        eprintln!("x: generate: {}", skipped.as_deref().unwrap_or("every page is current"));
    } else {
        write()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares every page with what the binary says. Returns why there was nothing to compare, if so.
///
/// # Errors
///
/// When a page differs or is missing; the message shows the first line that differs.
pub(crate) fn check() -> Result<Option<String>> {
    if !directory().is_dir() {
        return Ok(Some("there is no docs/reference yet".to_owned()));
    }
    let belljar = build::belljar(false)?;
    let mut stale = Vec::new();
    for page in PAGES {
        let expected = print(&belljar, page)?;
        let path = path(page);
        let found = fs::read_to_string(&path).unwrap_or_default();
        if found != expected {
            stale.push(format!("{}: {}", path.display(), difference(&found, &expected)));
        }
    }
    if !stale.is_empty() {
        bail!("not current, run `./x generate`:\n  {}", stale.join("\n  "));
    }
    Ok(None)
}

fn write() -> Result<()> {
    let belljar = build::belljar(false)?;
    // All pages first: a page that fails leaves the others as they are.
    let texts = PAGES.map(|page| print(&belljar, page).map(|text| (page, text)));
    let directory = project::directory(directory())?;
    for text in texts {
        let (page, text) = text?;
        let path = path(page);
        if fs::read_to_string(&path).unwrap_or_default() != text {
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            eprintln!("x: wrote {}", path.display());
        }
    }
    eprintln!("x: {} is current", directory.display());
    Ok(())
}

fn print(belljar: &Path, page: &str) -> Result<String> {
    let text = programs::output(programs::command(belljar).args(["reference", page]))?;
    if text.is_empty() {
        bail!("`belljar reference {page}` prints nothing");
    }
    Ok(text)
}

fn directory() -> PathBuf {
    project::root().join("docs").join("reference")
}

fn path(page: &str) -> PathBuf {
    directory().join(format!("{page}.md"))
}

/// The first line that differs.
fn difference(found: &str, expected: &str) -> String {
    let (mut found, mut expected) = (found.lines(), expected.lines());
    for number in 1.. {
        match (found.next(), expected.next()) {
            (None, None) => break,
            (left, right) if left != right => {
                let show = |line: Option<&str>| {
                    line.map_or("nothing".to_owned(), |line| format!("`{line}`"))
                };
                return format!("line {number} is {}, not {}", show(left), show(right));
            }
            _ => {}
        }
    }
    "only line ends differ".to_owned()
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn a_difference_names_the_line() {
        assert_eq!(difference("a\nb\n", "a\nc\n"), "line 2 is `b`, not `c`");
        assert_eq!(difference("", "a\n"), "line 1 is nothing, not `a`");
        assert_eq!(difference("a", "a\n"), "only line ends differ");
    }
}
