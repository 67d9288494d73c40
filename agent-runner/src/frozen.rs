//! The time of a call that may be frozen: by a verdict, or by a person.

use std::time::{Duration, Instant};

/// How often it is looked whether a call is frozen.
pub(crate) const LOOK: Duration = Duration::from_millis(200);

/// Whether a call may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frozen {
    /// It may.
    No,
    /// It stands still by itself, until a person resumes or kills it or its time is over.
    Call,
    /// It stands still until a question about it is answered, which whoever asked it looks after.
    Asked,
    /// A person has frozen the run, until a person says otherwise.
    Run,
}

/// Why a call's time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// It took too long.
    TimedOut,
    /// It stood still and nobody let it go on.
    NotResumed,
}

/// How much time a call has left. It does not pass while the call stands still.
#[derive(Debug)]
pub(crate) struct CallTime {
    left: Option<Duration>,
    frozen_left: Duration,
    frozen_limit: Duration,
    looked: Instant,
    before: Frozen,
    stood: Duration,
}

impl CallTime {
    /// The time of a call that begins now. `limit`: how long it may act; `frozen_limit`: how long it
    /// may stand still without being resumed.
    pub(crate) fn new(limit: Option<Duration>, frozen_limit: Duration, now: Instant) -> Self {
        Self {
            left: limit,
            frozen_left: frozen_limit,
            frozen_limit,
            looked: now,
            before: Frozen::No,
            stood: Duration::ZERO,
        }
    }

    /// How long the call has stood still so far.
    pub(crate) fn stood(&self) -> Duration {
        self.stood
    }

    /// Whether the call stood still when it was last looked at.
    pub(crate) fn stands_still(&self) -> bool {
        self.before != Frozen::No
    }

    /// When to look next.
    pub(crate) fn next_look(&self) -> Instant {
        self.looked + self.left.map_or(LOOK, |left| left.min(LOOK))
    }

    /// Looks at the call. Gives the new state where it has changed, and whether its time is over.
    pub(crate) fn look(&mut self, now: Instant, frozen: Frozen) -> (Option<Frozen>, Option<Over>) {
        let passed = now.saturating_duration_since(self.looked);
        self.looked = now;
        let changed = (frozen != self.before).then_some(frozen);
        self.before = frozen;
        if frozen != Frozen::No {
            self.stood += passed;
        }
        let over = match frozen {
            Frozen::No => {
                self.frozen_left = self.frozen_limit;
                self.left = self.left.map(|left| left.saturating_sub(passed));
                (self.left == Some(Duration::ZERO)).then_some(Over::TimedOut)
            }
            Frozen::Call => {
                self.frozen_left = self.frozen_left.saturating_sub(passed);
                self.frozen_left.is_zero().then_some(Over::NotResumed)
            }
            Frozen::Asked | Frozen::Run => None,
        };
        (changed, over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_calls_time_stands_still_with_it() {
        let start = Instant::now();
        let mut time = CallTime::new(Some(3 * SECOND), 10 * SECOND, start);
        assert_eq!(time.look(start + 2 * SECOND, Frozen::No), (None, None));
        assert_eq!(time.look(start + 5 * SECOND, Frozen::Call), (Some(Frozen::Call), None));
        assert_eq!(time.look(start + 9 * SECOND, Frozen::Call), (None, None));
        assert_eq!(time.stood(), 7 * SECOND);
        let resumed = start + 9 * SECOND + SECOND / 2;
        assert_eq!(time.look(resumed, Frozen::No), (Some(Frozen::No), None));
        let over = time.look(resumed + SECOND, Frozen::No);
        assert_eq!(over, (None, Some(Over::TimedOut)));
    }

    #[test]
    fn a_call_that_nobody_resumes_is_over_and_a_run_that_a_person_froze_is_not() {
        let start = Instant::now();
        let mut time = CallTime::new(None, 10 * SECOND, start);
        assert_eq!(time.look(start + 30 * SECOND, Frozen::Asked).1, None);
        assert_eq!(time.look(start + 60 * SECOND, Frozen::Run).1, None);
        assert_eq!(time.look(start + 69 * SECOND, Frozen::Call).1, None);
        assert_eq!(time.look(start + 70 * SECOND, Frozen::Call).1, Some(Over::NotResumed));
        // Who was resumed has all the time again.
        time.look(start + 71 * SECOND, Frozen::No);
        assert_eq!(time.look(start + 80 * SECOND, Frozen::Call).1, None);
    }
}
