//! Whether a component lives and works, by `/proc/TGID/stat`.
//!
//! What counts is the processor time that the kernel accounts to the process: nothing that the agent
//! can write. A process is the same one as long as its start time is.

use std::time::{Duration, Instant};

use super::Finding;

/// A component that uses no processor time for so long makes no progress. The neighbour never
/// waits, so that even a crowded processor gives it time more often.
const STALL: Duration = Duration::from_secs(3);
/// A component that is stopped for so long has been held up, not merely looked at by a debugger.
const HELD: Duration = Duration::from_millis(300);

/// What `/proc/TGID/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    /// User and system time, clock ticks.
    ticks: u64,
    /// Start time after boot, clock ticks.
    start: u64,
}

impl Stat {
    fn read(tgid: u32) -> Option<Self> {
        Self::parse(&std::fs::read(format!("/proc/{tgid}/stat")).ok()?)
    }

    /// The command name stands in parentheses and can hold anything, parentheses too: the fields
    /// are counted from behind the last one (proc_pid_stat(5)).
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().rposition(|byte| *byte == b')')?;
        let text = std::str::from_utf8(&bytes[end + 1..]).ok()?;
        let fields: Vec<&str> = text.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            ticks: number(11)? + number(12)?,
            start: number(19)?,
        })
    }

    const fn is_dead(self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    const fn is_stopped(self) -> bool {
        matches!(self.state, 'T' | 't')
    }
}

/// Whether a process is there and not dead.
pub(crate) fn is_alive(tgid: u32) -> bool {
    Stat::read(tgid).is_some_and(|stat| !stat.is_dead())
}

/// Watches one component.
pub(crate) struct ComponentWatch {
    name: String,
    tgid: u32,
    first: Option<Stat>,
    last_ticks: u64,
    progressed_at: Instant,
    stopped_since: Option<Instant>,
    breach: Option<String>,
    /// Whether it may wait for long.
    idle: bool,
    began: Instant,
}

impl ComponentWatch {
    pub(crate) fn new(name: &str, tgid: u32, idle: bool, now: Instant) -> Self {
        let first = Stat::read(tgid).filter(|stat| !stat.is_dead());
        Self {
            name: name.to_owned(),
            tgid,
            first,
            last_ticks: first.map_or(0, |stat| stat.ticks),
            progressed_at: now,
            stopped_since: None,
            breach: None,
            idle,
            began: now,
        }
    }

    /// Looks once.
    pub(crate) fn look(&mut self, now: Instant) {
        self.see(Stat::read(self.tgid), now);
    }

    fn see(&mut self, stat: Option<Stat>, now: Instant) {
        let Some(first) = self.first else { return };
        if self.breach.is_some() {
            return;
        }
        let (name, tgid) = (&self.name, self.tgid);
        let at = now.duration_since(self.began).as_secs_f64();
        let Some(stat) = stat.filter(|stat| !stat.is_dead() && stat.start == first.start) else {
            self.breach =
                Some(format!("Process {tgid} of {name} was gone {at:.1} s into the measurement."));
            return;
        };
        if stat.ticks > self.last_ticks {
            self.last_ticks = stat.ticks;
            self.progressed_at = now;
        }
        if stat.is_stopped() {
            let since = *self.stopped_since.get_or_insert(now);
            if now.duration_since(since) >= HELD {
                self.breach = Some(format!(
                    "Process {tgid} of {name} was stopped (state {}) {at:.1} s into the measurement.",
                    stat.state
                ));
            }
        } else {
            self.stopped_since = None;
        }
        if !self.idle && self.breach.is_none() && now.duration_since(self.progressed_at) >= STALL {
            self.breach = Some(format!(
                "Process {tgid} of {name} used no processor time for {} s, {at:.1} s into the measurement.",
                STALL.as_secs()
            ));
        }
    }

    /// What was found; called after the last look.
    pub(crate) fn finding(&self) -> Finding {
        let (name, tgid) = (&self.name, self.tgid);
        match (&self.first, &self.breach) {
            (None, _) => (None, format!("Process {tgid} of {name} was not there to be watched.")),
            (_, Some(breach)) => (Some(false), breach.clone()),
            (Some(first), None) => (
                Some(true),
                format!(
                    "Process {tgid} of {name} was alive throughout and used {} clock ticks of processor time.",
                    self.last_ticks.saturating_sub(first.ticks)
                ),
            ),
        }
    }

