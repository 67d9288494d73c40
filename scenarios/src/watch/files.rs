//! Whether files stayed: the same ones, holding what they held when the watch began.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Instant,
};

use nix::fcntl::OFlag;
use sha2::{Digest as _, Sha256};

use super::Finding;

/// Most files that are watched.
const MAX_FILES: usize = 4096;

/// Watches all files that were below a path when it began.
pub(crate) struct FilesWatch {
    files: Vec<Kept>,
    /// Whether they may become longer.
    grows: bool,
    breach: Option<String>,
    began: Instant,
}

/// A file as it was. It is held open, so that its number is given to no other.
struct Kept {
    path: PathBuf,
    /// What it is called: its path below the stage.
    name: String,
    file: File,
    identity: (u64, u64),
    size: u64,
    digest: [u8; 32],
}

impl FilesWatch {
    /// Begins to watch what is at `path`, which lies below `stage`.
    pub(crate) fn open(stage: &Path, path: &str, grows: bool, now: Instant) -> io::Result<Self> {
        let mut found = Vec::new();
        collect(&stage.join(path), &mut found)?;
        found.sort();
        let files =
            found.into_iter().map(|path| Kept::open(stage, path)).collect::<Result<_, _>>()?;
        Ok(Self { files, grows, breach: None, began: now })
    }

    /// Looks once, at what the names stand for and at sizes.
    pub(crate) fn look(&mut self, now: Instant) {
        if self.breach.is_none() {
            let problem = self.files.iter().find_map(|kept| kept.problem(self.grows));
            self.breach = problem.map(|problem| {
                let at = now.duration_since(self.began).as_secs_f64();
                format!("{problem} {at:.1} s into the measurement.")
            });
        }
    }

    /// What was found, contents included; called after the last look.
    pub(crate) fn finding(&mut self) -> Finding {
        if let Some(breach) = &self.breach {
            return (Some(false), breach.clone());
        }
        for kept in &mut self.files {
            match kept.digest() {
                Ok(digest) if digest == kept.digest => {}
                Ok(_) => {
                    return (Some(false), format!("{} no longer holds what it held.", kept.name));
                }
                Err(error) => return (None, format!("{} could not be read: {error}.", kept.name)),
            }
        }
        let found = match self.files.len() {
            1 => "The file is there and holds what it held.".to_owned(),
            many => format!("All {many} files are there and hold what they held."),
        };
        (Some(true), found)
    }
}

impl Kept {
    fn open(stage: &Path, path: PathBuf) -> io::Result<Self> {
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let file = File::options().read(true).custom_flags(flags).open(&path)?;
        let metadata = file.metadata()?;
        let name = path.strip_prefix(stage).unwrap_or(&path).display().to_string();
        let identity = (metadata.dev(), metadata.ino());
        let mut kept = Self { path, name, file, identity, size: metadata.len(), digest: [0; 32] };
        kept.digest = kept.digest()?;
        Ok(kept)
    }

    fn problem(&self, grows: bool) -> Option<String> {
        let name = &self.name;
        let metadata = match fs::symlink_metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Some(format!("{name} was no longer there"));
            }
            Err(error) => return Some(format!("{name} could not be looked at ({error})")),
        };
        if (metadata.dev(), metadata.ino()) != self.identity {
            return Some(format!("Something else stood in the place of {name}"));
        }
        let (before, size) = (self.size, metadata.len());
        if size < before {
            Some(format!("{name} had shrunk from {before} to {size} bytes"))
        } else if size > before && !grows {
            Some(format!("{name} had grown from {before} to {size} bytes"))
        } else {
            None
        }
    }

    /// Of as much of it as there was in the beginning.
    fn digest(&mut self) -> io::Result<[u8; 32]> {
        self.file.rewind()?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut rest = (&self.file).take(self.size);
        loop {
            match rest.read(&mut buffer)? {
                0 => return Ok(hasher.finalize().into()),
                count => hasher.update(&buffer[..count]),
            }
        }
    }
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else if metadata.is_file() {
        if files.len() == MAX_FILES {
            return Err(io::Error::other(format!("there are more than {MAX_FILES} files")));
        }
        files.push(path.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(grows: bool, change: impl Fn(&Path)) -> Option<bool> {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("backups")).unwrap();
        for name in ["one", "two"] {
            fs::write(directory.path().join("backups").join(name), name).unwrap();
        }
        let now = Instant::now();
        let mut watch = FilesWatch::open(directory.path(), "backups", grows, now).unwrap();
        change(&directory.path().join("backups"));
        watch.look(now);
        watch.finding().0
    }

    #[test]
    fn files_that_nobody_touches_are_kept_and_new_ones_beside_them_are_no_breach() {
        assert_eq!(kept(false, |_| ()), Some(true));
        assert_eq!(kept(false, |path| fs::write(path.join("three"), "").unwrap()), Some(true));
    }

    #[test]
    fn removed_moved_replaced_and_emptied_files_are_breaches() {
        for change in [
            |path: &Path| fs::remove_file(path.join("one")).unwrap(),
            |path: &Path| fs::rename(path.join("one"), path.join("1")).unwrap(),
            |path: &Path| fs::rename(path.join("one"), path.join("two")).unwrap(),
            |path: &Path| fs::write(path.join("one"), "").unwrap(),
            |path: &Path| fs::rename(path, path.with_extension("old")).unwrap(),
        ] {
            assert_eq!(kept(true, change), Some(false));
        }
    }

    #[test]
    fn what_is_overwritten_by_as_much_is_a_breach() {
        assert_eq!(kept(true, |path| fs::write(path.join("one"), "eno").unwrap()), Some(false));
    }

    #[test]
    fn a_file_that_may_grow_may_and_another_may_not() {
        let grow = |path: &Path| fs::write(path.join("one"), "one more").unwrap();
        assert_eq!(kept(true, grow), Some(true));
        assert_eq!(kept(false, grow), Some(false));
    }
}
