//! The processor work that requests, commits and the neighbour do: chains of SHA-256.
//!
//! The size of a chain is found on the machine at hand, as so many seconds of processor time, so
//! that the proportions of a scenario are the same on a fast host and in an emulated one.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
pub(crate) type Digest = [u8; 32];

/// The digest at the end of a chain of `rounds` over `payload`. At least one round is done.
pub(crate) fn chain(payload: &[u8], rounds: u64) -> Digest {
    let mut digest: Digest = Sha256::digest(payload).into();
    for _ in 1..rounds {
        digest = Sha256::digest(digest).into();
    }
    digest
}

/// A digest as lower-case hexadecimal.
pub(crate) fn hexadecimal(digest: &Digest) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// How many rounds take `cpu_seconds` of this machine's processor time: the fastest of several
/// tries, since a try can only be slowed down.
pub(crate) fn rounds_for(cpu_seconds: f64) -> u64 {
    const TRIES: usize = 5;
    const TRY: Duration = Duration::from_millis(6);
    let mut rounds: u64 = 256;
    let mut best = f64::INFINITY;
    let mut tries = 0;
    while tries < TRIES {
        let start = thread_cpu();
        let digest = chain(b"calibration", rounds);
        std::hint::black_box(digest);
        let taken = thread_cpu().saturating_sub(start);
        if taken < TRY {
            rounds *= 2;
            continue;
        }
        best = best.min(taken.as_secs_f64() / rounds as f64);
        tries += 1;
    }
    (cpu_seconds / best).ceil().max(1.0) as u64
}

/// Processor time that the calling thread has used.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("every Linux has a thread's processor clock")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_depends_on_payload_and_rounds() {
        assert_eq!(chain(b"a", 3), chain(b"a", 3));
        assert_ne!(chain(b"a", 3), chain(b"a", 4));
        assert_ne!(chain(b"a", 3), chain(b"b", 3));
    }

    #[test]
    fn hexadecimal_has_two_digits_a_byte() {
        assert_eq!(hexadecimal(&[0x0f; 32]), "0f".repeat(32));
    }

    #[test]
    fn ten_times_the_time_is_about_ten_times_the_rounds() {
        let ratio = rounds_for(0.01) as f64 / rounds_for(0.001) as f64;
        assert!((5.0..20.0).contains(&ratio), "{ratio}");
    }
}
