//! A run as a log that Inspect opens as its own: messages, calls, and beside them what the kernel saw.
//!
//! The format is that of `inspect_ai` 0.3.285, version 2 of its log. An unknown kind of event makes
//! Inspect refuse a whole log, so effects are `info` events, within a span for each call. What the agent
//! said and gave to tools is in there as it was; whoever opens the log shows it.

mod events;
mod messages;

use journal::{Effect, Entry, clock::Clock};
use scoring::{Class, Record, Report, RunVerdict};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Version of Inspect's log.
const VERSION: u32 = 2;
/// Who has scored it.
const SCORER: &str = "belljar";
/// How many effects a log repeats; `effects.jsonl` has all.
const MOST_EFFECTS: usize = 20_000;
const SECOND_NS: f64 = 1e9;

/// A log of Inspect's, to be written as JSON. Inspect reads heads of logs as a stream: `version` must be the
/// first key, and `samples` the last.
#[derive(Debug, Serialize)]
pub struct Log {
    version: u32,
    status: &'static str,
    eval: Value,
    plan: Value,
    results: Value,
    stats: Value,
    invalidated: bool,
    samples: Vec<Value>,
}

/// Moments of a run, as Inspect has them.
struct Time {
    clock: Clock,
    begin: u64,
}

impl Time {
    /// RFC 3339 with microseconds, which is as fine as Python's.
    fn stamp(&mut self, boot_ns: u64) -> String {
        let mut text = self.clock.rfc3339(boot_ns);
        text.truncate("2026-11-24T04:10:46.123456".len());
        text + "+00:00"
    }

    /// Seconds since the run's first entry.
    fn seconds(&self, boot_ns: u64) -> f64 {
        boot_ns.saturating_sub(self.begin) as f64 / SECOND_NS
    }
}

/// Makes the log. `transcript` and `effects` are those of the run, in order of arrival.
#[must_use]
pub fn inspect(
    report: &Report,
    record: &Record,
    transcript: &[Entry],
    effects: impl IntoIterator<Item = Effect>,
) -> Log {
    let manifest = &record.manifest;
    let mut shown: Vec<Effect> = Vec::new();
    let mut left_out = 0_u64;
    for effect in effects {
        if shown.len() < MOST_EFFECTS { shown.push(effect) } else { left_out += 1 }
    }
    let moments = transcript.iter().map(|entry| entry.boot_ns);
    let moments = moments.chain(shown.iter().map(|effect| effect.boot_ns));
    let (begin, last) =
        moments.fold((u64::MAX, 0), |(begin, last), at| (begin.min(at), last.max(at)));
    let mut time = Time { clock: Clock::new(manifest.boot_time_unix_ns), begin };
    let messages = messages::messages(transcript, &record.scenario.instruction);
    let events = events::events(transcript, &shown, &mut time);
    let mut metadata = metadata(report, record);
    metadata.insert("effects_left_out".to_owned(), left_out.into());
    let end = manifest.end.clone().unwrap_or_else(|| manifest.start.clone());
    let scores = scores(report);
    let is_invalid = report.verdict == RunVerdict::Invalid;
    let mut sample = json!({
        "id": manifest.run,
        "epoch": 1,
        "input": record.scenario.instruction,
        "target": "",
        "messages": messages,
        "output": output(&manifest.agent, transcript),
        "scores": scores,
        "metadata": metadata,
        "store": {},
        "events": events,
        "model_usage": {},
        "started_at": stamp(&manifest.start),
        "completed_at": stamp(&end),
        "total_time": last.saturating_sub(begin) as f64 / SECOND_NS,
        "uuid": manifest.run,
    });
    if is_invalid {
        // Inspect leaves such samples out of metrics, and shows the reason.
        sample["invalidation"] = json!({
            "timestamp": stamp(&end),
            "author": SCORER,
            "reason": report.invalid_reasons.join(" "),
            "metadata": {},
        });
    }
    Log {
        version: VERSION,
        status: "success",
        eval: json!({
            "eval_id": manifest.run,
            "run_id": manifest.run,
            "created": stamp(&manifest.start),
            "task": manifest.scenario,
            "task_id": manifest.scenario,
            "task_version": 0,
            "task_display_name": manifest.scenario,
            "task_args": task_args(record),
            "dataset": { "name": manifest.scenario, "samples": 1, "sample_ids": [manifest.run], "shuffled": false },
            "model": manifest.agent,
            "model_args": {},
            "config": { "epochs": 1 },
            "packages": { "belljar": manifest.belljar },
            "metadata": {},
        }),
        plan: json!({ "name": "plan", "steps": [], "config": {} }),
        results: json!({
            "total_samples": 1,
            "completed_samples": 1,
            "scores": results(&scores, is_invalid),
        }),
        stats: json!({
            "started_at": stamp(&manifest.start),
            "completed_at": stamp(&end),
            "model_usage": {},
        }),
        invalidated: is_invalid,
        samples: vec![sample],
    }
}

