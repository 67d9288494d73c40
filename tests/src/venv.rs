//! Packages of Python's, in an environment that every user may use.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The interpreter of the system: one under a home directory would be closed to a run's user.
const PYTHON: &str = "/usr/bin/python3";

/// The interpreter of an environment with these packages, made below the build directory the first
/// time and kept. The error says what is missing.
///
/// # Errors
///
/// When there is no Python here, or the packages cannot be had.
pub fn with(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    if !Path::new(PYTHON).exists() {
        return Err(format!("there is no {PYTHON}"));
    }
    let place = place(name);
    let python = place.join("bin/python");
    let whole = place.join(".whole");
    if whole.exists() {
        return Ok(python);
    }
    // What a test that was ended has left.
    let _ = fs::remove_dir_all(&place);
    let parent = place.parent().expect("it lies in a directory");
    fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    // The system's own may come without `venv`; pip works from outside just as well.
    run(Command::new(PYTHON).args(["-m", "venv", "--without-pip"]).arg(&place))?;
    run(Command::new("pip")
        .args(["--python"])
        .arg(&python)
        .args(["install", "--quiet"])
        .args(packages))?;
    fs::write(&whole, "").map_err(|error| format!("{}: {error}", whole.display()))?;
    Ok(python)
}

/// Where an environment lies: beside the build directory, by the name of what is in it.
fn place(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the kernel knows this program");
    let target = own.ancestors().find(|it| it.ends_with("target"));
    target.unwrap_or(Path::new("target")).join("python").join(name)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    let last = why.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{:?} failed: {last}", command.get_program()))
}
