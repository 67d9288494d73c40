//! For the benchmark: probes that come and go within one process, and the floor beside them.

use aya::{Btf as KernelBtf, Ebpf, EbpfLoader, programs::links::FdLink};

use super::{
    Hook, LoadError, ProbeSet, Probes, Programs, RunsAt, attach, kernel_types, load, program,
    refused,
};
use crate::btf::Btf;

static EMPTY: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/empty"));
static FLOOR: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/floor"));

const PROCESSES: &[(&str, Hook)] = &[
    ("task_newtask", Hook::TracePoint("task_newtask")),
    ("sched_process_exec", Hook::TracePoint("sched_process_exec")),
    ("sched_process_exit", Hook::TracePoint("sched_process_exit")),
];

const LSM: &[(&str, Hook)] = &[
    ("task_kill", Hook::Lsm("task_kill")),
    ("path_unlink", Hook::Lsm("path_unlink")),
    ("exit_kill", Hook::FExit("__x64_sys_kill")),
    ("exit_unlink", Hook::FExit("__x64_sys_unlink")),
];

const TRACEPOINT: &[(&str, Hook)] = &[
    ("signal_generate", Hook::TracePoint("signal_generate")),
    ("sys_exit", Hook::TracePoint("sys_exit")),
];

impl Probes {
    /// Loads and attaches the programs of the floor on the hooks of the set. Their maps are
    /// `RUN_SLOTS` and the ring buffer `RECORDS`.
    ///
    /// # Errors
    ///
    /// As [`Probes::load`].
    pub fn load_floor(runs: RunsAt, set: ProbeSet) -> Result<Self, LoadError> {
        let blob = kernel_types()?;
        let types = Btf::parse(&blob)?;
        let btf = KernelBtf::from_sys_fs()?;
        let programs: Programs = match set {
            ProbeSet::Lsm => &[LSM, PROCESSES],
            ProbeSet::Tracepoint => &[TRACEPOINT, PROCESSES],
        };
        Self::load_set(set, programs, FLOOR, &types, runs, &btf)
    }
}

/// An empty program on each hook that the probes of a set are on.
pub struct EmptyPrograms {
    programs: Vec<(Ebpf, &'static Hook)>,
    links: Vec<FdLink>,
}

impl Hook {
    /// The empty program of this kind.
    const fn empty(&self) -> &'static str {
        match self {
            Self::Lsm(_) | Self::LsmOf(..) => "empty_lsm",
            Self::FExit(_) => "empty_fexit",
            Self::TracePoint(_) => "empty_tracepoint",
        }
    }
}

impl EmptyPrograms {
    /// Loads as many as `probes` has, and attaches none.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn load(probes: &Probes) -> Result<Self, LoadError> {
        let btf = KernelBtf::from_sys_fs()?;
        let programs = probes.programs.iter().map(|(name, hook)| {
            let mut object = EbpfLoader::new()
                .load(EMPTY)
                .map_err(|error| LoadError::Object(Box::new(error)))?;
            load(program(&mut object, hook.empty()), hook, &btf).map_err(refused(name))?;
            Ok((object, hook))
        });
        Ok(Self { programs: programs.collect::<Result<_, LoadError>>()?, links: Vec::new() })
    }

    /// Detaches all.
    pub fn pause(&mut self) {
        self.links.clear();
    }

    /// Attaches all.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn resume(&mut self) -> Result<(), LoadError> {
        for (object, hook) in &mut self.programs {
            let link =
                attach(program(object, hook.empty()), hook).map_err(refused(hook.empty()))?;
            self.links.push(link);
        }
        Ok(())
    }
}
