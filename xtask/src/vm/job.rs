//! What a machine runs, and the small system around it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{initramfs::Archive, machine::Time};
use crate::{programs, statics::Statics};

/// Tells a layer of the machine's observer, where it came up.
const NAME_OBSERVER: &str =
    "[ -s /run/observer ] && export BELLJAR_TEST_OBSERVER=\"$(cat /run/observer)\"\n";

/// Files for a machine and the scripts that it runs one after another.
pub(crate) struct Job {
    /// Path on the host, path in the machine.
    pub(crate) files: Vec<(PathBuf, String)>,
    /// Names of the layers that it runs; none for a shell command.
    pub(crate) layers: Vec<String>,
    /// Name and text of each script.
    parts: Vec<(String, String)>,
    /// What the machine's clocks go by.
    pub(crate) time: Time,
}

impl Job {
    /// One shell command, whose part is named `shell`.
    pub(crate) fn shell(command: &str) -> Self {
        Self {
            files: Vec::new(),
            layers: Vec::new(),
            parts: vec![("shell".to_owned(), format!("{command}\n"))],
            time: Time::Host,
        }
    }

    /// The system layers: each is a test executable that drives the static binary.
    pub(crate) fn layers(statics: &Statics, filter: Option<&str>) -> Self {
        let mut job = Self {
            files: vec![
                (statics.belljar.clone(), "/bin/belljar".to_owned()),
                (statics.actor.clone(), "/bin/actor".to_owned()),
            ],
            layers: Vec::new(),
            parts: vec![("observer".to_owned(), include_str!("observer.sh").to_owned())],
            time: Time::Host,
        };
        for (layer, executable) in &statics.layers {
            let path = format!("/tests/{layer}");
            let filter = filter.map(|text| format!(" '{}'", text.replace('\'', r"'\''")));
            let text = format!(
                "{NAME_OBSERVER}exec {path} --test-threads 1 --show-output{}\n",
                filter.unwrap_or_default()
            );
            job.files.push((executable.clone(), path));
            job.layers.push(layer.clone());
            job.parts.push((layer.clone(), text));
        }
        job
    }

    /// Puts init, busybox, accounts and the job's own files into an archive.
    ///
    /// # Errors
    ///
    /// When there is no busybox, or a file does not exist.
    pub(super) fn pack(&self, archive: &mut Archive) -> Result<()> {
        archive.console();
        archive.script("/init", include_str!("init.sh"));
        for directory in ["proc", "sys", "run", "tmp", "root", "var/log", "usr/bin"] {
            archive.directory(directory);
        }
        archive.text(
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        );
        archive.text("/etc/group", "root:x:0:\nnogroup:x:65534:\n");
        archive.text("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n");
        pack_busybox(archive)?;
        for (host, path) in &self.files {
            if !host.is_file() {
                bail!("{} is not a file", host.display());
            }
            archive.file(host, path);
        }
        for (number, (name, text)) in self.parts.iter().enumerate() {
            archive.script(&format!("/job/{number:02}-{name}"), text);
        }
        Ok(())
    }
}

/// Adds busybox and a link for each of its programs.
fn pack_busybox(archive: &mut Archive) -> Result<()> {
    let busybox = programs::find("busybox")
        .context("there is no busybox: run `./x setup --tests`, or install busybox-static")?;
    if !is_static(&busybox)? {
        bail!(
            "{} is not static, so that no machine can start it: run `./x setup --tests`, or \
             install busybox-static",
            busybox.display()
        );
    }
    let applets = programs::output(programs::command(&busybox).arg("--list"))?;
    archive.file(&busybox, "/bin/busybox");
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        archive.link(&format!("/bin/{applet}"), "busybox");
    }
    // Scripts and scenarios name these by their usual paths.
    for applet in ["env", "id", "test"] {
        archive.link(&format!("/usr/bin/{applet}"), "/bin/busybox");
    }
    Ok(())
}

/// Whether an ELF file names no interpreter (a program header of type 3).
fn is_static(path: &Path) -> Result<bool> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let number = |at: usize, size: usize| {
        let field = bytes.get(at..at + size)?;
        Some(field.iter().rev().fold(0_usize, |value, byte| (value << 8) | usize::from(*byte)))
    };
    let headers = || {
        let (offset, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
        Some((0..count).map(move |index| offset + index * size))
    };
    let headers = headers().with_context(|| format!("{} is not an ELF file", path.display()))?;
    Ok(headers.into_iter().all(|at| number(at, 4) != Some(3)))
}
