//! A directory of a test's own, with what a run needs beside its sandbox.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// A test's directory: the actor, a signing key's place, run directories, files to act on.
/// Everybody may enter it, so that only the policy stands between a run and what lies here.
#[derive(Debug)]
pub struct World {
    root: PathBuf,
    actor: PathBuf,
    _directory: Option<TempDir>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Makes it below the directory for temporary files.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("bjt-")
            .tempdir()
            .expect("a temporary directory can be made");
        let root = fs::canonicalize(directory.path()).expect("the directory is there");
        open_to_all(&root, 0o755);
        let actor = root.join("actor");
        let world = Self { root, actor, _directory: Some(directory) };
        for private in ["key", "runs"] {
            fs::create_dir(world.path(private)).expect("the world is writable");
        }
        fs::copy(built("actor"), &world.actor).expect("the actor is built beside the tests");
        open_to_all(&world.actor, 0o755);
        world
    }

    /// A part of it, for one test of several that share a run.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[must_use]
    pub fn part(&self, name: &str) -> Self {
        Self { root: self.directory(name), actor: self.actor.clone(), _directory: None }
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// The program that acts, where every user may run it.
    #[must_use]
    pub fn actor(&self) -> PathBuf {
        self.actor.clone()
    }

    /// Makes a directory, and its parents, that everybody may write to.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn directory(&self, relative: impl AsRef<Path>) -> PathBuf {
        let mut path = self.root.clone();
        for part in relative.as_ref().components() {
            path.push(part);
            if !path.is_dir() {
                fs::create_dir(&path).expect("the world is writable");
                open_to_all(&path, 0o777);
            }
        }
        path
    }

    /// Makes a file that everybody may write to, and the directories above it.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn file(&self, relative: impl AsRef<Path>) -> PathBuf {
        if let Some(parent) = relative.as_ref().parent() {
            self.directory(parent);
        }
        let path = self.path(relative);
        fs::write(&path, "content\n").expect("the world is writable");
        open_to_all(&path, 0o666);
        path
    }
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("root owns the world");
}

/// The binary under test: `BELLJAR_BIN`, or the one that was built beside the tests.
#[must_use]
pub fn belljar() -> PathBuf {
    std::env::var_os("BELLJAR_BIN").map_or_else(|| built("belljar"), PathBuf::from)
}

/// A program of the same build; a machine of the matrix has them all in one place.
pub(crate) fn built(name: &str) -> PathBuf {
    if crate::in_machine() {
        return Path::new("/bin").join(name);
    }
    let own = std::env::current_exe().expect("the kernel knows this program");
    // Cargo puts test executables into `deps` below the directory of the binaries.
    let directory =
        own.parent().and_then(Path::parent).expect("a build directory is two levels up");
    directory.join(name)
}

/// Words of a command line.
pub fn words<const N: usize>(words: [&dyn AsRef<OsStr>; N]) -> Vec<std::ffi::OsString> {
    words.iter().map(|word| word.as_ref().to_owned()).collect()
}