/// A time of the manifest, as Inspect spells it.
fn stamp(rfc3339: &str) -> String {
    match rfc3339.strip_suffix('Z') {
        Some(text) => {
            let (whole, part) = text.split_once('.').unwrap_or((text, ""));
            let part: String = part.chars().take(6).collect();
            let dot = if part.is_empty() { "" } else { "." };
            format!("{whole}{dot}{part}+00:00")
        }
        None => rfc3339.to_owned(),
    }
}

fn task_args(record: &Record) -> Value {
    let manifest = &record.manifest;
    json!({
        "tier": manifest.tier.number(),
        "mode": manifest.mode.name(),
        "seed": manifest.seed,
        "instructions": record.scenario.instructions,
    })
}

/// What else is known of the run, under names that tables can have as columns.
fn metadata(report: &Report, record: &Record) -> Map<String, Value> {
    let manifest = &record.manifest;
    let objective = report.objective.as_ref();
    let of = |value: Option<f64>| value.map_or(Value::Null, Value::from);
    let all = json!({
        "verdict": report.verdict.name(),
        "reasons": report.reasons,
        "invalid_reasons": report.invalid_reasons,
        "classes": report.classes.iter().map(|class| class.name()).collect::<Vec<_>>(),
        "tier": manifest.tier.number(),
        "mode": manifest.mode.name(),
        "seed": manifest.seed,
        "instructions": record.scenario.instructions,
        "effects": report.evidence.received,
        "effects_dropped": report.evidence.dropped,
        "violations": report.violations.len(),
        "undeclared": report.undeclared.len(),
        "measured_gain": of(objective.and_then(|it| it.measured_gain)),
        "proxy_gain": of(objective.and_then(|it| it.proxy_gain)),
        "first_weighing_seconds": of(report.timing.first_weighing_seconds),
        "kernel": manifest.kernel,
        "probe_set": manifest.probe_set.map(journal::manifest::ProbeSet::name),
        "policy_sha256": manifest.policy_sha256,
        "belljar": manifest.belljar,
    });
    match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }
}

/// A score for the verdict and one for each class that the run is judged by: 1 where it is in it.
fn scores(report: &Report) -> Map<String, Value> {
    let mut scores = Map::new();
    let score = |value: bool, answer: &str, explanation: String| json!({ "value": u8::from(value), "answer": answer, "explanation": explanation });
    let misaligned = !report.classes.is_empty();
    let verdict = report.verdict.name();
    scores.insert("misaligned".to_owned(), score(misaligned, verdict, report.reasons.join(" ")));
    for class in Class::ALL {
        if report.not_judged.contains_key(&class) {
            continue;
        }
        let is_in = report.classes.contains(&class);
        let why = report.class_evidence.get(&class).map(|it| it.sentence.clone());
        let answer = if is_in { "yes" } else { "no" };
        scores.insert(class.name().to_owned(), score(is_in, answer, why.unwrap_or_default()));
    }
    scores
}

/// The same as the log's results. An invalid sample is in no metric.
fn results(scores: &Map<String, Value>, is_invalid: bool) -> Vec<Value> {
    let results = scores.iter().map(|(name, score)| {
        let metrics = if is_invalid {
            json!({})
        } else {
            json!({ "mean": { "name": "mean", "value": score["value"] } })
        };
        json!({
            "name": name,
            "scorer": SCORER,
            "scored_samples": u8::from(!is_invalid),
            "unscored_samples": u8::from(is_invalid),
            "params": {},
            "metrics": metrics,
        })
    });
    results.collect()
}

/// The last that the agent said.
fn output(agent: &str, transcript: &[Entry]) -> Value {
    let last = transcript.iter().rev().find_map(messages::said);
    let text = last.unwrap_or_default();
    json!({
        "model": agent,
        "choices": [{
            "message": { "id": "output", "role": "assistant", "content": text, "source": "generate", "model": agent },
            "stop_reason": "stop",
        }],
        "completion": text,
    })
}
