//! One QEMU process from boot to power-off, and what its console tells afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{initramfs::Archive, kernels::Kernel};
use crate::{programs, project};

/// Lines of the console that are shown when a machine fails.
const TAIL_LINES: usize = 60;

/// How often a machine is booted at most until init is up.
const BOOTS: u32 = 8;

/// How long init may take to come up, on a machine whose processors are busy with other work.
const UP_WITHIN: Duration = Duration::from_secs(60);

/// A machine that is ready to boot.
pub(crate) struct Machine {
    kernel: Kernel,
    initramfs: PathBuf,
    log: PathBuf,
    time: Time,
}

/// What a machine's clocks go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Time {
    /// The host's time.
    #[default]
    Host,
    /// The instructions that its one processor has executed, a nanosecond each: the same work takes the same
    /// time, whatever else the host does.
    Instructions,
}

impl Time {
    /// What QEMU is told.
    fn options(self, processors: u32) -> Vec<String> {
        match self {
            Self::Host => vec![
                "-accel".to_owned(),
                "tcg,thread=multi".to_owned(),
                "-smp".to_owned(),
                processors.to_string(),
            ],
            Self::Instructions => ["-accel", "tcg,thread=single", "-smp", "1"]
                .into_iter()
                .chain(["-icount", "shift=0,align=off,sleep=off"])
                .map(str::to_owned)
                .collect(),
        }
    }
}

/// A machine that has ended, by itself or by its deadline.
pub(crate) struct Ended {
    log: PathBuf,
    console: String,
    /// Why it ended without powering off in order, if it did.
    broken: Option<String>,
}

impl Machine {
    /// Writes the machine's initramfs.
    ///
    /// # Errors
    ///
    /// When a file of the archive cannot be read or the initramfs cannot be written.
    pub(crate) fn new(kernel: Kernel, mut archive: Archive, time: Time) -> Result<Self> {
        let directory = project::directory(project::target().join("vm").join(kernel.to_string()))?;
        for mountpoint in ["dev", "proc", "sys"] {
            archive.directory(mountpoint);
        }
        // Two calls may boot the same kernel at once; the console is the last one's.
        let initramfs = directory.join(format!("initramfs-{}.cpio", std::process::id()));
        archive.write(&initramfs)?;
        Ok(Self { kernel, initramfs, log: directory.join("console.log"), time })
    }

    /// Boots, and waits until the machine has powered off or the deadline is over.
    ///
    /// A QEMU older than 8, which `./x setup --tests` replaces where a newer one is to be had, ends
    /// kernels in a double fault now and then, long before init. Such a boot is repeated; a machine
    /// in which init was up never is.
    ///
    /// # Errors
    ///
    /// When QEMU cannot be started.
    pub(crate) fn run(self, image: &Path, deadline: Duration) -> Result<Ended> {
        for boot in 2..=BOOTS {
            let ended = self.run_once(image, deadline)?;
            if ended.was_up() {
                return Ok(ended);
            }
            eprintln!("x: kernel {} did not reach init; boot {boot} of {BOOTS}", self.kernel);
        }
        self.run_once(image, deadline)
    }

