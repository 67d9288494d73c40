//! What a test said when it failed, for the closing lines of `x test`.

/// Lines of a panic that are shown; the whole of it is in the layer's log.
const LINES: usize = 8;
/// Characters of such a line.
const WIDTH: usize = 400;

/// A test that failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) test: String,
    /// The first lines of its last panic.
    pub(crate) said: Vec<String>,
}

/// The failures in the output of a libtest executable.
pub(crate) fn of_libtest(output: &str) -> Vec<Failure> {
    // What passed is shown in the same form before it.
    let Some((_, failures)) = output.split_once("\nfailures:\n") else { return Vec::new() };
    sections(failures, |line| {
        line.strip_prefix("---- ")?.split_once(" std").map(|(test, _)| test.to_owned())
    })
}

/// The failures in nextest's output. It repeats them at its end, without what they said.
pub(crate) fn of_nextest(output: &str) -> Vec<Failure> {
    sections(output, |line| {
        let mut words = line.split_whitespace();
        let Some("FAIL" | "TIMEOUT" | "ABORT" | "SIGABRT" | "SIGSEGV" | "LEAK-FAIL") = words.next()
        else {
            return None;
        };
        // Status, duration in brackets, and a progress count in parentheses stand before the name.
        let (_, name) = line.split_once("] ")?;
        let name = name.trim_start();
        let name = match name.strip_prefix('(') {
            Some(rest) => rest.split_once(") ").map_or(rest, |(_, name)| name),
            None => name,
        };
        Some(name.to_owned())
    })
}

/// Cuts an output at the lines that name a failed test, each test once.
fn sections(output: &str, name: impl Fn(&str) -> Option<String>) -> Vec<Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    let mut current = None;
    let mut is_panic = false;
    for line in output.lines() {
        if let Some(test) = name(line) {
            let known = failures.iter().position(|failure| failure.test == test);
            // A test that is known is named in a summary: nothing that follows is its own.
            current = known.is_none().then_some(failures.len());
            is_panic = false;
            if known.is_none() {
                failures.push(Failure { test, said: Vec::new() });
            }
            continue;
        }
        let Some(failure) = current.map(|index: usize| &mut failures[index]) else { continue };
        let text = line.trim();
        if text.contains("panicked at ") {
            // An attempt that was made again panicked before it.
            failure.said.clear();
            is_panic = true;
        } else if text.starts_with("note: ") || text == "stack backtrace:" {
            is_panic = false;
        }
        if is_panic && !text.is_empty() && failure.said.len() < LINES {
            failure.said.push(text.chars().take(WIDTH).collect());
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(test: &str, said: &[&str]) -> Failure {
        Failure { test: test.to_owned(), said: said.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn the_last_panic_of_a_failed_test_is_found_and_none_of_one_that_passed() {
        let output = "test a ... ok\ntest b ... FAILED\n\nsuccesses:\n\n---- a stdout ----\n\
            thread 'a' panicked at x.rs:1:1:\nonce\n\nsuccesses:\n    a\n\nfailures:\n\n\
            ---- b stdout ----\n\nthread 'b' panicked at x.rs:2:2:\nskipped\nonce more\n\n\
            thread 'b' (17) panicked at x.rs:3:3:\nassertion failed\n  left: 1\n\
            note: run with `RUST_BACKTRACE=1`\nelse\n\nfailures:\n    b\n\ntest result: FAILED.\n";
        let said = ["thread 'b' (17) panicked at x.rs:3:3:", "assertion failed", "left: 1"];
        assert_eq!(of_libtest(output), [failure("b", &said)]);
        assert_eq!(of_libtest("test a ... ok\n"), []);
    }

    #[test]
    fn the_failures_of_nextest_are_read_once_each() {
        let output = "        FAIL [   0.010s] ( 3/33) policy::parse an_unknown_key_is_refused\n  \
            stderr ───\n    thread 'main' (9) panicked at p.rs:1:1:\n    wrong\n    \
            stack backtrace:\n       0: core\n\n     Summary [ 0.8s] 2 tests run\n        \
            FAIL [   0.010s] ( 3/33) policy::parse an_unknown_key_is_refused\n     \
            TIMEOUT [  60.010s] journal chain::a_chain_holds\n";
        let said = ["thread 'main' (9) panicked at p.rs:1:1:", "wrong"];
        let expected = [
            failure("policy::parse an_unknown_key_is_refused", &said),
            failure("journal chain::a_chain_holds", &[]),
        ];
        assert_eq!(of_nextest(output), expected);
    }
}
