//! Installing PostgreSQL without the database that Debian makes at its first installation, and starts.

use std::{fs, io, path::PathBuf};

use anyhow::{Context as _, Result};

/// Where Debian's packages look what to make of a first installation, after their own file.
const DIRECTORY: &str = "/etc/postgresql-common/createcluster.d";
const SETTING: &str = "create_main_cluster = false\n";

/// As long as it lives, an installation makes no database. Afterwards the machine's own settings are as
/// they were.
pub(super) struct NoCluster {
    file: PathBuf,
    /// Whether the directory is there for this alone.
    made: bool,
}

impl NoCluster {
    /// # Errors
    ///
    /// When the setting cannot be written.
    pub(super) fn set() -> Result<Self> {
        let made = !fs::exists(DIRECTORY).unwrap_or(false);
        let file = PathBuf::from(DIRECTORY).join("belljar-setup.conf");
        fs::create_dir_all(DIRECTORY)
            .and_then(|()| fs::write(&file, SETTING))
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self { file, made })
    }
}

impl Drop for NoCluster {
    fn drop(&mut self) {
        let removed = fs::remove_file(&self.file)
            .and_then(|()| if self.made { fs::remove_dir(DIRECTORY) } else { Ok(()) });
        match removed {
            // The packages may keep something of their own there by now.
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                eprintln!("x: cannot remove {}: {error}", self.file.display());
            }
            _ => {}
        }
    }
}
