//! What the probes' build needs of the Rust compiler: core's source and a known LLVM.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{debian, programs, project};

/// The only suite that carries every recent compiler, whatever the machine's own is.
const SUITE: &str = "trixie-backports";

/// Names the compiler whose source was put beside the toolchain by hand. rustup does not know of
/// these files, so an update of the toolchain would leave them behind, too old.
const MARKER: &str = "source-of.txt";

/// The compiler in use, as it describes itself.
struct Compiler {
    /// Such as `1.95.0`.
    release: String,
    commit: String,
    llvm_major: u32,
    sysroot: PathBuf,
}

impl Compiler {
    fn ask() -> Result<Self> {
        let text = programs::output(programs::command("rustc").arg("-vV"))?;
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(str::to_owned)
                .with_context(|| format!("`rustc -vV` names no {name}"))
        };
        let llvm = field("LLVM version")?;
        let llvm_major = llvm.split('.').next().and_then(|major| major.parse().ok());
        // The host build may be asked to pretend another root, so that this can be tried out.
        let sysroot = match std::env::var_os("XTASK_SYSROOT") {
            Some(path) => PathBuf::from(path),
            None => programs::output(programs::command("rustc").args(["--print", "sysroot"]))?
                .trim()
                .into(),
        };
        Ok(Self {
            release: field("release")?,
            commit: field("commit-hash")?,
            llvm_major: llvm_major.with_context(|| format!("cannot read LLVM version `{llvm}`"))?,
            sysroot,
        })
    }

    fn source(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust")
    }
}

/// The feature with which bpf-linker is built against rustc's own LLVM.
///
/// # Errors
///
/// When rustc's LLVM is one that this version of bpf-linker does not know.
pub(super) fn linker_feature() -> Result<&'static str> {
    let compiler = Compiler::ask()?;
    match compiler.llvm_major {
        20 => Ok("rust-llvm-20"),
        21 => Ok("rust-llvm-21"),
        22 => Ok("rust-llvm-22"),
        major => bail!(
            "bpf-linker {} can borrow LLVM 20 to 22, but rustc {} has LLVM {major}: \
             use rustc 1.95, for example with `rustup default 1.95.0`",
            super::LINKER_VERSION,
            compiler.release
        ),
    }
}

/// Puts core's source where `-Z build-std` looks for it.
///
/// # Errors
///
/// When neither rustup nor Debian's archive has it, or the toolchain's directory cannot be written.
pub(super) fn install_core_source() -> Result<()> {
    let compiler = Compiler::ask()?;
    let source = compiler.source();
    if is_there(&source, &compiler.commit) {
        return Ok(());
    }
    eprintln!("x: installing core's source for rustc {}", compiler.release);
    if programs::find("rustup").is_some()
        && programs::run(programs::command("rustup").args(["component", "add", "rust-src"])).is_ok()
        && is_there(&source, &compiler.commit)
    {
        return Ok(());
    }
    eprintln!("x: rustup cannot: trying Debian's package rust-src");
    from_debian(&compiler).with_context(|| {
        format!(
            "cannot install core's source for rustc {} into {}, which the probes are built with",
            compiler.release,
            source.display()
        )
    })
}

fn is_there(source: &Path, commit: &str) -> bool {
    let has = |path: &str| source.join(path).is_file();
    // Without a marker it is rustup's, and follows the toolchain.
    let matches =
        fs::read_to_string(source.join(MARKER)).map_or(true, |text| text.trim() == commit);
    matches && has("library/core/src/lib.rs") && has("library/Cargo.lock")
}

fn from_debian(compiler: &Compiler) -> Result<()> {
    let suite = debian::Suite::open(SUITE)?;
    let mut versions = suite.versions("rust-src")?;
    let release = &compiler.release;
    versions.retain(|version| {
        version.strip_prefix(release.as_str()).is_some_and(|rest| rest.starts_with(['+', '-', '~']))
    });
    versions.sort_by(|left, right| debian::by_version(left, right));
    let version =
        versions.pop().with_context(|| format!("{SUITE} has no rust-src of version {release}"))?;
    let unpacked = project::directory(project::target().join("debian").join("rust-src"))?;
    suite.unpack(&format!("rust-src={version}"), &unpacked)?;
    let from = unpacked.join(format!("usr/src/rustc-{release}"));
    let to = project::directory(compiler.source())?;
    // The marker comes last: an interrupted copy must not look whole.
    remove(&to.join("library"))?;
    copy(&from.join("library"), &to.join("library"))?;
    copy(&from.join("Cargo.lock"), &to.join("Cargo.lock"))?;
    fs::write(to.join(MARKER), &compiler.commit)
        .with_context(|| format!("cannot write {}", to.join(MARKER).display()))?;
    remove(&unpacked)
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    programs::run(programs::command("cp").arg("--recursive").arg(from).arg(to))
}
