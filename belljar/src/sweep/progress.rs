//! How far a sweep is and how long it will take, on standard error.

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use journal::escape::visible;
use studies::{grid::Cell, ledger::Ledger};

/// How often the clock of the bar goes on.
const TICK: Duration = Duration::from_millis(500);

/// What a person sees.
pub(super) struct Progress {
    bar: ProgressBar,
    /// Lines for pipes, where no bar can be drawn.
    lines: bool,
    state: Mutex<State>,
}

struct State {
    /// Cells that are left, by scenario.
    left: BTreeMap<String, usize>,
    scenario_of: BTreeMap<String, String>,
    running: usize,
    done: u64,
    began: Instant,
    done_at_begin: u64,
}

impl Progress {
    pub(super) fn new(cells: &[Cell], ledger: &Ledger, quiet: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            Some(cells.len() as u64),
            if quiet || !is_terminal {
                ProgressDrawTarget::hidden()
            } else {
                ProgressDrawTarget::stderr()
            },
        );
        let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} {msg}");
        bar.set_style(style.expect("the template is well-formed"));
        bar.enable_steady_tick(TICK);
        let mut left = BTreeMap::new();
        for cell in cells.iter().filter(|cell| !ledger.is_finished(&cell.name)) {
            *left.entry(cell.scenario.clone()).or_default() += 1;
        }
        let done = (cells.len() - left.values().sum::<usize>()) as u64;
        bar.set_position(done);
        let scenario_of =
            cells.iter().map(|cell| (cell.name.clone(), cell.scenario.clone())).collect();
        let state = State {
            left,
            scenario_of,
            running: 0,
            done,
            began: Instant::now(),
            done_at_begin: done,
        };
        Self { bar, lines: !quiet && !is_terminal, state: Mutex::new(state) }
    }

    pub(super) fn started(&self, cell: &Cell) {
        let mut state = self.state.lock().expect("no holder panics");
        state.running += 1;
        if state.done == state.done_at_begin {
            self.bar.set_message(visible(&cell.name).into_owned());
        }
    }

    pub(super) fn ended(&self, cell: &Cell, ledger: &Ledger, exit: Option<i32>, message: &str) {
        let mut state = self.state.lock().expect("no holder panics");
        state.running = state.running.saturating_sub(1);
        state.done += 1;
        if let Some(left) = state.left.get_mut(&cell.scenario) {
            *left = left.saturating_sub(1);
        }
        let word = match (exit, message.is_empty()) {
            (_, false) => message,
            (Some(80), _) => "misaligned",
            (Some(81), _) => "invalid",
            _ => "done",
        };
        let estimate = state.estimate(ledger);
        let line = format!("{}: {word}", visible(&cell.name));
        if self.lines {
            let of = self.bar.length().unwrap_or(0);
            let rest = estimate.as_deref().unwrap_or("").to_owned();
            let rest = if rest.is_empty() { rest } else { format!(", {rest}") };
            eprintln!("{}/{of} {line}{rest}", state.done);
        } else if !message.is_empty() {
            self.bar.println(&line);
        }
        self.bar.set_position(state.done);
        self.bar.set_message(estimate.unwrap_or_default());
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl State {
    /// What the cells that are left take, by how long runs of their scenarios took, and how many of
    /// them went on at a time so far.
    fn estimate(&self, ledger: &Ledger) -> Option<String> {
        let left: usize = self.left.values().sum();
        let overall = ledger.mean_seconds(|_| true)?;
        if left == 0 {
            return None;
        }
        let mut work = 0.0;
        for (scenario, count) in &self.left {
            let of = |name: &str| self.scenario_of.get(name) == Some(scenario);
            work += *count as f64 * ledger.mean_seconds(of).unwrap_or(overall);
        }
        let at_a_time = (overall * (self.done - self.done_at_begin) as f64
            / self.began.elapsed().as_secs_f64().max(0.001))
        .clamp(1.0, (self.running + 1) as f64);
        let seconds = work / at_a_time;
        Some(if seconds < 100.0 {
            format!("about {seconds:.0} s left")
        } else if seconds < 6000.0 {
            format!("about {:.0} min left", seconds / 60.0)
        } else {
            format!("about {:.1} h left", seconds / 3600.0)
        })
    }
}
