//! Follows the directory of one run.

use journal::{
    Effect, Entry, Manifest, RunDir,
    escape::{escape, visible},
    files::{FileError, name},
    scenario::{Baseline, Objective, Phase as SamplePhase, Sample},
    tail::Tail,
};
use scoring::{Class, RunVerdict};
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    frame::{ObjectiveView, Phase, RunView},
    tally::{Calls, Effects},
};

/// A run that is followed from its beginning.
pub(crate) struct Followed {
    run: String,
    directory: RunDir,
    effects: Tail<Effect>,
    transcript: Tail<Entry>,
    samples: Tail<Sample>,
    seen: Seen,
}

/// What is known of it.
#[derive(Default)]
struct Seen {
    manifest: Option<Manifest>,
    objective: Option<Objective>,
    baseline: Option<Baseline>,
    effects: Effects,
    calls: Calls,
    sample: Option<Sample>,
    judged: Option<Judged>,
    malformed: u64,
    is_behind: bool,
    problem: Option<String>,
}

/// What of `report.json` is shown.
#[derive(Deserialize)]
struct Judged {
    verdict: RunVerdict,
    classes: Vec<Class>,
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Its supervisor lives.
    Supervised,
    /// Only something of the run does.
    Abandoned,
    /// Its cgroup is gone, and its supervisor judges it.
    Over,
    /// Its cgroup is gone, and so is whoever would judge it.
    Reaped,
}

impl Followed {
    pub(crate) fn new(run: String, directory: RunDir) -> Self {
        Self {
            run,
            effects: Tail::new(directory.clone(), name::EFFECTS),
            transcript: Tail::new(directory.clone(), name::TRANSCRIPT),
            samples: Tail::new(directory.clone(), name::OBJECTIVE),
            directory,
            seen: Seen::default(),
        }
    }

    /// Reads what has come, of each journal about `most_bytes` at most.
    pub(crate) fn read(&mut self, life: Life, most_bytes: u64) {
        self.seen.problem = self.try_read(life, most_bytes).err().map(|error| {
            let text = format!("{:#}", anyhow::Error::from(error));
            visible(&text).into_owned()
        });
    }

    fn try_read(&mut self, life: Life, most_bytes: u64) -> Result<(), FileError> {
        let seen = &mut self.seen;
        // What cannot be read must keep nobody waiting for the rest.
        seen.is_behind = false;
        // It is replaced as more is known; it is written first.
        seen.manifest =
            self.directory.read_json_if_present(name::MANIFEST)?.or(seen.manifest.take());
        if seen.objective.is_none() {
            let scenario: Option<journal::scenario::Scenario> =
                self.directory.read_json_if_present(name::SCENARIO)?;
            seen.objective = scenario.and_then(|scenario| scenario.objective);
        }
        if seen.baseline.is_none() {
            seen.baseline = self.directory.read_json_if_present(name::BASELINE)?;
        }
        let effects = self.effects.read(most_bytes)?;
        if effects.restarted {
            seen.effects = Effects::default();
        }
        effects.values.iter().for_each(|effect| seen.effects.add(effect));
        let transcript = self.transcript.read(most_bytes)?;
        if transcript.restarted {
            seen.calls = Calls::default();
        }
        transcript.values.into_iter().for_each(|entry| seen.calls.add(entry));
        let samples = self.samples.read(most_bytes)?;
        seen.sample = samples.values.into_iter().next_back().or(seen.sample.take());
        seen.malformed += effects.malformed + transcript.malformed + samples.malformed;
        seen.is_behind = effects.is_behind || transcript.is_behind || samples.is_behind;
        if matches!(life, Life::Over | Life::Reaped) && seen.judged.is_none() {
            seen.judged = self.directory.read_json_if_present(name::REPORT_JSON)?;
        }
        Ok(())
    }

    /// What is known of it at this moment.
    pub(crate) fn view(&self, life: Life, frozen: &[u64], boot_ns: u64, unix_ns: i128) -> RunView {
        let Seen { manifest, effects, calls, sample, judged, .. } = &self.seen;
        let mut last_calls = calls.last(effects, boot_ns);
        for call in &mut last_calls {
            call.frozen = frozen.contains(&call.call);
        }
        let shown = |of: fn(&Manifest) -> &str| {
            manifest.as_ref().map_or_else(String::new, |it| visible(of(it)).into_owned())
        };
        let objective = self.seen.objective.as_ref().map(|objective| ObjectiveView {
            name: visible(&objective.name).into_owned(),
            unit: visible(&objective.unit).into_owned(),
            baseline: self.seen.baseline.as_ref().map(|baseline| baseline.measured),
            measured: sample.as_ref().map(|sample| sample.measured),
            proxy: sample.as_ref().and_then(|sample| sample.proxy),
        });
        RunView {
            run: visible(&self.run).into_owned(),
            directory: escape(self.directory.path().as_os_str().as_encoded_bytes()).into_owned(),
            phase: self.phase(life),
            scenario: shown(|manifest| &manifest.scenario),
            agent: shown(|manifest| &manifest.agent),
            tier: manifest.as_ref().map(|manifest| manifest.tier),
            mode: manifest.as_ref().map(|manifest| manifest.mode),
            seconds: manifest.as_ref().and_then(|manifest| seconds(manifest, unix_ns)),
            calls: calls.count,
            frozen: frozen.to_owned(),
            last_calls,
            effects: effects.count,
            verbs: effects.verbs.clone(),
            violations: effects.violations,
            last_violations: effects.last_violations.iter().cloned().collect(),
            missing: effects.missing(),
            malformed: self.seen.malformed,
            is_behind: self.seen.is_behind,
            objective,
            verdict: judged.as_ref().map(|judged| judged.verdict),
            classes: judged.as_ref().map_or_else(Vec::new, |judged| judged.classes.clone()),
            problem: self.seen.problem.clone(),
        }
    }

    fn phase(&self, life: Life) -> Phase {
        let Seen { manifest, calls, sample, judged, .. } = &self.seen;
        let has_end = manifest.as_ref().is_some_and(|manifest| manifest.end.is_some());
        match (life, sample.as_ref().map(|sample| sample.phase)) {
            _ if judged.is_some() => Phase::Ended,
            (Life::Abandoned, _) => Phase::Abandoned,
            (Life::Reaped, _) => Phase::Unjudged,
            (Life::Over, _) => Phase::Ending,
            _ if has_end => Phase::Ending,
            (_, Some(SamplePhase::Final)) => Phase::Measuring,
            _ if calls.has_begun => Phase::Acting,
            (_, Some(SamplePhase::Baseline | SamplePhase::Run)) => Phase::Baseline,
            _ => Phase::Starting,
        }
    }
}

fn seconds(manifest: &Manifest, now_unix_ns: i128) -> Option<f64> {
    let unix_ns =
        |text: &str| Some(OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos());
    let end = match &manifest.end {
        Some(end) => unix_ns(end)?,
        None => now_unix_ns,
    };
    Some((end - unix_ns(&manifest.start)?).max(0) as f64 / 1e9)
}
