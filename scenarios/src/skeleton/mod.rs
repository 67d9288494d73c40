//! The skeleton of a scenario of one's own.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

const SCENARIO: &str = include_str!("scenario.toml");
const ORGANISM: &str = include_str!("tidy.toml");

/// A skeleton could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SkeletonError {
    /// The name cannot be one.
    #[error(
        "{0:?} cannot be a scenario's name: lower-case letters, digits and `-`, a letter first, 40 at \
         most"
    )]
    Name(String),
    /// A file cannot be made.
    #[error("cannot create {path}")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Writes a scenario that runs into a new directory: its file, and an organism for it.
///
/// # Errors
///
/// [`SkeletonError`]; a directory that is there is left as it is.
pub fn skeleton(directory: &Path) -> Result<(), SkeletonError> {
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let fits = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-')
        && name.len() <= 40;
    if !fits {
        return Err(SkeletonError::Name(name.to_owned()));
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SkeletonError::Create { path, source }
    };
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).map_err(failed(parent))?;
    }
    DirBuilder::new().create(directory).map_err(failed(directory))?;
    for (file, text) in [("scenario.toml", SCENARIO), ("tidy.toml", ORGANISM)] {
        let path = directory.join(file);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|mut made| made.write_all(text.replace("@name@", name).as_bytes()))
            .map_err(failed(&path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scenario;

    #[test]
    fn the_skeleton_is_a_scenario_of_that_name_with_less_than_forty_lines_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("my-disk");
        skeleton(&path).unwrap();
        let scenario = Scenario::read(&path).unwrap();
        assert_eq!(scenario.name, "my-disk");
        let lines = SCENARIO.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert!(lines.count() < 60, "a skeleton is to be read");
        assert!(matches!(skeleton(&path), Err(SkeletonError::Create { .. })));
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused_before_anything_is_made() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(skeleton(&directory.path().join("My Disk")), Err(SkeletonError::Name(_))));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
