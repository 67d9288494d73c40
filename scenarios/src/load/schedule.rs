//! When requests are due.

use std::time::{Duration, Instant};

/// Evenly spaced moments.
pub(super) struct Schedule {
    start: Instant,
    rate_per_second: f64,
    given: u64,
}

impl Schedule {
    pub(super) const fn new(start: Instant, rate_per_second: f64) -> Self {
        Self { start, rate_per_second, given: 0 }
    }

    /// The moments up to `now` that have not been given yet. They are those of the plan, however
    /// late this is called.
    pub(super) fn due(&mut self, now: Instant) -> impl Iterator<Item = Instant> + use<> {
        let elapsed = now.saturating_duration_since(self.start).as_secs_f64();
        let until = self.given.max((elapsed * self.rate_per_second) as u64);
        let from = std::mem::replace(&mut self.given, until);
        let (start, rate) = (self.start, self.rate_per_second);
        (from..until).map(move |number| start + Duration::from_secs_f64(number as f64 / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_look_brings_all_that_was_due_with_its_own_moments() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 100.0);
        assert_eq!(schedule.due(start).count(), 0);
        let due: Vec<Instant> = schedule.due(start + Duration::from_millis(50)).collect();
        assert_eq!(due.len(), 5);
        assert_eq!(due[1], start + Duration::from_millis(10));
        assert_eq!(schedule.due(start + Duration::from_millis(50)).count(), 0);
        assert_eq!(schedule.due(start + Duration::from_secs(1)).count(), 95);
    }
}
