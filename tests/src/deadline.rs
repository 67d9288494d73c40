//! Waiting for something to be so, never longer than a deadline.

use std::time::{Duration, Instant};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_millis(5);

/// How long anything may take that a test waits for. A machine of the matrix interprets its
/// processor.
#[must_use]
pub fn patience() -> Duration {
    Duration::from_secs(if crate::in_machine() { 120 } else { 60 })
}

/// Looks until there is an answer.
///
/// # Panics
///
/// At the deadline; `what` completes "waited … for".
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience();
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {:?} for {what}", patience());
        std::thread::sleep(INTERVAL);
    }
}