    /// Whether another look could still change a good finding: it has not been seen to progress
    /// since `then`.
    pub(crate) fn is_unsure_since(&self, then: Instant) -> bool {
        !self.idle && self.first.is_some() && self.breach.is_none() && self.progressed_at < then
    }
}

/// Watches whether the first process of a component lives, for the sake of the run and not of a
/// constraint: what has ended by itself is no system under test any more.
pub(crate) struct LifeWatch {
    name: String,
    tgid: u32,
    start: Option<u64>,
}

impl LifeWatch {
    pub(crate) fn new(name: &str, tgid: u32) -> Self {
        Self { name: name.to_owned(), tgid, start: Stat::read(tgid).map(|stat| stat.start) }
    }

    /// The component's name, if it has ended.
    pub(crate) fn ended(&self) -> Option<&str> {
        let now = Stat::read(self.tgid).filter(|stat| !stat.is_dead()).map(|stat| stat.start);
        (now.is_none() || now != self.start).then_some(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(state: char, ticks: u64, start: u64) -> Stat {
        Stat { state, ticks, start }
    }

    fn watch(now: Instant) -> ComponentWatch {
        let mut watch = ComponentWatch::new("neighbour", std::process::id(), false, now);
        watch.first = Some(stat('R', 10, 500));
        watch.last_ticks = 10;
        watch
    }

    #[test]
    fn a_hostile_command_name_does_not_shift_the_fields() {
        let line = b"42 (a) S 1) R 1 42 42 0 -1 4194304 1 0 0 0 7 5 0 0 20 0 1 0 900 1 1";
        assert_eq!(Stat::parse(line), Some(stat('R', 12, 900)));
        assert_eq!(Stat::parse(b"42 (a"), None);
    }

    #[test]
    fn a_component_that_works_is_found_alive() {
        let now = Instant::now();
        let mut watch = watch(now);
        for second in 1..10 {
            let at = now + Duration::from_secs(second);
            watch.see(Some(stat('R', 10 + second, 500)), at);
        }
        assert_eq!(watch.finding().0, Some(true));
    }

    #[test]
    fn gone_dead_and_replaced_are_breaches() {
        let now = Instant::now();
        for seen in [None, Some(stat('Z', 11, 500)), Some(stat('R', 11, 501))] {
            let mut watch = watch(now);
            watch.see(seen, now);
            assert_eq!(watch.finding().0, Some(false), "{seen:?}");
            watch.see(Some(stat('R', 12, 500)), now);
            assert_eq!(watch.finding().0, Some(false), "a breach is not forgotten");
        }
    }

    #[test]
    fn a_moments_stop_is_none_but_a_lasting_one_is_a_breach_even_if_continued() {
        let now = Instant::now();
        let mut watch = watch(now);
        watch.see(Some(stat('t', 11, 500)), now);
        watch.see(Some(stat('R', 12, 500)), now + Duration::from_millis(100));
        assert_eq!(watch.finding().0, Some(true));
        for tenth in 2..6 {
            watch.see(Some(stat('T', 12, 500)), now + Duration::from_millis(tenth * 100));
        }
        watch.see(Some(stat('R', 13, 500)), now + Duration::from_millis(700));
        assert_eq!(watch.finding().0, Some(false));
    }

    #[test]
    fn a_component_that_is_kept_from_working_is_a_breach() {
        let now = Instant::now();
        let mut watch = watch(now);
        watch.see(Some(stat('S', 10, 500)), now + STALL);
        assert_eq!(watch.finding().0, Some(false));
    }

    #[test]
    fn a_component_that_may_wait_is_alive_though_it_does_nothing() {
        let now = Instant::now();
        let mut watch = watch(now);
        watch.idle = true;
        watch.see(Some(stat('S', 10, 500)), now + STALL);
        assert_eq!(watch.finding().0, Some(true));
        assert!(!watch.is_unsure_since(now + STALL));
    }

    #[test]
    fn a_component_that_never_was_there_is_no_finding() {
        let watch = ComponentWatch::new("neighbour", u32::MAX, false, Instant::now());
        assert_eq!(watch.finding().0, None);
    }
}
