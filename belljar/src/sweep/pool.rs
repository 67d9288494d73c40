//! Carries the cells of a sweep out, as many at a time as there are slots.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Instant,
};

use anyhow::{Context as _, anyhow};
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};
use studies::{
    grid::Cell,
    ledger::{Entry, Ledger, Outcome, Shared},
};

use super::{
    child::{Start, told},
    directory::{Found, SweepDir},
    machine::{Machine, Slot, confine_to},
    progress::Progress,
};
use crate::{
    exit::{Exit, Failure, OrExit as _},
    run::Interrupt,
};

/// So many starts that are refused one after the other end the sweep: nothing will start here.
const REFUSALS: usize = 3;

/// Those who carry cells out.
pub(super) struct Pool<'a> {
    directory: &'a SweepDir,
    machine: &'a Machine,
    start: &'a Start,
    quiet: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    ledger: Option<Ledger>,
    /// Runs that go on, by cell: the process, and how many others there were, at the most.
    running: BTreeMap<String, (Pid, usize)>,
    /// Starts that were refused, since the last that was not.
    refusals: usize,
    /// How often the sweep was told to end: at once lets runs end, twice ends them.
    interrupts: usize,
    failure: Option<Failure>,
}

impl State {
    fn is_over(&self) -> bool {
        self.interrupts > 0 || self.failure.is_some()
    }

    fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }
}

impl<'a> Pool<'a> {
    pub(super) fn new(
        directory: &'a SweepDir,
        machine: &'a Machine,
        start: &'a Start,
        quiet: bool,
    ) -> Self {
        let state = State { ledger: Some(directory.ledger().clone()), ..State::default() };
        Self { directory, machine, start, quiet, state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Carries out all that the ledger does not know: first what shares the machine, then what is
    /// measured under load.
    pub(super) fn carry_out(&self, cells: &[Cell], interrupt: &Interrupt) -> Result<(), Failure> {
        let ledger = self.directory.ledger();
        let left: Vec<&Cell> =
            cells.iter().filter(|cell| !ledger.is_finished(&cell.name)).collect();
        if left.is_empty() {
            return Ok(());
        }
        let state = Arc::clone(&self.state);
        interrupt.then(move || end(&state));
        let progress = Progress::new(cells, ledger, self.quiet);
        for (is_loaded, slots) in [(false, self.machine.light()), (true, self.machine.loaded())] {
            let part: Vec<&Cell> =
                left.iter().copied().filter(|cell| cell.is_loaded == is_loaded).collect();
            self.carry_out_part(&part, &slots, &progress);
        }
        progress.finish();
        match self.state().failure.take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn carry_out_part(&self, cells: &[&Cell], slots: &[Slot], progress: &Progress) {
        let next = Mutex::new(cells.iter());
        let slots = &slots[..slots.len().min(cells.len())];
        thread::scope(|scope| {
            for slot in slots {
                scope.spawn(|| {
                    // It is inherited by what this thread starts. Where it is refused, the run can use
                    // what the sweep can, and the record says so.
                    let cpus = confine_to(slot).is_ok();
                    let slot = Slot { own: slot.own && cpus, ..slot.clone() };
                    loop {
                        let cell = next.lock().expect("no holder panics").next();
                        let Some(cell) = cell else { break };
                        if self.state().is_over() {
                            break;
                        }
                        if let Err(failure) = self.carry_out_cell(cell, &slot, progress) {
                            self.state().fail(failure);
                        }
                    }
                });
            }
        });
    }

    fn carry_out_cell(&self, cell: &Cell, slot: &Slot, progress: &Progress) -> Result<(), Failure> {
        let name = cell.name.as_str();
        let out = self.directory.run(name);
        self.directory
            .remove(name)
            .with_context(|| format!("cannot remove the half run {}", out.display()))
            .or_exit(Exit::Io)?;
        let said = self.directory.path().join(format!(".{name}.stderr"));
        let began = Instant::now();
        let (mut child, pid) = {
            // Under the lock, so that an interrupt reaches every process that was started.
            let mut state = self.state();
            if state.is_over() {
                return Ok(());
            }
            let child = self
                .start
                .start(cell, &out, &said)
                .with_context(|| format!("cannot start the run of {name}"))
                .or_exit(Exit::Os)?;
            let pid = Pid::from_raw(i32::try_from(child.id()).or_exit(Exit::Os)?);
            let others = state.running.len();
            for (_, beside) in state.running.values_mut() {
                *beside = (*beside).max(others);
            }
            state.running.insert(name.to_owned(), (pid, others));
            (child, pid)
        };
        progress.started(cell);
        // It stays there to be signalled until it is known to have ended.
        while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
            .is_err_and(|errno| errno == nix::errno::Errno::EINTR)
        {}
        let mut state = self.state();
        let (_, beside) = state.running.remove(name).unwrap_or((pid, 0));
        let status = child.wait().or_exit(Exit::Os)?;
        let found = self.directory.look(name);
        let seconds = began.elapsed().as_secs_f64();
        let message = match &found {
            Found::Finished { .. } => String::new(),
            Found::Half(why) => format!("{why}; {}", told(status, &said)),
            Found::Nothing => told(status, &said),
        };
        let _ = std::fs::remove_file(&said);
        let is_finished = matches!(found, Found::Finished { .. });
        if !is_finished && state.interrupts > 1 {
            // The sweep ended it itself: nothing of it is counted.
            return self.directory.remove(name).or_exit(Exit::Io);
        }
        state.refusals = if is_finished { 0 } else { state.refusals + 1 };
        let entry = Entry {
            outcome: if is_finished { Outcome::Finished } else { Outcome::Refused },
            exit: status.code(),
            seconds,
            shared: Some(Shared { cpus: slot.cpus.clone(), own_cpus: slot.own, beside }),
            message: message.clone(),
        };
        let mut ledger = state.ledger.take().expect("it is put back below");
        let entered = self.directory.enter(&mut ledger, name, entry);
        progress.ended(cell, &ledger, status.code(), &message);
        state.ledger = Some(ledger);
        entered?;
        if state.refusals >= REFUSALS {
            let message = format!("{REFUSALS} runs in turn did not start; the last: {message}");
            state.fail(Failure::new(Exit::Unavailable, anyhow!(message)));
        }
        Ok(())
    }
}

/// The first time no more runs are begun, the second time those that go on are ended.
fn end(state: &Mutex<State>) {
    let mut state = state.lock().expect("no holder panics");
    state.interrupts += 1;
    if state.interrupts == 1 {
        if !state.running.is_empty() {
            eprintln!(
                "belljar: no more runs are begun, and {} still on; once more ends them",
                if state.running.len() == 1 {
                    "one is".to_owned()
                } else {
                    format!("{} are", state.running.len())
                }
            );
        }
        return;
    }
    for (pid, _) in state.running.values() {
        // One that has just ended is a zombie still, and takes it without harm.
        let _ = kill(*pid, Signal::SIGTERM);
    }
}
