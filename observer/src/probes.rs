//! Loads the probe set that the running kernel accepts.

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _},
    path::{Path, PathBuf},
};

use aya::{
    Btf as KernelBtf, BtfError, Ebpf, EbpfLoader,
    programs::{
        BtfTracePoint, FExit, Lsm, Program, ProgramError,
        links::{FdLink, PinnedLink},
    },
};
use ebpf_common::offsets::Offsets;
use journal::manifest::ProbeSet;
use zerocopy::IntoBytes as _;

use crate::btf::{Btf, BtfError as OffsetsError};

mod addresses;
#[cfg(feature = "bench")]
mod bench;
#[cfg(feature = "bench")]
pub use bench::EmptyPrograms;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/probes"));
const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Why no probes could be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel tells nothing of its types.
    #[error("cannot read {KERNEL_BTF}: Belljar needs a kernel built with CONFIG_DEBUG_INFO_BTF=y")]
    NoBtf(#[source] io::Error),
    /// The kernel's types are not what the probes know.
    #[error("cannot find the kernel's structures")]
    Offsets(#[from] OffsetsError),
    /// The kernel's types cannot be used for attaching.
    #[error("cannot use the kernel's type information")]
    KernelBtf(#[from] BtfError),
    /// The object or its maps were refused.
    #[error("cannot create the probes' maps: run as root, or with CAP_BPF and CAP_PERFMON")]
    Object(#[source] Box<aya::EbpfError>),
    /// A program that every set needs was refused.
    #[error("the kernel refused the program {program}")]
    Program {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: Box<ProgramError>,
    },
    /// The cgroup that holds the runs cannot be opened.
    #[error("cannot open the cgroup {path}")]
    Cgroup {
        /// Its directory.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program could not be kept alive past the observer's death.
    #[error("cannot pin {program} in {directory}")]
    Pin {
        /// The program.
        program: String,
        /// The directory in the BPF file system.
        directory: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What a program is and where it goes.
enum Hook {
    Lsm(&'static str),
    /// An LSM hook that has this many arguments in some kernels and others in the rest.
    LsmOf(&'static str, usize),
    FExit(&'static str),
    TracePoint(&'static str),
}

impl Hook {
    /// What it is on, without what the kernel puts before the name.
    const fn name(&self) -> &'static str {
        match self {
            Self::Lsm(name) | Self::LsmOf(name, _) | Self::FExit(name) | Self::TracePoint(name) => {
                name
            }
        }
    }
}

/// Kernel functions that only some kernels have: without one the program is left out, and nothing
/// passes by it.
///
/// - `fchmodat2`: Linux 6.6.
/// - `file_truncate`: Linux 6.2; before, `path_truncate` sees all.
/// - `inode_set_acl`, `inode_remove_acl`: Linux 6.2; before, `inode_setxattr` and `inode_removexattr` see all.
/// - `setxattrat`, `removexattrat`: Linux 6.13.
const OPTIONAL: &[&str] = &[
    "__x64_sys_fchmodat2",
    "bpf_lsm_file_truncate",
    "bpf_lsm_inode_set_acl",
    "bpf_lsm_inode_remove_acl",
    "__x64_sys_setxattrat",
    "__x64_sys_removexattrat",
];

/// Functions of which a kernel has the one or the other, so that one of the two must be there.
///
/// - Seccomp's verdict on a system call: the second in Linux 7.3.
const ALTERNATIVES: [&str; 2] = ["__secure_computing", "__seccomp_permit_syscall"];

/// Whether a program tells only of opens that were refused before a hook was reached. Every process
/// opens files all the time, so that a kernel that skips programs skips these often, and what a hook
/// has seen does not depend on them.
#[must_use]
pub fn sees_refused_opens_alone(program: &str) -> bool {
    matches!(program, "exit_open" | "exit_creat" | "exit_openat" | "exit_openat2")
}

/// Whether a program was refused because this kernel lacks a function that it may lack.
fn is_left_out(error: &ProgramError, left_out: &[&str]) -> bool {
    let ProgramError::Btf(BtfError::UnknownBtfTypeName { type_name: missing }) = error else {
        return false;
    };
    let is_there = |name: &&str| !left_out.contains(name);
    OPTIONAL.contains(&missing.as_str())
        || (ALTERNATIVES.contains(&missing.as_str()) && ALTERNATIVES.iter().all(is_there))
}

/// Programs of both sets.
const SHARED: &[(&str, Hook)] = &[
    ("task_newtask", Hook::TracePoint("task_newtask")),
    ("sched_process_exec", Hook::TracePoint("sched_process_exec")),
    ("sched_process_exit", Hook::TracePoint("sched_process_exit")),
];

const LSM: &[(&str, Hook)] = &[
    ("bprm_creds_for_exec", Hook::Lsm("bprm_creds_for_exec")),
    ("task_kill", Hook::Lsm("task_kill")),
    ("path_unlink", Hook::Lsm("path_unlink")),
    ("path_rmdir", Hook::Lsm("path_rmdir")),
    ("path_rename", Hook::Lsm("path_rename")),
    ("path_mknod", Hook::Lsm("path_mknod")),
    ("path_mkdir", Hook::Lsm("path_mkdir")),
    ("path_symlink", Hook::Lsm("path_symlink")),
    ("path_link", Hook::Lsm("path_link")),
    ("path_truncate", Hook::Lsm("path_truncate")),
    ("file_truncate", Hook::Lsm("file_truncate")),
    ("path_chmod", Hook::Lsm("path_chmod")),
    ("path_chown", Hook::Lsm("path_chown")),
    ("inode_setattr", Hook::LsmOf("inode_setattr", 3)),
    ("inode_setattr_early", Hook::LsmOf("inode_setattr", 2)),
    ("inode_setxattr", Hook::Lsm("inode_setxattr")),
    ("inode_removexattr", Hook::Lsm("inode_removexattr")),
    ("inode_set_acl", Hook::Lsm("inode_set_acl")),
    ("inode_remove_acl", Hook::Lsm("inode_remove_acl")),
    ("file_open", Hook::Lsm("file_open")),
    ("file_receive", Hook::Lsm("file_receive")),
    ("mmap_file", Hook::Lsm("mmap_file")),
    ("socket_listen", Hook::Lsm("socket_listen")),
    ("unix_stream_connect", Hook::Lsm("unix_stream_connect")),
    ("unix_may_send", Hook::Lsm("unix_may_send")),
    ("task_setnice", Hook::Lsm("task_setnice")),
    ("task_setioprio", Hook::Lsm("task_setioprio")),
    ("task_setscheduler", Hook::Lsm("task_setscheduler")),
    ("task_setrlimit", Hook::Lsm("task_setrlimit")),
    ("file_send_sigiotask", Hook::Lsm("file_send_sigiotask")),
    ("ptrace_access_check", Hook::Lsm("ptrace_access_check")),
    ("exit_execve", Hook::FExit("__x64_sys_execve")),
    ("exit_execveat", Hook::FExit("__x64_sys_execveat")),
    ("exit_kill", Hook::FExit("__x64_sys_kill")),
    ("exit_tkill", Hook::FExit("__x64_sys_tkill")),
    ("exit_tgkill", Hook::FExit("__x64_sys_tgkill")),
    ("exit_rt_sigqueueinfo", Hook::FExit("__x64_sys_rt_sigqueueinfo")),
    ("exit_rt_tgsigqueueinfo", Hook::FExit("__x64_sys_rt_tgsigqueueinfo")),
    ("exit_pidfd_send_signal", Hook::FExit("__x64_sys_pidfd_send_signal")),
    ("exit_unlink", Hook::FExit("__x64_sys_unlink")),
    ("exit_unlinkat", Hook::FExit("__x64_sys_unlinkat")),
    ("exit_rmdir", Hook::FExit("__x64_sys_rmdir")),
    ("exit_rename", Hook::FExit("__x64_sys_rename")),
    ("exit_renameat", Hook::FExit("__x64_sys_renameat")),
    ("exit_renameat2", Hook::FExit("__x64_sys_renameat2")),
    ("exit_open", Hook::FExit("__x64_sys_open")),
    ("exit_creat", Hook::FExit("__x64_sys_creat")),
    ("exit_openat", Hook::FExit("__x64_sys_openat")),
    ("exit_openat2", Hook::FExit("__x64_sys_openat2")),
    ("exit_mkdir", Hook::FExit("__x64_sys_mkdir")),
    ("exit_mkdirat", Hook::FExit("__x64_sys_mkdirat")),
    ("exit_mknod", Hook::FExit("__x64_sys_mknod")),
    ("exit_mknodat", Hook::FExit("__x64_sys_mknodat")),
    ("exit_symlink", Hook::FExit("__x64_sys_symlink")),
    ("exit_symlinkat", Hook::FExit("__x64_sys_symlinkat")),
    ("exit_link", Hook::FExit("__x64_sys_link")),
    ("exit_linkat", Hook::FExit("__x64_sys_linkat")),
    ("exit_truncate", Hook::FExit("__x64_sys_truncate")),
    ("exit_ftruncate", Hook::FExit("__x64_sys_ftruncate")),
    ("exit_chmod", Hook::FExit("__x64_sys_chmod")),
    ("exit_fchmod", Hook::FExit("__x64_sys_fchmod")),
    ("exit_fchmodat", Hook::FExit("__x64_sys_fchmodat")),
    ("exit_fchmodat2", Hook::FExit("__x64_sys_fchmodat2")),
    ("exit_chown", Hook::FExit("__x64_sys_chown")),
    ("exit_fchown", Hook::FExit("__x64_sys_fchown")),
    ("exit_lchown", Hook::FExit("__x64_sys_lchown")),
    ("exit_fchownat", Hook::FExit("__x64_sys_fchownat")),
    ("exit_times", Hook::FExit("do_utimes")),
    ("exit_fallocate", Hook::FExit("__x64_sys_fallocate")),
    ("exit_setxattr", Hook::FExit("__x64_sys_setxattr")),
    ("exit_lsetxattr", Hook::FExit("__x64_sys_lsetxattr")),
    ("exit_fsetxattr", Hook::FExit("__x64_sys_fsetxattr")),
    ("exit_removexattr", Hook::FExit("__x64_sys_removexattr")),
    ("exit_lremovexattr", Hook::FExit("__x64_sys_lremovexattr")),
    ("exit_fremovexattr", Hook::FExit("__x64_sys_fremovexattr")),
    ("exit_setxattrat", Hook::FExit("__x64_sys_setxattrat")),
    ("exit_removexattrat", Hook::FExit("__x64_sys_removexattrat")),
    ("exit_connect", Hook::FExit("__x64_sys_connect")),
    ("exit_setpriority", Hook::FExit("__x64_sys_setpriority")),
    ("exit_ioprio_set", Hook::FExit("__x64_sys_ioprio_set")),
    ("exit_sched_setparam", Hook::FExit("__x64_sys_sched_setparam")),
    ("exit_sched_setscheduler", Hook::FExit("__x64_sys_sched_setscheduler")),
    ("exit_sched_setattr", Hook::FExit("__x64_sys_sched_setattr")),
    ("exit_sched_setaffinity", Hook::FExit("__x64_sys_sched_setaffinity")),
    ("exit_prlimit64", Hook::FExit("__x64_sys_prlimit64")),
    ("exit_ptrace", Hook::FExit("__x64_sys_ptrace")),
    ("exit_process_vm_readv", Hook::FExit("__x64_sys_process_vm_readv")),
    ("exit_process_vm_writev", Hook::FExit("__x64_sys_process_vm_writev")),
    ("exit_process_madvise", Hook::FExit("__x64_sys_process_madvise")),
    ("exit_process_mrelease", Hook::FExit("__x64_sys_process_mrelease")),
    ("exit_pidfd_getfd", Hook::FExit("__x64_sys_pidfd_getfd")),
    ("exit_move_pages", Hook::FExit("__x64_sys_move_pages")),
    ("exit_migrate_pages", Hook::FExit("__x64_sys_migrate_pages")),
    ("exit_setuid", Hook::FExit("__x64_sys_setuid")),
    ("exit_setgid", Hook::FExit("__x64_sys_setgid")),
    ("exit_setreuid", Hook::FExit("__x64_sys_setreuid")),
    ("exit_setregid", Hook::FExit("__x64_sys_setregid")),
    ("exit_setgroups", Hook::FExit("__x64_sys_setgroups")),
    ("exit_setresuid", Hook::FExit("__x64_sys_setresuid")),
    ("exit_setresgid", Hook::FExit("__x64_sys_setresgid")),
    ("exit_capset", Hook::FExit("__x64_sys_capset")),
    ("secure_computing", Hook::FExit("__secure_computing")),
    ("permit_syscall", Hook::FExit("__seccomp_permit_syscall")),
];

const TRACEPOINT: &[(&str, Hook)] = &[
    ("signal_generate", Hook::TracePoint("signal_generate")),
    ("sys_exit", Hook::TracePoint("sys_exit")),
];

/// The programs of a set, in the order in which they load: what a set needs beyond the shared
/// programs comes first, since it decides whether the set loads.
type Programs = &'static [&'static [(&'static str, Hook)]];

/// Where the cgroups of runs are.
#[derive(Clone, Copy, Debug)]
pub struct RunsAt {
    /// Their level in the hierarchy.
    pub level: u32,
    /// Id of the cgroup that holds them all.
    pub parent: u64,
}

/// Loaded probes.
pub struct Probes {
    /// The object with its maps.
    pub object: Ebpf,
    /// Which set was loaded.
    pub set: ProbeSet,
    /// Why it is not the `lsm` set, where it is not.
    pub reason: Option<String>,
    programs: Vec<&'static (&'static str, Hook)>,
    links: Vec<Attached>,
    /// The links of the programs on the cgroup of all runs.
    addresses: Vec<Attached>,
    /// Where links are pinned, if they are.
    pins: Option<PathBuf>,
}

/// A program that runs as long as this is held, or as long as its pin stands.
enum Attached {
    Held(FdLink),
    Pinned(PinnedLink),
}

/// The kernel's field offsets.
///
/// # Errors
///
/// When the kernel has no BTF or lacks a field.
pub fn kernel_offsets() -> Result<Offsets, LoadError> {
    Ok(Btf::parse(&kernel_types()?)?.offsets()?)
}

/// The running kernel's type information.
fn kernel_types() -> Result<Vec<u8>, LoadError> {
    fs::read(KERNEL_BTF).map_err(LoadError::NoBtf)
}

impl Probes {
    /// Loads and attaches the `lsm` set where the kernel takes it and the `tracepoint` set
    /// elsewhere. Which it takes is found out by loading, never by version. `only` asks for one set.
    ///
    /// # Errors
    ///
    /// When not even the `tracepoint` set loads, or not the set that was asked for.
    pub fn load(runs: RunsAt, only: Option<ProbeSet>) -> Result<Self, LoadError> {
        let blob = kernel_types()?;
        let types = Btf::parse(&blob)?;
        let btf = KernelBtf::from_sys_fs()?;
        let mut reason = None;
        if only != Some(ProbeSet::Tracepoint) {
            match Self::load_set(ProbeSet::Lsm, &[LSM, SHARED], OBJECT, &types, runs, &btf) {
                Ok(mut probes) => {
                    probes.load_addresses()?;
                    return Ok(probes);
                }
                Err(error) if only.is_some() => return Err(error),
                Err(error) => reason = Some(explain(&error)),
            }
        }
        let programs = &[TRACEPOINT, SHARED];
        let mut probes =
            Self::load_set(ProbeSet::Tracepoint, programs, OBJECT, &types, runs, &btf)?;
        probes.reason = reason;
        probes.load_addresses()?;
        Ok(probes)
    }

    fn load_set(
        set: ProbeSet,
        programs: Programs,
        object: &[u8],
        types: &Btf<'_>,
        runs: RunsAt,
        btf: &KernelBtf,
    ) -> Result<Self, LoadError> {
        let offsets = types.offsets()?;
        let mut object = EbpfLoader::new()
            .allow_unsupported_maps()
            .override_global("OFFSETS", offsets.as_bytes(), true)
            .override_global("RUN_LEVEL", &runs.level, true)
            .override_global("RUNS_CGROUP", &runs.parent, true)
            .load(object)
            .map_err(|error| LoadError::Object(Box::new(error)))?;
        let (mut loaded, mut left_out) = (Vec::new(), Vec::new());
        let is_here = |(_, hook): &&(&str, Hook)| match hook {
            Hook::LsmOf(name, arguments) => {
                types.arguments(&format!("bpf_lsm_{name}")) == Some(*arguments)
            }
            _ => true,
        };
        for entry @ (name, hook) in programs.iter().copied().flatten().filter(is_here) {
            match load(program(&mut object, name), hook, btf) {
                Err(error) if is_left_out(&error, &left_out) => left_out.push(hook.name()),
                result => {
                    result.map_err(refused(name))?;
                    loaded.push(entry);
                }
            }
        }
        let mut probes = Self {
            object,
            set,
            reason: None,
            programs: loaded,
            links: Vec::new(),
            addresses: Vec::new(),
            pins: None,
        };
        probes.attach()?;
        Ok(probes)
    }

    /// Attaches every program.
    fn attach(&mut self) -> Result<(), LoadError> {
        for (name, hook) in &self.programs {
            let link = attach(program(&mut self.object, name), hook).map_err(refused(name))?;
            self.links.push(Attached::Held(link));
        }
        Ok(())
    }

    /// Detaches every program of the set, and leaves them and their maps loaded. Those on the cgroup of
    /// all runs stay: nobody else meets them.
    ///
    /// # Errors
    ///
    /// When a pin cannot be removed: its program goes on.
    pub fn pause(&mut self) -> Result<(), LoadError> {
        let mut paused = Ok(());
        for link in self.links.drain(..) {
            if let Attached::Pinned(pin) = link
                && let Err(error) = pin.unpin()
            {
                paused = Err(pin_failed("a program", Path::new("its place"), error.into()));
            }
        }
        paused
    }

    /// Attaches every program again, and pins it where it was pinned.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn resume(&mut self) -> Result<(), LoadError> {
        self.pause()?;
        self.attach()?;
        self.pin_links()
    }

    /// Pins every link, so that the programs go on when the observer dies.
    ///
    /// # Errors
    ///
    /// When the BPF file system is not there or refuses.
    pub fn pin(&mut self, directory: &Path) -> Result<(), LoadError> {
        fs::create_dir_all(directory)
            .map_err(|error| pin_failed("any program", directory, error.into()))?;
        self.pins = Some(directory.to_owned());
        self.pin_links()
    }

    fn pin_links(&mut self) -> Result<(), LoadError> {
        let Some(directory) = &self.pins else { return Ok(()) };
        pin_each(&mut self.addresses, directory, 0)?;
        pin_each(&mut self.links, directory, self.addresses.len())
    }

    /// How often the kernel skipped a program because it was running already on the same CPU, by
    /// program; those that never were are left out. Each time is an effect that may have been lost.
    #[must_use]
    pub fn skipped(&self) -> BTreeMap<String, u64> {
        let of = |program: &Program| {
            let fd = program.fd().ok()?.as_fd().as_raw_fd();
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
            let line = info.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
            line.trim().parse::<u64>().ok()
        };
        self.object
            .programs()
            .filter_map(|(name, program)| Some((name.to_owned(), of(program)?)))
            .filter(|&(_, times)| times > 0)
            .collect()
    }
}

/// Pins what is not pinned yet. The pins are named by number, from `first` on: nothing in their names
/// tells an agent what they are.
fn pin_each(links: &mut Vec<Attached>, directory: &Path, first: usize) -> Result<(), LoadError> {
    for (number, link) in (first..).zip(std::mem::take(links)) {
        let pinned = match link {
            Attached::Held(link) => {
                let pinned = link.pin(directory.join(number.to_string()));
                let failed = |error| pin_failed(&number.to_string(), directory, Box::new(error));
                Attached::Pinned(pinned.map_err(failed)?)
            }
            pinned @ Attached::Pinned(_) => pinned,
        };
        links.push(pinned);
    }
    Ok(())
}

fn pin_failed(
    program: &str,
    directory: &Path,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> LoadError {
    let (program, directory) = (program.to_owned(), directory.display().to_string());
    LoadError::Pin { program, directory, source }
}

fn program<'a>(object: &'a mut Ebpf, name: &str) -> &'a mut Program {
    object.program_mut(name).expect("the object holds every listed program")
}

fn refused(name: &str) -> impl Fn(ProgramError) -> LoadError {
    move |source| LoadError::Program { program: name.to_owned(), source: Box::new(source) }
}

fn load(program: &mut Program, hook: &Hook, btf: &KernelBtf) -> Result<(), ProgramError> {
    match hook {
        Hook::Lsm(name) | Hook::LsmOf(name, _) => <&mut Lsm>::try_from(program)?.load(name, btf),
        Hook::FExit(name) => <&mut FExit>::try_from(program)?.load(name, btf),
        Hook::TracePoint(name) => <&mut BtfTracePoint>::try_from(program)?.load(name, btf),
    }
}

fn attach(program: &mut Program, hook: &Hook) -> Result<FdLink, ProgramError> {
    match hook {
        Hook::Lsm(_) | Hook::LsmOf(..) => {
            let program: &mut Lsm = program.try_into()?;
            let link = program.attach()?;
            Ok(program.take_link(link)?.into())
        }
        Hook::FExit(_) => {
            let program: &mut FExit = program.try_into()?;
            let link = program.attach()?;
            Ok(program.take_link(link)?.into())
        }
        Hook::TracePoint(_) => {
            let program: &mut BtfTracePoint = program.try_into()?;
            let link = program.attach()?;
            Ok(program.take_link(link)?.into())
        }
    }
}

/// An error's chain as one line, each cause once. The verifier's log is left out.
fn explain(error: &LoadError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        let line = cause_text.lines().next().unwrap_or_default();
        let line = line.split(". Verifier output").next().unwrap_or_default();
        if !line.is_empty() && !text.ends_with(line) {
            text.push_str(": ");
            text.push_str(line);
        }
        source = cause.source();
    }
    text
}