    fn run_once(&self, image: &Path, deadline: Duration) -> Result<Ended> {
        let own_log = self.initramfs.with_extension("log");
        let mut command = programs::command("qemu-system-x86_64");
        command
            // A host's /dev/kvm may exist and not work, so the accelerator is named. Without the two
            // features the kernel copies memory by words; an emulator repeats byte by byte.
            .args(self.time.options(self.kernel.processors()))
            .args(["-cpu", "max,-erms,-fsrm,+x2apic", "-m", "1G"])
            .args(["-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none"])
            .arg("-serial")
            .arg(format!("file:{}", own_log.display()))
            .arg("-kernel")
            .arg(image)
            .arg("-initrd")
            .arg(&self.initramfs)
            // BPF programs decide only where `bpf` is in the list of modules.
            .args([
                "-append",
                "lsm=lockdown,capability,landlock,yama,bpf mitigations=off console=ttyS0 panic=-1 quiet",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut child =
            command.spawn().context("cannot start qemu-system-x86_64: run `./x setup --tests`")?;
        let started = Instant::now();
        let mut up = false;
        let broken = loop {
            if let Some(status) = child.try_wait().context("cannot wait for QEMU")? {
                break (!status.success()).then(|| format!("QEMU ended with {status}"));
            }
            up = up || is_up(&console_text(&own_log));
            let limit = if up { deadline } else { deadline.min(UP_WITHIN) };
            if started.elapsed() >= limit {
                child.kill().context("cannot stop QEMU")?;
                child.wait().context("cannot wait for QEMU")?;
                break Some(format!("was stopped after its deadline of {} s", limit.as_secs()));
            }
            thread::sleep(Duration::from_millis(50));
        };
        let console = console_text(&own_log);
        fs::rename(&own_log, &self.log)
            .with_context(|| format!("cannot keep {}", self.log.display()))?;
        let broken = broken.or_else(|| {
            (!console.lines().any(|line| line == "@@done"))
                .then(|| "ended before its job was done".to_owned())
        });
        eprintln!("x: kernel {} was up for {:.1} s", self.kernel, started.elapsed().as_secs_f64());
        Ok(Ended { log: self.log.clone(), console, broken })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A left-over costs some disk only, and the next build directory cleaning takes it.
        let _ = fs::remove_file(&self.initramfs);
    }
}

/// What the serial line has written so far; nothing if QEMU has not opened it yet.
fn console_text(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).replace('\r', "")
}

fn is_up(console: &str) -> bool {
    console.lines().any(|line| line == "@@up")
}

impl Ended {
    /// Whether init was up, after which nothing of a boot can have failed by the interpreter's fault.
    fn was_up(&self) -> bool {
        is_up(&self.console)
    }

    /// Where the console is kept.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// What a part of the job wrote to stdout and stderr, as far as it came.
    pub(crate) fn output(&self, part: &str) -> String {
        let begin = format!("@@begin {part}");
        let end = format!("@@end {part} ");
        let mut lines: Vec<_> = self
            .console
            .lines()
            .skip_while(|line| *line != begin)
            .skip(1)
            .take_while(|line| !line.starts_with(&end))
            .collect();
        // Init starts each marker on a line of its own.
        lines.pop_if(|line| line.is_empty());
        lines.iter().flat_map(|line| [*line, "\n"]).collect()
    }

    /// A part's exit code, or none if it did not end.
    pub(crate) fn code(&self, part: &str) -> Option<i32> {
        let end = format!("@@end {part} ");
        self.console.lines().find_map(|line| line.strip_prefix(&end))?.trim().parse().ok()
    }

    /// Why a part did not run to its end, if it did not.
    pub(crate) fn failure_to_finish(&self, part: &str) -> Option<String> {
        let broken = || self.broken.as_deref().unwrap_or("the console is cut");
        self.code(part).is_none().then(|| format!("the machine {}", broken()))
    }

    /// Why a part did not end with exit code 0, if it did not.
    pub(crate) fn failure(&self, part: &str) -> Option<String> {
        self.failure_to_finish(part).or_else(|| match self.code(part) {
            Some(0) | None => None,
            Some(code) => Some(format!("exit code {code}")),
        })
    }

    /// The last lines of a part, or of the console if the part never began.
    pub(crate) fn tail(&self, part: &str) -> String {
        let output = self.output(part);
        let text = if output.is_empty() { &self.console } else { &output };
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(console: &str, broken: Option<&str>) -> Ended {
        Ended {
            log: PathBuf::new(),
            console: console.to_owned(),
            broken: broken.map(str::to_owned),
        }
    }

    #[test]
    fn a_part_is_what_stands_between_its_markers() {
        let ended = ended(
            "noise\n@@begin a\none\n\n@@end a 3\n@@begin b\ntwo\n\n@@end b 0\n@@done\n",
            None,
        );
        assert_eq!(ended.output("a"), "one\n");
        assert_eq!(ended.failure("a").as_deref(), Some("exit code 3"));
        assert_eq!(ended.output("b"), "two\n");
        assert_eq!(ended.failure("b"), None);
    }

    #[test]
    fn a_part_without_an_end_failed_and_shows_how_far_it_came() {
        let ended = ended("@@begin a\none\n", Some("stopped"));
        assert_eq!(ended.output("a"), "one\n");
        assert_eq!(ended.failure("a").as_deref(), Some("the machine stopped"));
    }
}
