//! Which kernels the matrix has, and how Debian brings them.

use std::{
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};

use crate::{
    debian::{self, Suite},
    project,
};

/// A kernel of the matrix: Debian's cloud flavour, which has BTF and no drivers to wait for.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kernel {
    #[value(name = "6.1")]
    V6_1,
    #[value(name = "6.12")]
    V6_12,
    #[value(name = "7.3")]
    V7_3,
}

/// A kernel image that lies on this machine.
pub(crate) struct Image {
    /// The package that it came from, which names the exact version.
    pub(crate) package: String,
    pub(crate) path: PathBuf,
}

/// Where a kernel is found in the archive.
struct Source {
    suite: &'static str,
    /// Package names that may hold the image, best first.
    prefixes: &'static [&'static str],
}

/// How long a downloaded kernel is used before the archive is asked for a newer one.
const FRESH: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const FLAVOUR: &str = "-cloud-amd64";

impl Kernel {
    pub(crate) const ALL: [Self; 3] = [Self::V6_1, Self::V6_12, Self::V7_3];

    /// How many processors its machine has. One makes an emulated machine faster by a third; another
    /// shows what happens when programs run at once, and the newest kernel preempts programs less.
    pub(super) fn processors(self) -> u32 {
        match self {
            Self::V7_3 => 2,
            Self::V6_1 | Self::V6_12 => 1,
        }
    }

    fn source(self) -> Source {
        match self {
            Self::V6_1 => Source { suite: "bookworm", prefixes: &["linux-image-6.1."] },
            Self::V6_12 => Source { suite: "bookworm-backports", prefixes: &["linux-image-6.12."] },
            // From 7.0 on `linux-image-*` is empty and the image lies in `linux-binary-*`.
            Self::V7_3 => Source {
                suite: "trixie-backports",
                prefixes: &["linux-binary-7.3.", "linux-binary-unsigned-7.3."],
            },
        }
    }

    /// Finds the kernel's image, downloading it if none is kept or the kept one is a week old.
    ///
    /// # Errors
    ///
    /// When no image is kept and the archive cannot be reached or has none.
    pub(crate) fn image(self) -> Result<Image> {
        let directory = project::target().join("vm/kernels").join(self.to_string());
        let kept = Image::kept(&directory);
        if let Some(image) = kept.as_ref().filter(|_| is_fresh(&directory)) {
            return Ok(Image { package: image.package.clone(), path: image.path.clone() });
        }
        match (self.download(&directory), kept) {
            (Ok(image), _) => Ok(image),
            (Err(error), Some(image)) => {
                eprintln!("x: using the kept {}: {error:#}", image.package);
                Ok(image)
            }
            (Err(error), None) => Err(error.context(format!("there is no kernel {self}"))),
        }
    }

    fn download(self, directory: &Path) -> Result<Image> {
        let source = self.source();
        let suite = Suite::open(source.suite)?;
        let package = source
            .prefixes
            .iter()
            .map(|prefix| suite.packages(prefix))
            .find_map(|names| match names {
                Ok(names) => newest(&names).map(Ok),
                Err(error) => Some(Err(error)),
            })
            .with_context(|| format!("{} has no such kernel package", source.suite))??;
        let image = directory.join("vmlinuz");
        if Image::kept(directory).is_none_or(|kept| kept.package != package) {
            let unpacked = project::directory(directory.join("unpacked"))?;
            suite.unpack(&package, &unpacked)?;
            let found = find_image(&unpacked)
                .with_context(|| format!("the package {package} holds no vmlinuz"))?;
            fs::rename(&found, &image)
                .with_context(|| format!("cannot keep {}", image.display()))?;
            fs::remove_dir_all(&unpacked)
                .with_context(|| format!("cannot remove {}", unpacked.display()))?;
        }
        // Written last: it tells that the image beside it is whole, and when it was looked up.
        let note = directory.join("package");
        fs::write(&note, &package).with_context(|| format!("cannot write {}", note.display()))?;
        Ok(Image { package, path: image })
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V7_3 => "7.3",
        })
    }
}

impl Image {
    fn kept(directory: &Path) -> Option<Self> {
        let path = directory.join("vmlinuz");
        let package = fs::read_to_string(directory.join("package")).ok()?;
        path.is_file().then_some(Self { package, path })
    }
}

fn is_fresh(directory: &Path) -> bool {
    let written = File::open(directory.join("package"))
        .and_then(|file| file.metadata())
        .and_then(|metadata| metadata.modified());
    written.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age < FRESH))
}

/// The newest cloud kernel among package names; a signed one where there is one.
fn newest(names: &[String]) -> Option<String> {
    let newest_ending_in = |end: &str| {
        let mut fitting: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(end)).collect();
        fitting.sort_by(|left, right| debian::by_version(left, right));
        fitting.last().map(|name| format!("{name}{end}"))
    };
    newest_ending_in(FLAVOUR).or_else(|| newest_ending_in(&format!("{FLAVOUR}-unsigned")))
}

/// The image lies in `boot`, or beside the modules since 7.0.
fn find_image(unpacked: &Path) -> Option<PathBuf> {
    let entries = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
    let in_boot = entries(unpacked.join("boot"))
        .find(|entry| entry.file_name().to_string_lossy().starts_with("vmlinuz"))
        .map(|entry| entry.path());
    in_boot.or_else(|| {
        entries(unpacked.join("usr/lib/modules"))
            .map(|entry| entry.path().join("vmlinuz"))
            .find(|path| path.is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_signed_cloud_kernel_is_taken() {
        let names = [
            "linux-image-6.12.95+deb12-cloud-amd64-unsigned",
            "linux-image-6.12.90+deb12.1-cloud-amd64",
            "linux-image-6.12.90+deb12-cloud-amd64",
            "linux-image-6.12.9+deb12-cloud-amd64",
            "linux-image-6.12.94+deb12-amd64",
            "linux-image-6.12.90+deb12-cloud-amd64-dbg",
        ]
        .map(str::to_owned);
        assert_eq!(newest(&names).as_deref(), Some("linux-image-6.12.90+deb12.1-cloud-amd64"));
        assert_eq!(newest(&names[..1]), Some(names[0].clone()));
        assert_eq!(newest(&[]), None);
    }
}
