//! Finds the runs of this host, and keeps those that have ended in view for a while.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use journal::{RunDir, clock::Clock};
use observer::watching::boot_ns;
use sandbox::{Belljar, CgroupError};

use super::{
    follow::{Followed, Life},
    frame::Frame,
};
use crate::run::boot_time_unix_ns;

/// How long a run that has ended stays in view.
const AFTERGLOW: Duration = Duration::from_secs(600);
/// How many of them do.
const MOST_ENDED: usize = 32;
/// How long a supervisor may take to judge a run, at the most.
const JUDGEMENT: Duration = Duration::from_secs(120);

/// How much of each journal is read at one look: keys must not wait for a long record, nor memory hold
/// it.
const MOST_BYTES: u64 = 8 << 20;

/// The runs of this host.
pub(crate) struct Host {
    belljar: Belljar,
    runs: BTreeMap<String, Known>,
}

struct Known {
    followed: Followed,
    life: Life,
    /// Its calls that stand still.
    frozen: Vec<u64>,
    /// When it was first seen that its cgroup is gone.
    over_since: Option<Instant>,
}

/// Why it cannot be said what happens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    /// The cgroups cannot be listed.
    #[error(transparent)]
    Runs(#[from] CgroupError),
    /// There is no time.
    #[error("cannot read a clock")]
    Clock(#[source] anyhow::Error),
}

impl Host {
    pub(crate) fn new(belljar: Belljar) -> Self {
        Self { belljar, runs: BTreeMap::new() }
    }

    /// Looks until all that is written by now is read.
    pub(crate) fn look_whole(&mut self) -> Result<Frame, LookError> {
        loop {
            let frame = self.look()?;
            if !frame.runs.iter().any(|run| run.is_behind) {
                return Ok(frame);
            }
        }
    }

    /// Looks once more, and reads the next piece of each journal.
    pub(crate) fn look(&mut self) -> Result<Frame, LookError> {
        for known in self.runs.values_mut() {
            known.frozen.clear();
            let since = known.over_since.map_or(Duration::ZERO, |since| since.elapsed());
            known.life = match known.life {
                Life::Abandoned | Life::Reaped => Life::Reaped,
                Life::Supervised | Life::Over if since < JUDGEMENT => Life::Over,
                Life::Supervised | Life::Over => Life::Reaped,
            };
        }
        for run in self.belljar.live_runs()? {
            let life = match run.supervisor() {
                Some(_) => Life::Supervised,
                None => Life::Abandoned,
            };
            // One that ends while it is looked at stands still no more.
            let frozen = run.frozen_calls().unwrap_or_default();
            if let Some(known) = self.runs.get_mut(run.name()) {
                known.life = life;
                known.frozen = frozen;
                continue;
            }
            // One that has no directory yet does nothing either.
            let Some(Ok(directory)) = run.directory().map(RunDir::open) else { continue };
            let followed = Followed::new(run.name().to_owned(), directory);
            self.runs
                .insert(run.name().to_owned(), Known { followed, life, frozen, over_since: None });
        }
        for known in self.runs.values_mut() {
            if matches!(known.life, Life::Over | Life::Reaped) {
                known.over_since.get_or_insert_with(Instant::now);
            }
            known.followed.read(known.life, MOST_BYTES);
        }
        self.forget();
        self.frame()
    }

    fn forget(&mut self) {
        self.runs
            .retain(|_, known| known.over_since.is_none_or(|since| since.elapsed() < AFTERGLOW));
        let mut over: Vec<Instant> =
            self.runs.values().filter_map(|known| known.over_since).collect();
        if over.len() > MOST_ENDED {
            over.sort();
            let oldest = over[over.len() - MOST_ENDED];
            self.runs.retain(|_, known| known.over_since.is_none_or(|since| since >= oldest));
        }
    }

    fn frame(&self) -> Result<Frame, LookError> {
        let boot_time_unix_ns = boot_time_unix_ns().map_err(LookError::Clock)?;
        let now = boot_ns();
        let mut runs: Vec<&Known> = self.runs.values().collect();
        // The sort is stable: those that go on stay in order of their names.
        runs.sort_by_key(|known| known.over_since.map(|since| since.elapsed()));
        Ok(Frame {
            time: Clock::new(boot_time_unix_ns).rfc3339(now),
            runs: runs
                .into_iter()
                .map(|known| {
                    let unix_ns = boot_time_unix_ns + i128::from(now);
                    known.followed.view(known.life, &known.frozen, now, unix_ns)
                })
                .collect(),
        })
    }
}
