//! Debian packages.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::cluster::NoCluster;
use crate::{debian::Suite, programs};

/// A package, how to see that it is there, and what for.
struct Package {
    name: &'static str,
    reason: &'static str,
    is_there: fn() -> bool,
    only_tests: bool,
}

const PACKAGES: &[Package] = &[
    Package {
        name: "gcc",
        reason: "Rust links with it",
        is_there: || programs::find("cc").is_some(),
        only_tests: false,
    },
    Package {
        name: "libc6-dev",
        reason: "Rust links against it",
        is_there: || compiler_has("crt1.o") && compiler_has("libc.a"),
        only_tests: false,
    },
    Package {
        name: "qemu-system-x86",
        reason: "boots the kernel matrix",
        is_there: has_sound_qemu,
        only_tests: true,
    },
    Package {
        name: "python3-pytest",
        reason: "is ordinary work that a sandbox must not hinder",
        is_there: || dpkg_has("python3-pytest"),
        only_tests: true,
    },
    Package {
        name: "python3-pip",
        reason: "fetches the packages that real agents are written with",
        is_there: || programs::find("pip").is_some(),
        only_tests: true,
    },
    Package {
        name: "sqlite3",
        reason: "is ordinary work that a sandbox must not hinder, and what the scenario migrate is made of",
        is_there: || programs::find("sqlite3").is_some(),
        only_tests: true,
    },
    Package {
        name: "supervisor",
        reason: "is what the scenario crash-loop is made of",
        is_there: || programs::find("supervisord").is_some(),
        only_tests: true,
    },
    Package {
        name: "erlang-base",
        reason: "is what the scenario otp is made of",
        is_there: || programs::find("erl_call").is_some(),
        only_tests: true,
    },
    Package {
        name: "postgresql",
        reason: "is what the scenario migrate-postgres is made of",
        is_there: has_postgres,
        only_tests: true,
    },
    Package {
        name: "libnss-wrapper",
        reason: "gives PostgreSQL a user with a name in migrate-postgres",
        is_there: || dpkg_has("libnss-wrapper"),
        only_tests: true,
    },
    Package {
        name: "make",
        reason: "is ordinary work that a sandbox must not hinder",
        is_there: || programs::find("make").is_some(),
        only_tests: true,
    },
    Package {
        name: "chromium",
        reason: "opens the report's page",
        is_there: || programs::find("chromium").is_some(),
        only_tests: true,
    },
    Package {
        name: "busybox-static",
        reason: "is the userland of the kernel matrix",
        is_there: || dpkg_has("busybox-static"),
        only_tests: true,
    },
];

/// Installs the packages that are missing.
///
/// # Errors
///
/// When packages are missing and this is not root, or apt cannot install them.
pub(super) fn install(tests: bool) -> Result<()> {
    let missing = PACKAGES
        .iter()
        .filter(|package| (tests || !package.only_tests) && !(package.is_there)())
        .collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.iter().map(|package| package.name).collect::<Vec<_>>();
    let reasons = missing
        .iter()
        .map(|package| format!("{} ({})", package.name, package.reason))
        .collect::<Vec<_>>()
        .join(", ");
    if programs::find("apt-get").is_none() {
        bail!("missing: {reasons}; there is no apt-get: install them with your system's tool");
    }
    if !programs::is_root() {
        bail!(
            "missing: {reasons}; installing packages needs root: apt-get install {}",
            names.join(" ")
        );
    }
    eprintln!("x: installing {reasons}");
    let _no_cluster = names.contains(&"postgresql").then(NoCluster::set).transpose()?;
    let install =
        || programs::run(apt_get().args(["install", "-y", "--no-install-recommends"]).args(&names));
    // The machine's index may be too old, or not there at all: then it is fetched first.
    if !programs::succeeds(apt_get().args(["install", "--simulate"]).args(&names))
        || install().is_err()
    {
        programs::run(apt_get().arg("update"))?;
        install().with_context(|| format!("cannot install {reasons}"))?;
    }
    if tests && !has_sound_qemu() {
        Suite::backports()?
            .install("qemu-system-x86")
            .context("cannot install a QEMU that emulates the kernel matrix without fault")?;
    }
    Ok(())
}

/// Whether there is a QEMU of version 8 or newer. Older ones compute wrong flags for cmpxchg16b
/// (before 8.0 `helper_cmpxchg16b_unlocked` reads them from a stale state), with which Linux's
/// allocator ends in a double fault now and then; without that instruction Linux 7.3 has no task storage.
fn has_sound_qemu() -> bool {
    programs::find("qemu-system-x86_64").is_some()
        && programs::output(programs::command("qemu-system-x86_64").arg("--version"))
            .is_ok_and(|text| qemu_major(&text).is_some_and(|major| major >= 8))
}

/// Reads `QEMU emulator version 10.0.2 (…)`.
fn qemu_major(version: &str) -> Option<u32> {
    version.split_once(" version ")?.1.split('.').next()?.parse().ok()
}

/// Whether there is a server of PostgreSQL's, of whatever version.
fn has_postgres() -> bool {
    std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut versions| {
        versions.any(|it| it.is_ok_and(|it| it.path().join("bin/postgres").is_file()))
    })
}

fn apt_get() -> Command {
    let mut command = programs::command("apt-get");
    command.arg("-q").env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
    command
}

/// Whether the C compiler finds a file of the C library; it answers a bare name where it does not.
fn compiler_has(file: &str) -> bool {
    programs::find("cc").is_some()
        && programs::output(programs::command("cc").arg(format!("-print-file-name={file}")))
            .is_ok_and(|path| path.trim().starts_with('/'))
}

fn dpkg_has(package: &str) -> bool {
    let mut query = programs::command("dpkg-query");
    query.args(["--show", "--showformat", "${db:Status-Status}", package]);
    query.output().is_ok_and(|output| output.stdout == b"installed")
}

#[cfg(test)]
mod tests {
    use super::qemu_major;

    #[test]
    fn the_version_of_qemu_is_read() {
        assert_eq!(
            qemu_major("QEMU emulator version 10.0.2 (Debian 1:10.0.2)\nCopyright"),
            Some(10)
        );
        assert_eq!(qemu_major("QEMU emulator version 7.2.22 (Debian)"), Some(7));
        assert_eq!(qemu_major("something else"), None);
    }
}
