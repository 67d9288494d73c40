//! Rules on source files: length, docs, where unsafe code may stand.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::project;

const MAX_LINES: usize = 600;

/// Files and directories in which unsafe code may stand.
const UNSAFE: &[&str] = &[
    "probes/",
    "observer/src/sys.rs",
    "sandbox/src/sys.rs",
    // The acts of the system tests are system calls that no wrapper may change.
    "tests/src/bin/actor/sys.rs",
    // aya-build passes its own environment on to the nested build and takes no variables.
    "observer/build.rs",
];

/// Directories without source of ours.
const SKIPPED: &[&str] = &["target", "runs", ".git"];

pub(super) fn check() -> Result<Vec<String>> {
    let root = project::root();
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    let mut broken = Vec::new();
    for file in files {
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let path = file.strip_prefix(root).expect("the walk starts at the root");
        broken.extend(broken_in(&path.to_string_lossy(), &text));
    }
    Ok(broken)
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if !SKIPPED.iter().any(|skipped| name == *skipped) {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn broken_in(path: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let generated = text.lines().take(3).any(|line| line.contains("@generated"));
    let lines = text.lines().count();
    if lines > MAX_LINES && !generated {
        broken
            .push(format!("{path} has {lines} lines, more than {MAX_LINES}: split it by subject"));
    }
    if path.ends_with("/src/lib.rs") && !text.starts_with("//! ") {
        broken.push(format!(
            "{path} does not open with what the crate is for, what it does not do, and who calls it"
        ));
    }
    if path.ends_with("/src/lib.rs") && !declares_unsafe(path, text) {
        broken.push(format!("{path} does not say `#![forbid(unsafe_code)]`"));
    }
    if !UNSAFE.iter().any(|allowed| path.starts_with(allowed)) {
        let found = text.lines().enumerate().filter(|(_, line)| is_unsafe(line));
        broken.extend(found.map(|(index, _)| {
            format!(
                "{path}:{} holds unsafe code, which may stand only in {}",
                index + 1,
                UNSAFE.join(", ")
            )
        }));
    }
    broken
}

/// A crate with a `sys.rs` can only deny: `forbid` would not let the module allow it.
fn declares_unsafe(path: &str, text: &str) -> bool {
    let sys = path.replace("lib.rs", "sys.rs");
    text.contains("#![forbid(unsafe_code)]")
        || (UNSAFE.contains(&sys.as_str()) && text.contains("#![deny(unsafe_code)]"))
        || UNSAFE.iter().any(|allowed| path.starts_with(allowed))
}

/// Whether a line of code opens something unsafe; comments and quoted text do not count.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let unquoted = code.split('"').step_by(2).collect::<String>();
    let mut words = unquoted
        .split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|word| !word.is_empty());
    words.any(|word| word == "unsafe")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_is_told_from_words_about_it() {
        assert!(is_unsafe("    unsafe { read(pointer) }"));
        assert!(is_unsafe("#[unsafe(no_mangle)]"));
        assert!(!is_unsafe("// unsafe { }"));
        assert!(!is_unsafe("#![forbid(unsafe_code)]"));
        assert!(!is_unsafe(&"let text = 'unsafe {';".replace('\'', "\"")));
    }

    #[test]
    fn broken_rules_name_file_and_line() {
        let long = "//! Docs.\n#![forbid(unsafe_code)]\n".to_owned() + &"\n".repeat(MAX_LINES);
        assert_eq!(
            broken_in("policy/src/lib.rs", &long),
            ["policy/src/lib.rs has 602 lines, more than 600: split it by subject"]
        );
        let broken = broken_in("policy/src/lib.rs", "mod a;\nunsafe fn f() {}\n");
        assert_eq!(broken.len(), 3, "{broken:?}");
        assert!(broken[2].starts_with("policy/src/lib.rs:2 holds unsafe code"));
        assert!(broken_in("probes/src/main.rs", "unsafe fn f() {}\n").is_empty());
    }
}
