//! Which processors do what: the components share the last one, the load has the others.
//!
//! Sharing one processor is what makes the neighbour's competition felt and steady, and it keeps the
//! measure's own work away from what is measured. With a single processor everything shares it.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// The processors that this thread may use, lowest first.
fn allowed() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect()
}

/// The processor that the components share: the last one allowed.
pub(crate) fn components() -> Option<usize> {
    allowed().last().copied()
}

/// Confines the calling thread and those that it starts to one processor.
pub(crate) fn pin_to(cpu: usize) -> nix::Result<()> {
    set(&[cpu])
}

/// Keeps the calling thread and those that it starts off the components' processor, if there is
/// another.
pub(crate) fn keep_off_components(shared: usize) -> nix::Result<()> {
    let others: Vec<usize> = allowed().into_iter().filter(|cpu| *cpu != shared).collect();
    if others.is_empty() { Ok(()) } else { set(&others) }
}

fn set(cpus: &[usize]) -> nix::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}
