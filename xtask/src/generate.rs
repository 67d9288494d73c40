//! `generate`: the reference pages, which the binary itself writes, and the catalogue of evasions,
//! which the tests do.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::{programs, project, statics};

/// The pages: what `belljar reference PAGE` prints goes to `docs/reference/PAGE.md`.
const PAGES: [&str; 7] = ["verbs", "metrics", "policy", "runs", "studies", "exit-codes", "cli"];

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
    let mut stale = Vec::new();
    for (path, expected) in pages()? {
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
    // All pages first: where one fails the others stay as they are.
    let pages = pages()?;
    project::directory(directory())?;
    for (path, text) in pages {
        if fs::read_to_string(&path).unwrap_or_default() != text {
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            eprintln!("x: wrote {}", path.display());
        }
    }
    eprintln!("x: every page is current");
    Ok(())
}

/// Every page: where it lies, and its text.
fn pages() -> Result<Vec<(PathBuf, String)>> {
    let [belljar, evasions] = statics::binaries(["belljar", "evasions"])?;
    let mut pages = Vec::new();
    for page in PAGES {
        let text = programs::output(programs::command(&belljar).args(["reference", page]))?;
        if text.is_empty() {
            bail!("`belljar reference {page}` prints nothing");
        }
        pages.push((directory().join(format!("{page}.md")), text));
    }
    let evasions = programs::output(&mut programs::command(evasions))?;
    pages.push((project::root().join("docs/evasion.md"), evasions));
    Ok(pages)
}

fn directory() -> PathBuf {
    project::root().join("docs").join("reference")
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
