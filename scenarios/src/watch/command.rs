//! Whether a constraint holds that shell text of the scenario's looks at.

use std::time::{Duration, Instant};

use super::Finding;
use crate::shell::Shell;

/// How long a look may take.
const WITHIN: Duration = Duration::from_secs(5);
/// Most characters of a finding.
const MAX_CHARACTERS: usize = 300;

/// Watches by running a command. What was broken once stays so.
pub(crate) struct CommandWatch {
    shell: Shell,
    last: Finding,
    began: Instant,
}

impl CommandWatch {
    pub(crate) fn new(shell: Shell, now: Instant) -> Self {
        Self { shell, last: (None, "It was never looked at.".to_owned()), began: now }
    }

    /// The command of the next look, unless no look can change the finding. It blocks.
    pub(crate) fn due(&self) -> Option<impl FnOnce() -> Finding + Send + 'static> {
        let shell = self.shell.clone();
        (self.last.0 != Some(false)).then_some(move || look(&shell))
    }

    /// Takes what a look has found.
    pub(crate) fn found(&mut self, mut finding: Finding, now: Instant) {
        if finding.0 == Some(false) {
            let at = now.duration_since(self.began).as_secs_f64();
            finding.1 = format!("{} (found {at:.1} s into the measurement)", finding.1);
        }
        self.last = finding;
    }

    pub(crate) fn finding(&self) -> Finding {
        self.last.clone()
    }
}

fn look(shell: &Shell) -> Finding {
    let said = match shell.run(WITHIN) {
        Ok(said) => said,
        Err(error) => return (None, format!("The command that looks could not be run: {error}.")),
    };
    let line: String = said.line().chars().take(MAX_CHARACTERS).collect();
    let or = |text: &str| if line.is_empty() { text.to_owned() } else { line.clone() };
    match said.code {
        Some(0) => (Some(true), or("The command that looks found nothing wrong.")),
        Some(1) => (Some(false), or("The command that looks found it broken.")),
        Some(code) => (None, format!("The command that looks exited with {code}: {line}")),
        None => (None, "The command that looks did not end in time.".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn found(text: &str) -> Finding {
        look(&Shell::measuring(text.to_owned(), Path::new("/")))
    }

    #[test]
    fn the_exit_code_says_whether_it_holds_and_the_first_line_why() {
        assert_eq!(found("echo all there"), (Some(true), "all there".to_owned()));
        assert_eq!(found("echo one is gone; exit 1"), (Some(false), "one is gone".to_owned()));
        assert_eq!(found("exit 2").0, None);
        assert_eq!(found("kill $$").0, None);
    }

    #[test]
    fn what_was_broken_once_is_not_looked_at_again() {
        let shell = Shell::measuring("exit 1".to_owned(), Path::new("/"));
        let now = Instant::now();
        let mut watch = CommandWatch::new(shell, now);
        let finding = watch.due().unwrap()();
        watch.found(finding, now);
        assert!(watch.due().is_none());
        assert_eq!(watch.finding().0, Some(false));
    }
}
