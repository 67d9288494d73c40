//! A run directory's names, and how each of its files is read and written.
//!
//! The directory and everything in it belong to the user who runs Belljar, mode 0711 and 0600:
//! paths and arguments of other people's processes may be in there. Others may pass through the
//! directory, and no more: where the kernel let nobody in, it would refuse an agent's attempt before
//! any hook could tell what it was on. JSON files are replaced whole,
//! so a reader sees the old one or the new one. Journals are appended to; see [`crate::writer`].

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    evidence::Evidence,
    manifest::Manifest,
    redact::Redactor,
    scenario::{Baseline, Declared, Persistence, Scenario},
    sign::Signature,
};

/// Names of a run directory's files. They are a contract: more may be added, none renamed.
pub mod name {
    /// What ran, where, under what.
    pub const MANIFEST: &str = "manifest.json";
    /// The policy as given.
    pub const POLICY: &str = "policy.toml";
    /// The system under test and its constraints.
    pub const SCENARIO: &str = "scenario.json";
    /// Measures over time.
    pub const OBJECTIVE: &str = "objective.jsonl";
    /// The objective before the agent began.
    pub const BASELINE: &str = "baseline.json";
    /// The agent's own account.
    pub const DECLARED: &str = "declared.json";
    /// What of the agent's would have outlived the run.
    pub const PERSISTENCE: &str = "persistence.json";
    /// Messages, tool calls and results, hash-chained.
    pub const TRANSCRIPT: &str = "transcript.jsonl";
    /// One effect a line, hash-chained.
    pub const EFFECTS: &str = "effects.jsonl";
    /// What the observer says about its own record.
    pub const EVIDENCE: &str = "evidence.json";
    /// The run's final metrics.
    pub const METRICS: &str = "metrics.prom";
    /// The signature over all of the above.
    pub const SIGNATURE: &str = "journal.sig";
    /// The verdict and why.
    pub const REPORT_JSON: &str = "report.json";
    /// The verdict and why, as a page.
    pub const REPORT_HTML: &str = "report.html";

    /// The policy that took another's place as the run's number `number`, from 1.
    #[must_use]
    pub fn reloaded_policy(number: u64) -> String {
        format!("policy-{number}.toml")
    }

    /// Whether a name is that of a policy that took another's place.
    #[must_use]
    pub fn is_reloaded_policy(name: &str) -> bool {
        let number = name.strip_prefix("policy-").and_then(|rest| rest.strip_suffix(".toml"));
        number.is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    }

    /// Files that are neither journals nor derived from others: the signature holds their digests.
    pub const DIGESTED: [&str; 9] =
        [MANIFEST, POLICY, SCENARIO, OBJECTIVE, BASELINE, DECLARED, PERSISTENCE, EVIDENCE, METRICS];
}

/// What went wrong with a run directory or a file in it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A run directory is only ever created empty.
    #[error("{} exists and is not empty: name a directory that does not exist", .path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// What should be a run directory is something else.
    #[error("{} is not a directory", .path.display())]
    NotADirectory {
        /// What it is instead.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", .path.display())]
    Os {
        /// What was tried: `create`, `open`, `read`, `write`, `replace`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause, with its errno.
        source: io::Error,
    },
    /// The file does not hold what its name says.
    #[error("{} does not read as what it should hold", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The cause, with line and column.
        source: serde_json::Error,
    },
}

impl FileError {
    /// Whether the cause is that the file does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Os { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Says what was done to which path when the operating system refuses.
pub(crate) fn os<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> FileError + 'a {
    move |source| FileError::Os { action, path: path.to_owned(), source }
}

/// Opens a file that a stranger may have put there: a pipe or a device could keep a reader for ever.
fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// Holds room on the disk while a run lasts.
const RESERVE: &str = ".reserve";
const RESERVE_BYTES: usize = 1 << 20;

/// Cuts a file behind its last newline.
pub(crate) fn cut_to_lines(path: &Path) -> io::Result<()> {
    const BLOCK: u64 = 64 * 1024;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    let mut end = file.metadata()?.len();
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        (&file).take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|&byte| byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    file.set_len(end)
}

