//! Debian's archive read without touching the machine's own package state.
//!
//! Kernels and `rust-src` may come from another suite than the machine's. Each suite gets a sources
//! file, lists and a cache of its own below `target/`; mirror and key are taken from the machine's
//! own sources, so that apt checks signatures as it always does. Nothing here needs root.

mod sources;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{programs, project};

/// One suite of Debian's archive, as apt sees it with nothing else configured.
pub(crate) struct Suite {
    name: String,
    directory: PathBuf,
}

impl Suite {
    /// Opens a suite such as `trixie-backports` and fetches its index anew.
    ///
    /// # Errors
    ///
    /// When the machine has no Debian sources, or the index cannot be fetched.
    pub(crate) fn open(name: &str) -> Result<Self> {
        let directory = project::directory(project::target().join("debian").join(name))?;
        for below in ["lists/partial", "cache/archives/partial"] {
            project::directory(directory.join(below))?;
        }
        let sources = sources::of_this_machine()?.for_suite(name);
        let write = |file: &str, text: &str| {
            let path = directory.join(file);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write("suite.sources", &sources)?;
        // An empty status file keeps the machine's installed packages out of the answers.
        write("status", "")?;
        let suite = Self { name: name.to_owned(), directory };
        eprintln!("x: reading the package index of {name}");
        programs::run(suite.apt("apt-get").args(["-qq", "update"]))
            .with_context(|| format!("cannot fetch the package index of {name}"))?;
        // `update` succeeds with a warning where a mirror does not answer.
        if !fs::read_dir(suite.directory.join("lists"))?
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
        {
            bail!("cannot fetch the package index of {name}: is the archive reachable?");
        }
        Ok(suite)
    }

    /// Opens the machine's own release.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub(crate) fn of_this_machine() -> Result<Self> {
        Self::open(&sources::codename()?)
    }

    /// Opens the backports of the machine's own release.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub(crate) fn backports() -> Result<Self> {
        Self::open(&format!("{}-backports", sources::codename()?))
    }

    /// Installs a package of this suite with what it needs of it; the rest must be there already.
    ///
    /// # Errors
    ///
    /// When this is not root, or apt cannot do it.
    pub(crate) fn install(&self, package: &str) -> Result<()> {
        eprintln!("x: installing {package} from {}", self.name);
        let mut command = self.apt("apt-get");
        // What is installed counts here, and apt's own lock guards it.
        command.arg("-o").arg("Dir::State::status=/var/lib/dpkg/status");
        command.args(["-q", "-o", "APT::Sandbox::User=root", "-t", &self.name]);
        command.args(["install", "-y", "--no-install-recommends", package]);
        programs::run(command.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr()))
    }

    /// Names of the suite's packages that start with `prefix`, in no order.
    pub(crate) fn packages(&self, prefix: &str) -> Result<Vec<String>> {
        let names = programs::output(self.apt("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Versions that the suite has of a package, in no order.
    pub(crate) fn versions(&self, package: &str) -> Result<Vec<String>> {
        let table = programs::output(self.apt("apt-cache").args(["madison", package]))?;
        Ok(table
            .lines()
            .filter(|line| line.ends_with("Packages"))
            .filter_map(|line| Some(line.split('|').nth(1)?.trim().to_owned()))
            .collect())
    }

    /// Downloads a package (`NAME` or `NAME=VERSION`) and unpacks its files into `into`.
    ///
    /// # Errors
    ///
    /// When the package cannot be downloaded, fails apt's check, or cannot be unpacked.
    pub(crate) fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        eprintln!("x: downloading {package} from {}", self.name);
        let downloads = project::directory(self.directory.join("downloads"))?;
        let result = self.unpack_through(&downloads, package, into);
        // The unpacked files are what is kept; a half download would only be in the way.
        fs::remove_dir_all(&downloads)
            .with_context(|| format!("cannot remove {}", downloads.display()))?;
        result
    }

    fn unpack_through(&self, downloads: &Path, package: &str, into: &Path) -> Result<()> {
        // Run as root, apt fetches as user `_apt`, who may not be able to write here.
        programs::run(
            self.apt("apt-get")
                .args(["-q", "-o", "APT::Sandbox::User=root", "download", package])
                .stdout(std::io::stderr())
                .current_dir(downloads),
        )?;
        let archive = fs::read_dir(downloads)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .with_context(|| format!("apt downloaded no archive for {package}"))?;
        programs::run(programs::command("dpkg-deb").arg("--extract").arg(archive).arg(into))
    }

    fn apt(&self, program: &str) -> std::process::Command {
        let mut command = programs::command(program);
        let mut set = |key: &str, value: PathBuf| {
            command.arg("-o").arg(format!("{key}={}", value.display()));
        };
        set("Dir::Etc::SourceList", self.directory.join("suite.sources"));
        set("Dir::Etc::SourceParts", PathBuf::from("/dev/null"));
        set("Dir::State::Lists", self.directory.join("lists"));
        set("Dir::State::status", self.directory.join("status"));
        set("Dir::Cache", self.directory.join("cache"));
        command
    }
}

/// Sorts names so that `6.12.9` comes before `6.12.10`: runs of digits count as numbers.
pub(crate) fn by_version(left: &str, right: &str) -> std::cmp::Ordering {
    fn numbers(text: &str) -> Vec<u64> {
        text.split(|character: char| !character.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect()
    }
    numbers(left).cmp(&numbers(right)).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_by_number_and_not_by_letter() {
        let mut names =
            vec!["linux-6.12.90+deb12.1-a", "linux-6.12.100+deb12-a", "linux-6.12.90+deb12-a"];
        names.sort_by(|left, right| by_version(left, right));
        assert_eq!(
            names,
            ["linux-6.12.90+deb12-a", "linux-6.12.90+deb12.1-a", "linux-6.12.100+deb12-a"]
        );
    }
}
