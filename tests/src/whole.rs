//! Tests that need a whole record, on kernels that may skip a tracing program.
//!
//! Linux 7.x preempts tracing programs, and skips one for a task while another task that was preempted
//! in the middle of it waits on that processor. The run is `invalid` then and says so, as it should;
//! in a machine whose processors are emulated it happens now and then. Only that is tried again, only
//! on such kernels, and not for ever.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What a run says whose probes the kernel skipped.
pub const SKIPPED: &str = "the kernel skipped";

/// How often a test is tried in all. What else the machine does decides how often a program is
/// skipped, so one test may meet it several times in a row.
const TRIES: u32 = 10;

/// Whether this kernel preempts tracing programs, and so may skip one.
///
/// # Panics
///
/// When the kernel does not tell its release.
#[must_use]
pub fn preempts() -> bool {
    let release = nix::sys::utsname::uname().expect("the kernel tells its release");
    let release = release.release().to_string_lossy();
    release.split('.').next().and_then(|major| major.parse().ok()).is_some_and(|it: u32| it >= 7)
}

/// Runs a test, again where it failed because the kernel skipped a program.
///
/// # Panics
///
/// As the test does.
pub fn until_whole<T>(test: impl Fn() -> T) -> T {
    for attempt in 1.. {
        match catch_unwind(AssertUnwindSafe(&test)) {
            Ok(value) => return value,
            Err(panic) if preempts() && attempt < TRIES && tells_of_skipping(&*panic) => {
                println!("the kernel skipped a program: once more");
            }
            Err(panic) => resume_unwind(panic),
        }
    }
    unreachable!("the last attempt ends the loop")
}

fn tells_of_skipping(panic: &(dyn std::any::Any + Send)) -> bool {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.is_some_and(|text| text.contains(SKIPPED))
}