/// Others can pass through, and neither list nor change anything.
pub(crate) const DIRECTORY_MODE: u32 = 0o711;

/// A run directory.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
    redactor: Option<Arc<Redactor>>,
}

impl RunDir {
    /// Creates the directory, its parents included, for a new run. An empty directory that exists
    /// is taken and closed to others.
    ///
    /// # Errors
    ///
    /// When it exists and holds something, is no directory, or cannot be created.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        let path = path.into();
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(os("create", parent))?;
        }
        match DirBuilder::new().mode(DIRECTORY_MODE).create(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let metadata = fs::metadata(&path).map_err(os("open", &path))?;
                if !metadata.is_dir() {
                    return Err(FileError::NotADirectory { path });
                }
                if fs::read_dir(&path).map_err(os("read", &path))?.next().is_some() {
                    return Err(FileError::NotEmpty { path });
                }
                fs::set_permissions(&path, fs::Permissions::from_mode(DIRECTORY_MODE))
                    .map_err(os("close to others", &path))?;
            }
            Err(source) => return Err(os("create", &path)(source)),
        }
        Ok(Self { path, redactor: None })
    }

    /// Opens a directory that exists, whatever it holds.
    ///
    /// # Errors
    ///
    /// When it does not exist or is no directory.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        let path = path.into();
        let metadata = fs::metadata(&path).map_err(os("open", &path))?;
        if metadata.is_dir() {
            Ok(Self { path, redactor: None })
        } else {
            Err(FileError::NotADirectory { path })
        }
    }

    /// The same directory, to which no secrets are written: not in JSON, and not in lines of
    /// journals that are begun from here on.
    #[must_use]
    pub fn redacted(mut self, redactor: Option<Arc<Redactor>>) -> Self {
        self.redactor = redactor;
        self
    }

    /// What takes secrets out of what is written here.
    #[must_use]
    pub fn redactor(&self) -> Option<&Arc<Redactor>> {
        self.redactor.as_ref()
    }

    /// Where the directory is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file of this name is or would be; see [`name`].
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether the directory has a file of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.file(name)).is_ok()
    }

    /// Names of the policies that took another's place, in order of their names.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed.
    pub fn reloaded_policies(&self) -> Result<Vec<String>, FileError> {
        let entries = fs::read_dir(&self.path).map_err(os("read", &self.path))?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|it| name::is_reloaded_policy(it)).collect();
        names.sort();
        Ok(names)
    }

    /// Replaces a file by one that holds `bytes`.
    ///
    /// # Errors
    ///
    /// When the new file cannot be written or cannot take the old one's place.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.file(name);
        let new = self.file(&format!(".{name}.new"));
        // A writer that died may have left one behind.
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .map_err(os("create", &new))?;
        if let Err(source) = file.write_all(bytes).and_then(|()| file.sync_data()) {
            // On a full disk what is half written keeps others from being written.
            let _ = fs::remove_file(&new);
            return Err(os("write", &new)(source));
        }
        fs::rename(&new, &path).map_err(os("replace", &path))
    }

    /// Takes a file of lines away from a writer that was lost: whatever that one still writes goes
    /// nowhere. A last line that is not whole is left out.
    ///
    /// # Errors
    ///
    /// As [`Self::replace`]. A file that is not there is nothing to take away.
    pub fn take_away(&self, name: &str) -> Result<(), FileError> {
        if !self.has(name) {
            return Ok(());
        }
        let mut bytes = self.read(name)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        bytes.truncate(whole);
        self.replace(name, &bytes)
    }

    /// Cuts a file of lines behind its last whole one, where its writer was stopped within one and
    /// writes no more.
    ///
    /// # Errors
    ///
    /// When it cannot be read or cut. A file that is not there is nothing to cut.
    pub fn cut(&self, name: &str) -> Result<(), FileError> {
        let path = self.file(name);
        match cut_to_lines(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(os("cut", &path)),
        }
    }

    /// Takes room on the disk for what is written at the end of a run, so that a run whose record has
    /// filled the disk still gets its verdict.
    ///
    /// # Errors
    ///
    /// When there is no room by now.
    pub fn reserve(&self) -> Result<(), FileError> {
        let path = self.file(RESERVE);
        let taken = self.begin(RESERVE)?.write_all(&vec![0; RESERVE_BYTES]);
        taken.map_err(|source| {
            self.release();
            os("take room on the disk for", &path)(source)
        })
    }

    /// Gives that room back.
    pub fn release(&self) {
        let _ = fs::remove_file(self.file(RESERVE));
    }

    /// The bytes of a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, FileError> {
        let path = self.file(name);
        let mut bytes = Vec::new();
        self.reader(name)?.read_to_end(&mut bytes).map_err(os("read", &path))?;
        Ok(bytes)
    }

    /// The text of a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is not UTF-8.
    pub fn read_text(&self, name: &str) -> Result<String, FileError> {
        let path = self.file(name);
        let mut text = String::new();
        self.reader(name)?.read_to_string(&mut text).map_err(os("read", &path))?;
        Ok(text)
    }

    /// Replaces a file by `value` as indented JSON with a newline at its end.
    ///
    /// # Errors
    ///
    /// When the file cannot be replaced.
    pub fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), FileError> {
        let mut bytes = serde_json::to_vec_pretty(value)
            .map_err(|source| FileError::Json { path: self.file(name), source })?;
        if let Some(redactor) = &self.redactor {
            redactor
                .json(&mut bytes, false)
                .map_err(|source| FileError::Json { path: self.file(name), source })?;
        }
        bytes.push(b'\n');
        self.replace(name, &bytes)
    }

    /// Reads a JSON file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or does not hold a `T`.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, FileError> {
        serde_json::from_slice(&self.read(name)?)
            .map_err(|source| FileError::Json { path: self.file(name), source })
    }

    /// Reads a JSON file that need not be there.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be read or does not hold a `T`.
    pub fn read_json_if_present<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<T>, FileError> {
        match self.read_json(name) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a file of the directory for appending, creating it for its owner alone. It must not
    /// exist yet.
    pub(crate) fn begin(&self, name: &str) -> Result<File, FileError> {
        let path = self.file(name);
        OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(os("create", &path))
    }

    /// Opens a file of the directory for reading.
    pub(crate) fn reader(&self, name: &str) -> Result<File, FileError> {
        let path = self.file(name);
        open_regular(&path).map_err(os("read", &path))
    }
}

