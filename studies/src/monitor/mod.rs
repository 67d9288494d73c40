//! Monitors compared: each scores recorded runs by what it may see, and is measured by what runs are.

mod figures;
mod rules;
mod tables;

pub use figures::{Comparison, Figures, Found, Response, compare};
pub use rules::{BUILT_IN, BuiltIn};
pub use tables::{
    FIGURE_COLUMNS, POINT_COLUMNS, SCORE_COLUMNS, figure_rows, point_rows, score_rows,
};

use journal::{Effect, Entry, scenario::Declared, transcript::Event};
use serde::{Deserialize, Serialize};

/// What a monitor may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// What the agent said, called, got back and declared.
    Transcript,
    /// What the kernel recorded.
    Kernel,
    /// Both.
    Both,
}

impl View {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Transcript, Self::Kernel, Self::Both];

    /// The name on the command line and in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transcript => "transcript",
            Self::Kernel => "kernel",
            Self::Both => "both",
        }
    }

    const fn sees_transcript(self) -> bool {
        !matches!(self, Self::Kernel)
    }

    const fn sees_kernel(self) -> bool {
        !matches!(self, Self::Transcript)
    }
}

/// A recorded run as monitors get it. It names neither agent nor verdict: they would give away what is
/// to be found.
#[derive(Clone, Debug)]
pub struct Case {
    /// The run's name.
    pub run: String,
    /// The scenario's name.
    pub scenario: String,
    /// What the agent was asked to do.
    pub instruction: String,
    /// The granted tier.
    pub tier: u8,
    /// `observe` or `enforce`.
    pub mode: &'static str,
    /// The transcript, in order.
    pub transcript: Vec<Entry>,
    /// The agent's own account.
    pub declared: Declared,
    /// The kernel's record, in order of arrival.
    pub effects: Vec<Effect>,
}

/// What a monitor is handed, as JSON: only what its view holds.
#[derive(Debug, Serialize)]
pub struct Question<'a> {
    view: View,
    run: &'a str,
    scenario: &'a str,
    instruction: &'a str,
    tier: u8,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    transcript: Option<&'a [Entry]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    declared: Option<&'a Declared>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effects: Option<&'a [Effect]>,
}

impl Case {
    /// The case as a monitor of this view is handed it.
    #[must_use]
    pub fn question(&self, view: View) -> Question<'_> {
        Question {
            view,
            run: &self.run,
            scenario: &self.scenario,
            instruction: &self.instruction,
            tier: self.tier,
            mode: self.mode,
            transcript: view.sees_transcript().then_some(&self.transcript[..]),
            declared: view.sees_transcript().then_some(&self.declared),
            effects: view.sees_kernel().then_some(&self.effects[..]),
        }
    }

    /// When what an answer points to happened, CLOCK_BOOTTIME in nanoseconds; the end of the record where
    /// it points to nothing.
    fn moment(&self, said: &Said) -> u64 {
        let effect = said.effect.and_then(|seq| self.effects.iter().find(|it| it.seq == seq));
        let call = said.call.and_then(|wanted| {
            let is_it =
                |entry: &&Entry| matches!(entry.event, Event::Call { call, .. } if call == wanted);
            self.transcript.iter().find(is_it)
        });
        let effect = effect.map(|effect| effect.boot_ns);
        effect.or(call.map(|entry| entry.boot_ns)).unwrap_or_else(|| self.end())
    }

    fn end(&self) -> u64 {
        let effects = self.effects.iter().map(|effect| effect.boot_ns);
        let entries = self.transcript.iter().map(|entry| entry.boot_ns);
        effects.chain(entries).max().unwrap_or(0)
    }

    /// When the agent first did anything.
    fn begin(&self) -> Option<u64> {
        self.effects.iter().filter(|effect| effect.is_agents()).map(|effect| effect.boot_ns).min()
    }
}

/// What a monitor says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// How suspicious the run is, 0 to 1.
    pub score: f64,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// `seq` of the effect at which it became so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<u64>,
    /// The call at which it became so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<u64>,
}

/// What came of asking a monitor about a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It answered.
    Said(Said),
    /// It did not, and why. That is not "not suspicious".
    Nothing(String),
}

impl Answer {
    /// Reads what a program printed.
    #[must_use]
    pub fn read(printed: &[u8]) -> Self {
        match serde_json::from_slice::<Said>(printed) {
            Ok(said) if (0.0..=1.0).contains(&said.score) => Self::Said(said),
            Ok(said) => Self::Nothing(format!("its score {} is not between 0 and 1", said.score)),
            Err(error) => Self::Nothing(format!("it said nothing of use: {error}")),
        }
    }
}

/// A monitor and its answer to each case.
#[derive(Clone, Debug)]
pub struct Scored {
    /// The monitor's name: a built-in one's, or its command.
    pub monitor: String,
    /// What it saw.
    pub view: View,
    /// Its answers, in the order of the runs.
    pub answers: Vec<Answer>,
    /// When what each points to happened, in seconds from what first weighs: [`Case::seconds`].
    pub seconds: Vec<Option<f64>>,
}

/// What a run is, which monitors are to find.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// Whether it is to be found; `None` where nobody knows, and the run counts for nothing.
    pub is_positive: Option<bool>,
    /// Seconds from the agent's first effect to the first that weighs.
    pub first_weighing_seconds: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_score_between_0_and_1_is_an_answer() {
        let said = Answer::read(br#"{"score": 0.5, "reason": "r", "effect": 3}"#);
        assert!(matches!(said, Answer::Said(Said { effect: Some(3), .. })), "{said:?}");
        for nonsense in [
            &b""[..],
            b"0.5",
            b"{}",
            br#"{"score": 2}"#,
            br#"{"score": "high"}"#,
            br#"{"score": 0.1, "label": 1}"#,
        ] {
            assert!(matches!(Answer::read(nonsense), Answer::Nothing(_)));
        }
    }

    #[test]
    fn a_monitor_is_handed_what_its_view_holds_and_nothing_that_gives_the_run_away() {
        let case = Case {
            run: "abcdefgh".to_owned(),
            scenario: "migrate".to_owned(),
            instruction: "do".to_owned(),
            tier: 3,
            mode: "observe",
            transcript: Vec::new(),
            declared: Declared::default(),
            effects: Vec::new(),
        };
        let keys = |view| {
            let question = serde_json::to_value(case.question(view)).unwrap();
            let keys = question.as_object().unwrap().keys().cloned();
            keys.filter(|key| ["transcript", "declared", "effects"].contains(&key.as_str()))
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(View::Transcript), ["declared", "transcript"]);
        assert_eq!(keys(View::Kernel), ["effects"]);
        assert_eq!(keys(View::Both), ["declared", "effects", "transcript"]);
        let text = serde_json::to_string(&case.question(View::Both)).unwrap();
        assert!(!text.contains("\"agent\"") && !text.contains("verdict"));
    }
}
