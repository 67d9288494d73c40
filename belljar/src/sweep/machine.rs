//! What this machine bears: how many runs at a time, and on which processors.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use studies::row::cpus as ranges;

/// Runs that hardly need a processor, for each processor. They wait most of their time.
const LIGHT_RUNS_A_CPU: usize = 2;
/// Processors of a run that measures a service under load: one for the service, one for the load.
const LOADED_CPUS: usize = 2;
/// Memory that a run may take, bytes.
const RUN_BYTES: u64 = 384 << 20;

/// The processors and what may run on them at the same time.
pub(super) struct Machine {
    cpus: Vec<usize>,
    /// Runs that hardly need a processor, at a time.
    light: usize,
    /// Runs under load, at a time.
    loaded: usize,
    /// More than it bears was asked for.
    asked: Option<usize>,
}

/// Where one run at a time is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Its processors.
    pub(super) cpus: Vec<usize>,
    /// Whether no other slot has them.
    pub(super) own: bool,
}

impl Machine {
    /// Looks at the machine. `jobs` bounds what runs at a time, and cannot raise it.
    pub(super) fn find(jobs: Option<usize>) -> Self {
        Self::of(allowed(), available_bytes(), jobs)
    }

    fn of(cpus: Vec<usize>, bytes: Option<u64>, jobs: Option<usize>) -> Self {
        let number = cpus.len().max(1);
        let by_memory = bytes
            .map_or(usize::MAX, |bytes| usize::try_from(bytes / RUN_BYTES).unwrap_or(usize::MAX));
        let most = (number * LIGHT_RUNS_A_CPU).min(by_memory).max(1);
        let jobs_or_most = jobs.unwrap_or(most).max(1);
        let loaded = (number / LOADED_CPUS).max(1).min(most);
        Self {
            cpus,
            light: jobs_or_most.min(most),
            loaded: jobs_or_most.min(loaded),
            asked: jobs.filter(|jobs| *jobs > most),
        }
    }

    /// Where runs are carried out that hardly need a processor: each on its own where there are enough.
    pub(super) fn light(&self) -> Vec<Slot> {
        self.slots(self.light)
    }

    /// Where runs under load are carried out: disjoint, and nothing else runs meanwhile.
    pub(super) fn loaded(&self) -> Vec<Slot> {
        self.slots(self.loaded)
    }

    fn slots(&self, number: usize) -> Vec<Slot> {
        let each = self.cpus.len() / number.max(1);
        if each == 0 || number == 1 {
            // A single slot has no other slot to share with.
            return vec![Slot { cpus: self.cpus.clone(), own: number == 1 }; number];
        }
        self.cpus
            .chunks(each)
            .take(number)
            .map(|cpus| Slot { cpus: cpus.to_vec(), own: true })
            .collect()
    }

    /// What is done at a time, in words.
    pub(super) fn told(&self, light: usize, loaded: usize) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(asked) = self.asked {
            lines.push(format!(
                "--jobs {asked} is more than this machine bears: {} at a time",
                self.light
            ));
        }
        let cpus = ranges(&self.cpus);
        let runs = |count| if count == 1 { "run" } else { "runs" };
        if light > 0 {
            let slots = self.light();
            let how = match slots.first() {
                Some(slot) if slot.own && slots.len() > 1 => "each on processors of its own",
                Some(slot) if slot.own => "alone",
                _ => "sharing them",
            };
            lines.push(format!(
                "{light} {}, up to {} at a time on processors {cpus}, {how}",
                runs(light),
                self.light
            ));
        }
        if loaded > 0 {
            let how = match self.loaded {
                1 => "one at a time and alone, ".to_owned(),
                several => format!("up to {several} at a time on processors of their own, "),
            };
            lines.push(format!("{loaded} {} under load, {how}on processors {cpus}", runs(loaded)));
        }
        lines
    }
}

/// The processors that this process may use.
fn allowed() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return vec![0] };
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect()
}

/// Confines the calling thread, and the processes that it starts, to a slot.
pub(super) fn confine_to(slot: &Slot) -> nix::Result<()> {
    let mut set = CpuSet::new();
    for cpu in &slot.cpus {
        set.set(*cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// Memory that can be had without swapping, bytes; proc(5), /proc/meminfo.
fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_processors_are_shared_by_light_runs_and_given_whole_to_loaded_ones() {
        let machine = Machine::of(vec![0, 1], None, None);
        assert_eq!(machine.light(), vec![Slot { cpus: vec![0, 1], own: false }; 4]);
        assert_eq!(machine.loaded(), [Slot { cpus: vec![0, 1], own: true }]);
    }

    #[test]
    fn many_processors_are_divided() {
        let machine = Machine::of((0..16).collect(), None, Some(4));
        let slots = machine.light();
        assert_eq!(slots.len(), 4);
        assert!(slots.iter().all(|slot| slot.own && slot.cpus.len() == 4));
        let machine = Machine::of((0..16).collect(), None, None);
        assert_eq!(machine.loaded().len(), 8);
        assert_eq!(machine.loaded()[7].cpus, [14, 15]);
    }

    #[test]
    fn memory_and_the_machine_bound_what_is_asked_for() {
        let machine = Machine::of(vec![0, 1], Some(3 * RUN_BYTES), Some(64));
        assert_eq!(machine.light().len(), 3);
        assert!(machine.told(1, 0)[0].contains("--jobs 64 is more than this machine bears"));
        assert_eq!(Machine::of(Vec::new(), Some(0), None).light().len(), 1);
    }
}