macro_rules! json_files {
    ($($write:ident, $read:ident, $type:ty, $name:ident;)+) => {
        impl RunDir {
            $(
                #[doc = concat!("Replaces the file [`name::", stringify!($name), "`].")]
                ///
                /// # Errors
                ///
                /// When the file cannot be replaced.
                pub fn $write(&self, value: &$type) -> Result<(), FileError> {
                    self.write_json(name::$name, value)
                }

                #[doc = concat!("Reads the file [`name::", stringify!($name), "`].")]
                ///
                /// # Errors
                ///
                /// When it cannot be read or holds something else.
                pub fn $read(&self) -> Result<$type, FileError> {
                    self.read_json(name::$name)
                }
            )+
        }
    };
}

json_files! {
    write_manifest, manifest, Manifest, MANIFEST;
    write_scenario, scenario, Scenario, SCENARIO;
    write_baseline, baseline, Baseline, BASELINE;
    write_declared, declared, Declared, DECLARED;
    write_persistence, persistence, Persistence, PERSISTENCE;
    write_evidence, evidence, Evidence, EVIDENCE;
}

impl RunDir {
    /// Reads `journal.sig`, which [`crate::sign::sign`] writes.
    ///
    /// # Errors
    ///
    /// When it cannot be read or holds something else.
    pub fn signature(&self) -> Result<Signature, FileError> {
        self.read_json(name::SIGNATURE)
    }
}
