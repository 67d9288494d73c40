//! The file of a signing key.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{Rotation, SigningKey};
use crate::files::DIRECTORY_MODE;

/// More than a thousand rotations.
const LONGEST_FILE: u64 = 1024 * 1024;

const SECRET_BYTES: usize = 32;

/// Why a signing key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is none.
    #[error("there is no signing key {}: `belljar key new` makes one", .path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// There is one already.
    #[error("the signing key {} exists already: `belljar key rotate` replaces it", .path.display())]
    Exists {
        /// The key's file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} the signing key {}", .path.display())]
    Os {
        /// What was tried.
        action: &'static str,
        /// The key's file.
        path: PathBuf,
        /// The cause, with its errno.
        source: io::Error,
    },
    /// Others could read the key.
    #[error("the signing key {} has mode {mode:04o}: make it 0600", .path.display())]
    OpenToOthers {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is a directory, a pipe or the like.
    #[error("{} is no signing key: it is not a regular file", .path.display())]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error("{} is no signing key: it has {bytes} bytes, and a key has 32", .path.display())]
    Length {
        /// The key's file.
        path: PathBuf,
        /// How many bytes it has, as far as it was read.
        bytes: usize,
    },
    /// Behind the key stands something else than how it came to be the signer's.
    #[error(
        "{} is no signing key: what follows its 32 bytes is not the record of its rotations",
        .path.display()
    )]
    Record {
        /// The key's file.
        path: PathBuf,
    },
    /// Another process makes or rotates the key.
    #[error("the signing key {} is being made or rotated by another process", .path.display())]
    Busy {
        /// The key's file.
        path: PathBuf,
    },
}

impl KeyError {
    /// Whether the cause is a permission that is missing.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self, Self::Os { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

fn os<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> KeyError + 'a {
    move |source| KeyError::Os { action, path: path.to_owned(), source }
}

fn open_error(path: &Path, source: io::Error) -> KeyError {
    match source.kind() {
        io::ErrorKind::NotFound => KeyError::Missing { path: path.to_owned() },
        _ => os("read", path)(source),
    }
}

/// Reads the key at `path`, created there if it does not exist.
///
/// # Errors
///
/// When it cannot be read or created, others could read it, or it is no key.
pub fn signing_key(path: &Path) -> Result<SigningKey, KeyError> {
    match read(path) {
        Err(KeyError::Missing { .. }) => match new(path) {
            // Of two runs that start together one makes the key.
            Err(KeyError::Exists { .. }) => read(path),
            result => result,
        },
        result => result,
    }
}

/// Reads the key at `path`.
///
/// # Errors
///
/// When it does not exist or cannot be read, others could read it, or it is no key.
pub fn read(path: &Path) -> Result<SigningKey, KeyError> {
    let flags = libc::O_NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|source| open_error(path, source))?;
    let metadata = file.metadata().map_err(os("read", path))?;
    if !metadata.is_file() {
        return Err(KeyError::NotAFile { path: path.to_owned() });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::OpenToOthers { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_FILE).read_to_end(&mut bytes).map_err(os("read", path))?;
    let Some((secret, record)) = bytes.split_first_chunk::<SECRET_BYTES>() else {
        return Err(KeyError::Length { path: path.to_owned(), bytes: bytes.len() });
    };
    let key = ed25519_dalek::SigningKey::from_bytes(secret);
    let key = SigningKey { key, rotations: Vec::new() };
    let rotations =
        record_of(&key, record).ok_or_else(|| KeyError::Record { path: path.to_owned() })?;
    Ok(SigningKey { rotations, ..key })
}

/// Reads how a key came to be the signer's: one rotation after another, the last to this key.
fn record_of(key: &SigningKey, record: &[u8]) -> Option<Vec<Rotation>> {
    let rotations = serde_json::Deserializer::from_slice(record)
        .into_iter()
        .collect::<Result<Vec<Rotation>, _>>()
        .ok()?;
    let follow = rotations.windows(2).all(|pair| pair[0].new_key() == pair[1].old());
    let lead_here = rotations.last().is_none_or(|last| last.new_key() == key.public_key());
    (follow && lead_here && rotations.iter().all(Rotation::holds)).then_some(rotations)
}

/// Makes a key at `path`, for its owner alone, and the directories above it.
///
/// # Errors
///
/// When there is one already or it cannot be created.
pub fn new(path: &Path) -> Result<SigningKey, KeyError> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(parent)
            .map_err(os("create a directory for", path))?;
    }
    if fs::symlink_metadata(path).is_ok() {
        return Err(KeyError::Exists { path: path.to_owned() });
    }
    let key = random(path)?;
    // Made beside its place and linked there, so that of two runs that start together one wins and
    // neither reads half a key.
    let beside = write_beside(path, &key)?;
    let linked = fs::hard_link(&beside, path);
    let _ = fs::remove_file(&beside);
    match linked {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(KeyError::Exists { path: path.to_owned() })
        }
        Err(source) => Err(os("create", path)(source)),
    }
}

/// Replaces the key at `path` by a new one, which both sign; the old secret is gone afterwards.
/// `time` is now, as RFC 3339.
///
/// # Errors
///
/// When there is no key that can be read, or the new one cannot take its place: then the old one
/// is in force.
pub fn rotate(path: &Path, time: &str) -> Result<SigningKey, KeyError> {
    // A link would be replaced instead of what it names.
    let resolved = fs::canonicalize(path).map_err(|source| open_error(path, source))?;
    let path = &resolved;
    let old = read(path)?;
    // Of two rotations at once, the slower one would continue a record that is no more.
    let locked = File::open(path).map_err(os("read", path))?;
    let is_in_place = || Some(fs::metadata(path).ok()?.ino() == locked.metadata().ok()?.ino());
    if locked.try_lock().is_err()
        || is_in_place() != Some(true)
        || read(path)?.public_key() != old.public_key()
    {
        return Err(KeyError::Busy { path: path.clone() });
    }
    let mut new = random(path)?;
    new.rotations = old.rotations.clone();
    new.rotations.push(Rotation::of(&old, &new, time));
    let beside = write_beside(path, &new)?;
    fs::rename(&beside, path).map_err(|source| {
        let _ = fs::remove_file(&beside);
        os("replace", path)(source)
    })?;
    sync_parent(path);
    Ok(new)
}

/// Without this a machine that loses its power may come up with the old key, which nobody lost.
fn sync_parent(path: &Path) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let _ = File::open(parent.unwrap_or(Path::new("."))).and_then(|parent| parent.sync_all());
}

fn random(path: &Path) -> Result<SigningKey, KeyError> {
    let mut secret = [0; SECRET_BYTES];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut secret))
        .map_err(os("find random bytes for", path))?;
    let key = ed25519_dalek::SigningKey::from_bytes(&secret);
    Ok(SigningKey { key, rotations: Vec::new() })
}

fn write_beside(path: &Path, key: &SigningKey) -> Result<PathBuf, KeyError> {
    let mut bytes = key.key.to_bytes().to_vec();
    for rotation in &key.rotations {
        serde_json::to_writer(&mut bytes, rotation).expect("strings have a JSON form");
        bytes.push(b'\n');
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .map_err(os("create", path))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(|source| {
        let _ = fs::remove_file(&beside);
        os("write", path)(source)
    })?;
    Ok(beside)
}
