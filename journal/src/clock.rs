//! From the kernel's clock to the calendar.

use std::fmt::Write;

use time::{OffsetDateTime, UtcDateTime, macros::format_description};

const SECOND_NS: i128 = 1_000_000_000;

/// Turns CLOCK_BOOTTIME into RFC 3339, UTC, with nanoseconds. Effects come in order or nearly so,
/// so the text of the last second is kept.
#[derive(Clone, Debug)]
pub struct Clock {
    boot_time_unix_ns: i128,
    second: Option<i64>,
    prefix: String,
}

impl Clock {
    /// A clock for a machine whose CLOCK_BOOTTIME was 0 at this time, in nanoseconds since the Unix
    /// epoch.
    #[must_use]
    pub fn new(boot_time_unix_ns: i128) -> Self {
        Self { boot_time_unix_ns, second: None, prefix: String::new() }
    }

    /// The moment as `2026-11-24T04:10:46.123456789Z`. Beyond the years that RFC 3339 can spell it
    /// is the nearest year that it can.
    #[must_use]
    pub fn rfc3339(&mut self, boot_ns: u64) -> String {
        let unix_ns = self.boot_time_unix_ns.saturating_add(i128::from(boot_ns));
        let first = i128::from(UtcDateTime::UNIX_EPOCH.unix_timestamp()) * SECOND_NS;
        // The last nanosecond of the year 9999.
        let last = 253_402_300_800 * SECOND_NS - 1;
        let unix_ns = unix_ns.clamp(first, last);
        let second = i64::try_from(unix_ns.div_euclid(SECOND_NS)).expect("clamped to year 9999");
        if self.second != Some(second) {
            let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].");
            self.prefix = OffsetDateTime::from_unix_timestamp(second)
                .expect("clamped to year 9999")
                .format(&format)
                .expect("every date has these parts");
            self.second = Some(second);
        }
        let mut text = String::with_capacity(30);
        text.push_str(&self.prefix);
        let _ = write!(text, "{:09}Z", unix_ns.rem_euclid(SECOND_NS));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_and_uptime_add_up_to_the_moment() {
        let mut clock = Clock::new(1_795_493_446 * SECOND_NS);
        assert_eq!(clock.rfc3339(5), "2026-11-24T04:10:46.000000005Z");
        assert_eq!(clock.rfc3339(999_999_999), "2026-11-24T04:10:46.999999999Z");
        assert_eq!(clock.rfc3339(1_000_000_000), "2026-11-24T04:10:47.000000000Z");
        assert_eq!(clock.rfc3339(5), "2026-11-24T04:10:46.000000005Z");
    }

    #[test]
    fn moments_that_cannot_be_spelled_become_the_nearest_that_can() {
        assert_eq!(Clock::new(i128::MIN).rfc3339(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(Clock::new(i128::MAX).rfc3339(u64::MAX), "9999-12-31T23:59:59.999999999Z");
    }
}
